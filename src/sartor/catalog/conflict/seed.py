"""The requirements that a question fixes: its own, and those of versions without a choice.

A line that one version alone satisfies *fixes* that version: its lines are requirements too, and
so on. What the lines of other versions are the resolver alone knows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.model import Package
from sartor.catalog.conflict.candidates import Candidates, Rules, version_of
from sartor.catalog.conflict.lines import Line, allows, environment, pinned, read_line
from sartor.facts.packages import normalized

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from packaging.version import Version

    from sartor.catalog.conflict.lines import Constraint
    from sartor.catalog.oracle import Oracle
    from sartor.plan.known import Listing, ResolveQuestion

THREADS = 12
MOST_LINES = 20_000

Holder = tuple[str, "Version"]
"""A version whose lines are requirements."""


class Held(NamedTuple):
    """A ``Requires-Dist`` line of a holder that applies, as it stands there; of itself: extras."""

    text: str
    line: Line


class Metadata(NamedTuple):
    """The lines of a fixed version, and the file whose metadata says so."""

    requires: list[str]
    source: str | None


class Seed:
    """The graph of lines: ``roots`` are the request's, ``children`` those that a line brings in."""

    def __init__(self, question: ResolveQuestion, oracle: Oracle) -> None:
        self.question = question
        self.markers = environment(question.machine)
        self.left_out = {normalized(name) for name in question.leave_out}
        self.elsewhere = {normalized(p) for pin in question.indexes for p in pin.projects}
        self.texts: dict[Line, list[str]] = {}
        self.roots = self._request()
        self.rules = Rules(question, [line.constraint for line in self.roots])
        self.children: dict[Line, list[Line]] = {}
        self.fixed: dict[Line, Version] = {}
        self.metadata: dict[Holder, Metadata] = {}
        self.candidates: dict[str, Candidates | None] = {}
        self.unread: dict[str, str] = {}
        self._oracle = oracle
        self._own: dict[tuple[Holder, frozenset[str]], list[Held]] = {}
        self.lines: dict[Line, None] = {}

    def _request(self) -> list[Line]:
        """Raises `ValueError` where a requirement of the question is none."""
        for text in self.question.requirements:
            line = read_line(text, self.markers)
            if line is not None and line.project not in self.left_out:
                self.texts.setdefault(line, []).append(text)
        return list(self.texts)

    def grow(self, is_over: Callable[[], bool]) -> Iterator[set[str]]:
        """Follow the lines; after each step the projects of which new constraints are known.

        Ends early once ``is_over``: then `unread` says what was not followed.
        """
        pending = dict.fromkeys(self.roots)
        self.lines |= pending
        with ThreadPoolExecutor(THREADS) as pool:
            while pending and not is_over():
                lines = self._first_of(pending)
                self._step(pool, lines)
                yield {line.project for line in lines}
                new = dict.fromkeys(self._next(lines))
                self.lines |= new
                pending = {line: None for line in pending if line not in lines} | new
        if pending:
            names = sorted({line.project for line in pending})
            self.unread["the lines beyond"] = f"time was over; not followed: {', '.join(names)}"

    def _first_of(self, pending: Iterable[Line]) -> dict[Line, None]:
        """Those that are followed next: of projects of which more is said, then pins, then all."""
        said: dict[str, set[Constraint]] = {}
        for line in self.lines:
            said.setdefault(line.project, set()).add(line.constraint)
        parts: list[dict[Line, None]] = [{}, {}, {}]
        for line in pending:
            later = 1 if pinned(line.constraint) else 2
            parts[0 if len(said[line.project]) > 1 else later][line] = None
        return next(part for part in parts if part)

    def _step(self, pool: ThreadPoolExecutor, lines: Collection[Line]) -> None:
        """List their projects, and read the metadata of the versions that they fix."""
        new = list({line.project: None for line in lines if line.project not in self.candidates})
        for project, listed in zip(new, pool.map(self._list, new), strict=True):
            self.candidates[project] = listed
        self.fixed |= {line: v for line in lines if (v := self._only(line)) is not None}
        self._read(pool, [line for line in lines if line in self.fixed])

    def _list(self, project: str) -> Candidates | None:
        """None: not known, as of a project that another index is to serve."""
        if project in self.elsewhere:
            self.unread[project] = "it comes from an index of its own, which was not listed"
            return None
        listing: Listing = self._oracle.listing(project)
        if listing.state == "reached":
            return Candidates(project, listing.files, self.rules)
        self.unread[project] = f"its index was {listing.state}: {listing.why or 'no reason told'}"
        return None

    def _only(self, line: Line) -> Version | None:
        """The one version that satisfies a line; None where there are more, or none."""
        candidates = self.candidates[line.project]
        if candidates is None or line.constraint.url is not None or not line.constraint.bounds:
            return None
        found = None
        for version in candidates.versions:
            if allows(line.constraint, version) and candidates.usable(version):
                if found is not None:
                    return None
                found = version
        return found

    def _read(self, pool: ThreadPoolExecutor, lines: Iterable[Line]) -> None:
        """The metadata of the versions that these lines fix; where it is not read, they do not."""
        wanted = {(line.project, self.fixed[line]) for line in lines} - self.metadata.keys()
        for holder, read in zip(wanted, pool.map(self._metadata, wanted), strict=True):
            if isinstance(read, Metadata):
                self.metadata[holder] = read
            else:
                self.unread["==".join(map(str, holder))] = read
        for line in lines:
            if (line.project, self.fixed[line]) not in self.metadata:
                del self.fixed[line]

    def _metadata(self, holder: Holder) -> Metadata | str:
        project, version = holder
        for assumed in self.question.assumed:
            if (normalized(assumed.name), version_of(assumed.version)) == holder:
                return Metadata(list(assumed.requires), None)
        package = self._oracle.metadata(project, str(version), self.question.machine)
        if not isinstance(package, Package):
            return package.why
        candidates = self.candidates[project]
        names = [f.name for f in candidates.files(version)] if candidates else []
        tags = set(package.file_tags)
        own = [n for n in names if tags & {"-".join(n.removesuffix(".whl").rsplit("-", 3)[1:])}]
        source = next(iter(own or names), None)
        return Metadata(list(package.requires), source)

    def _next(self, frontier: Iterable[Line]) -> list[Line]:
        """The lines that these bring in, those that were not seen before."""
        new: dict[Line, None] = {}
        for line in frontier:
            if line not in self.fixed:
                continue
            own = self.own_lines((line.project, self.fixed[line]), line.extras)
            self.children[line] = list(dict.fromkeys(held.line for held in own))
            new |= dict.fromkeys(c for c in self.children[line] if c not in self.lines)
        if len(self.lines) + len(new) > MOST_LINES:
            self.unread["the lines beyond"] = f"more than {MOST_LINES} requirements"
            return []
        return list(new)

    def without(self, holder: Holder, removed: Collection[Constraint]) -> tuple[str, ...]:
        """The ``Requires-Dist`` lines of a version but those that say what is removed."""
        extras = {e for line in self.lines if line.project == holder[0] for e in line.extras}
        drop = {h.text for h in self.own_lines(holder, extras) if h.line.constraint in removed}
        return tuple(t for t in self.metadata[holder].requires if t not in drop)

    def own_lines(self, holder: Holder, extras: Iterable[str]) -> list[Held]:
        """The lines of a version that hold with these extras, those for itself followed."""
        key = (holder, frozenset(extras))
        if key not in self._own:
            self._own[key] = self._own_lines(holder, key[1])
        return self._own[key]

    def _own_lines(self, holder: Holder, extras: Iterable[str]) -> list[Held]:
        wanted = dict.fromkeys(extras)
        while True:
            held = self._held(holder, wanted)
            more = {e: None for h in held if h.line.project == holder[0] for e in h.line.extras}
            if more.keys() <= wanted.keys():
                return [h for h in held if h.line.project != holder[0]]
            wanted |= more

    def _held(self, holder: Holder, extras: Iterable[str]) -> list[Held]:
        found = []
        for text in self.metadata[holder].requires:
            try:
                line = read_line(text, self.markers, tuple(extras))
            except ValueError as error:
                self.unread[f"{holder[0]} {holder[1]}: `{text[:80]}`"] = str(error)
                continue
            if line is not None and line.project not in self.left_out:
                found.append(Held(text, line))
        return found
