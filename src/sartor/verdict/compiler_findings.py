"""What packages compile when they run, and whether the compilers are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.facts.linking import compilers, is_form_of
from sartor.facts.packages import facts_about
from sartor.facts.versions import within_versions
from sartor.verdict.case import joined, titled
from sartor.verdict.dispatch import owns
from sartor.verdict.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Package
    from sartor.facts.linking import CompilerSourceFact
    from sartor.facts.packages import CompilerFact
    from sartor.verdict.case import Case, Lookup
    from sartor.verdict.model import Severity

WORST: tuple[Lookup, ...] = ("missing", "unknown", "found")


def runtime_compiler(case: Case) -> Iterator[Finding]:
    """A package compiles code when it runs: a note, and a warning where a compiler is not there."""
    for package in case.packages:
        by_state: dict[Lookup, list[str]] = {}
        for row in compiler_rows(case, package):
            state, lacking = judged(case, package, row)
            wanted = joined(row.compilers) if row.compilers else ""
            either = joined(row.any_of, "or") if row.any_of else ""
            missing = f" (not there: {joined(lacking)})" if lacking else ""
            text = f"with {' and '.join(filter(None, [wanted, either]))} {row.when}{missing}"
            by_state.setdefault(state, []).append(text)
        for state in WORST:
            if state in by_state:
                yield _finding(case, package, state, by_state[state])


def _finding(case: Case, package: Package, state: Lookup, parts: list[str]) -> Finding:
    severity: Severity = "warning" if state == "missing" else "note"
    there = "They are there" if case.installed or case.host else "What it requires brings them"
    meaning = {
        "missing": "Without the compiler that fails at first use.",
        "unknown": "Whether they are on the machine that it will run on is not known.",
        "found": f"{there}; the first use of each takes longer.",
    }[state]
    return Finding(
        code="runtime-compiler",
        severity=severity,
        text=f"{titled(package)} compiles when it runs: {'; '.join(parts)}. {meaning}",
        path=package.path,
    )


def compiler_rows(case: Case, package: Package) -> list[CompilerFact]:
    """The rows of facts that hold for a package, by its version and its files."""
    about = facts_about(package.name)
    return [
        row
        for row in (about.compiler if about else [])
        if (not row.distributions or package.name in row.distributions)
        and within_versions(row.versions, package.version)
        and (not row.files or _holds(case, package, row.files))
    ]


def _holds(case: Case, package: Package, globs: list[str]) -> bool:
    """Whether a package holds a file of ``globs``: by its RECORD, or among its libraries."""
    return any(glob in package.fact_files for glob in globs) or any(
        owns(package, library, globs) for library in case.owned(package)
    )


def judged(case: Case, package: Package, row: CompilerFact) -> tuple[Lookup, list[str]]:
    """Whether all that a row wants is there, and which of it is not."""
    states = {name: available(case, package, name, row) for name in (*row.compilers, *row.any_of)}
    needed = [states[name] for name in row.compilers]
    if row.any_of:
        needed.append(max((states[name] for name in row.any_of), key=WORST.index))
    state: Lookup = min(needed, key=WORST.index, default="found")
    lacking = [name for name in row.compilers if states[name] == "missing"]
    if row.any_of and all(states[name] == "missing" for name in row.any_of):
        lacking += row.any_of
    return state, lacking


def available(case: Case, package: Package, name: str, row: CompilerFact | None = None) -> Lookup:
    """Whether a compiler is there: brought by a package, or on the host; unknown without a host."""
    if row is not None and name in row.brings:
        return "found"
    source = next((fact for fact in compilers() if fact.name == name), None)
    if source is None:
        return "unknown"
    here: Lookup = "found" if _brought(case, package, source) else _on_host(case, source)
    # `wants` are rows without any of their own, so this ends.
    return min([here, *(available(case, package, want) for want in source.wants)], key=WORST.index)


def _brought(case: Case, package: Package, source: CompilerSourceFact) -> bool:
    """Whether a package brings it: one that is installed, or one that a wheel requires."""
    if case.installed:
        names = set(case.by_distribution)
    else:
        names = case.required[package.path] | {package.name}
        if names & set(source.through):
            return True
    return any(is_form_of(name, base) for name in names for base in source.distributions)


def _on_host(case: Case, source: CompilerSourceFact) -> Lookup:
    if source.host is None:
        return "missing" if case.installed else "unknown"
    if case.host is None:
        return "unknown"
    tools = case.host.cuda_toolkits if source.host == "cuda_toolkits" else case.host.compilers
    if any(not source.programs or tool.name in source.programs for tool in tools):
        return "found"
    unread = any(note.what.split(".")[0] == source.host for note in case.host.not_checked)
    return "unknown" if unread else "missing"
