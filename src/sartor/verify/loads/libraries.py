"""Every shared library of an environment is opened, and each failure explained."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from sartor.host.loader import find_library
from sartor.verify.child import Program, run
from sartor.verify.loads.loader_words import alternatives_settled, explained, lacks_symbol
from sartor.verify.loads.opening import Opening, Search, check_of, openings
from sartor.verify.model import Failed, NotChecked, Passed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.verify.model import Outcome
    from sartor.verify.proving import Proving
    from sartor.verify.subject.contents import Contents
    from sartor.verify.subject.model import Subject

START_SECONDS = 300.0


def check_libraries(
    subject: Subject, contents: Contents, proving: Proving, found: Callable[[Outcome], None]
) -> None:
    """One outcome for each shared library; ``found`` is called with each."""
    planned = openings(contents, search_of(subject, contents), contents.case.python or "")
    outcomes: dict[str, Outcome] = {p.check: p for p in planned if not isinstance(p, Opening)}
    to_open = [one for one in planned if isinstance(one, Opening)]
    paths = {one.check: one.path for one in to_open}
    for modules in sorted({one.modules for one in to_open}, key=lambda names: (len(names), names)):
        together = [one for one in to_open if one.modules == modules]
        for outcome in run(_program(subject, proving, modules, together), proving.grades):
            outcomes[outcome.check] = outcome
        _complete(outcomes, together)
    by_path = {path: check for check, path in paths.items()}
    for path, check in by_path.items():
        outcome = outcomes[check]
        if isinstance(outcome, Failed):
            outcomes[check] = explained(outcome, path, contents)
    opened_through(outcomes, by_path, contents)
    pairs = [(path, outcomes[check]) for path, check in by_path.items()]
    for (_, before), after in zip(pairs, alternatives_settled(pairs, contents), strict=True):
        outcomes[before.check] = after
    of_check = {check_of(contents, library.path): library.path for library in contents.libraries}
    for outcome in outcomes.values():
        features = contents.features(of_check.get(outcome.check, ""))
        found(msgspec.structs.replace(outcome, features=features))


def opened_through(
    outcomes: dict[str, Outcome], checks: dict[str, str], contents: Contents
) -> None:
    """A library that lacks a symbol by itself has it where another opens it, and that one opened.

    All symbols of what a library needs are bound with its own. ``checks`` are their names by path.
    """
    names = contents.case.by_name
    for user in contents.case.libraries:
        opened = outcomes.get(checks.get(user.path, ""))
        if not isinstance(opened, Passed):
            continue
        for soname in user.needed:
            for needed in names.get(soname, ()):
                check = checks.get(needed.path, "")
                outcome = outcomes.get(check)
                same = contents.owner(needed.path) == contents.owner(user.path)
                if isinstance(outcome, Failed) and same and lacks_symbol(outcome):
                    detail = f"with {contents.names[user.path]}, which needs it, not by itself"
                    outcomes[check] = Passed(
                        check=check, grade="loads", package=outcome.package, detail=detail
                    )


def search_of(subject: Subject, contents: Contents) -> Search:
    """Where this machine's loader looks, in the environment's own variables."""
    machine = os.uname().machine
    variable = (os.environ | subject.variables).get("LD_LIBRARY_PATH", "")
    known: dict[str, str | None] = {}

    def system(soname: str) -> str | None:
        if soname not in known:
            known[soname] = find_library(soname, machine)
        return known[soname]

    return Search(contents, system, variable)


def _program(
    subject: Subject, proving: Proving, modules: tuple[str, ...], openings: list[Opening]
) -> Program:
    rows = [msgspec.structs.asdict(one) for one in openings]
    behind = f" after import {', '.join(modules)}" if modules else ""
    return Program(
        module="open_libraries",
        label=f"open libraries{behind}",
        python=subject.python,
        grade="loads",
        settings={
            "modules": list(modules),
            "libraries": rows,
            "seconds": proving.open_seconds,
        },
        variables=subject.variables,
        start_seconds=START_SECONDS,
    )


def _complete(outcomes: dict[str, Outcome], openings: list[Opening]) -> None:
    """Libraries of which nothing was said, for the process that was to open them has ended."""
    for one in openings:
        left = NotChecked(
            check=one.check,
            grade="loads",
            package=one.package,
            why="the process that opens libraries did not come to it",
        )
        outcomes.setdefault(one.check, left)
