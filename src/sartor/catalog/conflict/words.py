"""A conflict as sentences that a person can follow, each of which can be looked up."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from sartor.catalog.conflict.deep_words import explained
from sartor.catalog.conflict.direct import published
from sartor.catalog.conflict.lines import pinned
from sartor.plan.outcome import Conflict, Premise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.version import Version

    from sartor.catalog.conflict.candidates import Candidates
    from sartor.catalog.conflict.direct import Direct, Meeting
    from sartor.catalog.conflict.lines import Constraint, Line
    from sartor.catalog.conflict.seed import Seed
    from sartor.catalog.oracle import Oracle

MOST_FILES = 2
NEAREST = 4
ASKED = "on the indexes that were asked"
SENTENCE = re.compile(r"(?<=[.])\s+(?=And because|Because)")


def conflict_of(
    meeting: Meeting, direct: Direct, oracle: Oracle | None = None, why: str = ""
) -> Conflict:
    """The conflict as it is shown.

    ``why`` are the resolver's words on it: a derivation where it is about several projects and
    ``oracle``, asked for the metadata of few versions, gives no shorter one.
    """
    seed = direct.seed
    chains = direct.chains(meeting.ends, set(meeting.lines)) or {}
    ordered = sorted(chains.values(), key=lambda chain: (len(chain), chain[-1].text))
    premises = [_premise(chain, seed) for chain in ordered]
    because = [_sentence(chain, seed) for chain in ordered]
    projects = {c.project for c in meeting.ends}
    about = projects.pop() if len(projects) == 1 else None
    ends = sorted(meeting.ends)
    if about is not None and meeting.ends in direct.sets.get(about, []):
        because += _of_one_project(ends, seed.candidates[about], seed)
    else:
        because += explained(ends, direct, oracle) or _resolver(why)
    return Conflict(premises=premises, because=because, about=about)


def _premise(chain: Sequence[Line], seed: Seed) -> Premise:
    return Premise(chain[-1].text, [line.text for line in chain], _source(chain, seed))


def _source(chain: Sequence[Line], seed: Seed) -> str | None:
    if len(chain) == 1:
        return None
    holder = (chain[-2].project, seed.fixed[chain[-2]])
    return seed.metadata[holder].source


def _sentence(chain: Sequence[Line], seed: Seed) -> str:
    """How a requirement comes about: from the request, over the versions that are fixed."""
    if len(chain) == 1:
        return f"The request asks for {chain[0].text}."
    clauses = []
    first = chain[0]
    if pinned(first.constraint) is None:
        only = f"{first.project} {seed.fixed[first]}"
        clauses.append(f"the request asks for {first.text}, which {only} alone satisfies")
    for line, child in pairwise(chain):
        alone = ""
        if child in seed.fixed and child != chain[-1] and pinned(child.constraint) is None:
            alone = f", which {child.project} {seed.fixed[child]} alone satisfies"
        clauses.append(f"{line.project} {seed.fixed[line]} requires {child.text}{alone}")
    said = ", and ".join(clauses)
    source = _source(chain, seed)
    return f"{said[0].upper() if pinned(first.constraint) is None else said[0]}{said[1:]}" + (
        f" ({source})." if source else "."
    )


def _of_one_project(
    ends: Sequence[Constraint], candidates: Candidates | None, seed: Seed
) -> list[str]:
    project = ends[0].project
    if any(c.url is not None for c in ends):
        return [f"{project} cannot come from there and be all that is required."]
    if len(ends) > 1:
        both = "both" if len(ends) == 2 else "all of these"
        none = f"No version of {project} is {both}."
        there = _within(ends, candidates)
        if candidates is None or not there:
            return [none]
        return [f"No version of {project} that can be had is {both}.", *_not_had(there, candidates)]
    if candidates is None or not candidates.versions:
        return [f"There is no {project} {ASKED}."]
    there = _within(ends, candidates)
    if there:
        where = _machine(seed)
        return [f"No {ends[0].text} {ASKED} serves {where}.", *_not_had(there, candidates)]
    return [_nearest(ends[0], candidates)]


def _within(ends: Iterable[Constraint], candidates: Candidates | None) -> list[Version]:
    """The versions that are listed and would satisfy all of them, newest first."""
    sets = [published(c, candidates) for c in ends] if candidates else [[]]
    return [v for v in sets[0] if all(v in others for others in sets[1:])]


def _not_had(versions: Sequence[Version], candidates: Candidates) -> list[str]:
    """Why the newest of these versions does not count, file by file."""
    newest = versions[0]
    why = candidates.why_not(newest)
    name = f"{candidates.project} {newest}"
    beside = f", and {len(versions) - 1} older ones likewise" if len(versions) > 1 else ""
    if len({*why.values()}) == 1:
        return [f"{name} {next(iter(why.values()))}{beside}."]
    pythons = candidates.pythons(newest)
    if pythons:
        return [f"The wheels of {name} for that platform are for {', '.join(pythons)}{beside}."]
    said = "; ".join(f"{file} {why[file]}" for file in sorted(why)[:MOST_FILES])
    more = f"; {len(why) - MOST_FILES} more files do not serve" if len(why) > MOST_FILES else ""
    return [f"Of {name}: {said}{more}{beside}."]


def _nearest(constraint: Constraint, candidates: Candidates) -> str:
    """What is published in place of versions that are not."""
    project, usable = candidates.project, [v for v in candidates.versions if candidates.usable(v)]
    if not usable:
        why = _not_had(candidates.versions, candidates)[0]
        return f"No version of {project} {ASKED} can be had: {why}"
    newest = usable[0]
    wanted = pinned(constraint)
    if wanted is None or wanted > newest:
        return f"The newest {project} {ASKED} is {newest}."
    near = sorted(usable, key=lambda v: _distance(v, wanted))[:NEAREST]
    listed = ", ".join(str(v) for v in sorted(near))
    return f"There is no {project} {wanted} {ASKED}; the nearest are {listed}."


def _distance(one: Version, other: Version) -> list[int]:
    """How far versions are from each other, number by number."""
    width = max(len(one.release), len(other.release))
    pairs = zip(_padded(one, width), _padded(other, width), strict=True)
    return [abs(a - b) for a, b in pairs]


def _padded(version: Version, width: int) -> list[int]:
    return [*version.release, *[0] * (width - len(version.release))]


def _machine(seed: Seed) -> str:
    machine = seed.question.machine
    glibc = f" with glibc {machine.glibc}" if machine.glibc else ""
    return f"Python {machine.python} on {machine.architecture}{glibc}"


def _resolver(why: str) -> list[str]:
    """The resolver's own derivation, without its headline and hints."""
    lines = why.split("\n\nhint:", maxsplit=1)[0].splitlines()
    kept = [line.strip() for line in lines if line.strip() and not line.startswith("error:")]
    text = " ".join(kept).removeprefix("cause: ").removeprefix("╰─▶ ")
    return SENTENCE.split(text) if text else ["The resolver finds no solution for these together."]
