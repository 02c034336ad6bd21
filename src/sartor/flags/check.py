"""`check`: a command line against what an engine's version knows. Pure.

Rules give findings; an option of which none speaks is ``ok``.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from sartor.flags.arguments import parse_words, takes_no_value
from sartor.flags.facts import needs, renamed, together
from sartor.flags.history import same_default
from sartor.flags.model import FlagFinding, FlagFindings, Option, Variable
from sartor.flags.values import value_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.flags.arguments import Given, Parsed
    from sartor.flags.command import CommandLine
    from sartor.flags.facts import ReaderFact
    from sartor.flags.history import History
    from sartor.flags.model import OptionSet

CLOSE = 0.72
MOST_CLOSE = 3


class Case(NamedTuple):
    """What a command line is held against.

    ``written_for`` is the version that it was written for, where that is known: options that it
    does not give, and whose default is another now, are then found. ``sm`` are the compute
    capabilities of the GPUs, none where they are not known.
    """

    known: OptionSet
    history: History
    fact: ReaderFact
    sm: tuple[str, ...] = ()
    written_for: OptionSet | None = None


def check(line: CommandLine, case: Case) -> FlagFindings:
    """Every option and variable of a command line, in its order, with its state."""
    parsed = parse_words(line.words, case.known, case.fact)
    found = [_of_variable(name, value, case) for name, value in _own(line, case)]
    found += [finding for given in parsed.given for finding in _of_option(given, case)]
    found += _of_positional(parsed, case)
    found += _contradictions(parsed, case)
    if case.written_for is not None:
        found += _other_defaults(parsed, case, case.written_for)
    return FlagFindings(case.known.engine, case.known.version, found, _not_checked(parsed, case))


def _own(line: CommandLine, case: Case) -> list[tuple[str, str]]:
    """The variables that are the engine's; what others mean is not judged."""
    own = tuple(case.fact.prefixes)
    known = {v.name for v in case.known.variables}
    return [(n, v) for n, v in line.environment.items() if n.startswith(own) or n in known]


def _of_variable(name: str, value: str, case: Case) -> FlagFinding:
    variable = next((v for v in case.known.variables if v.name == name), None)
    if variable is None:
        return _absent(name, [value], case)
    fault = None
    if variable.choices is not None and value not in variable.choices:
        fault = f"`{value}` is none of {', '.join(variable.choices)}"
    elif variable.type == "int" and not value.lstrip("-").isdigit():
        fault = f"`{value}` is no whole number"
    if fault:
        return FlagFinding(flag=name, state="invalid", because=fault)
    return FlagFinding(
        flag=name, state="ok", because=variable.deprecated, replacement=variable.replaced_by
    )


def _of_option(given: Given, case: Case) -> Iterator[FlagFinding]:
    option = given.option
    if option is None or given.abbreviated:
        finding = _not_exact(given, case)
        if finding is not None:
            yield finding
            return
    if option is None:
        return
    fault = given.fault or _fault(given, option)
    if fault:
        yield FlagFinding(flag=given.typed, state="invalid", because=fault)
        return
    lacking = list(_lacking(given, case))
    yield from lacking
    if not lacking:
        note = f"it stands for {option.name}" if given.abbreviated else option.deprecated
        yield FlagFinding(
            flag=given.typed, state="ok", because=note, replacement=option.replaced_by
        )


def _not_exact(given: Given, case: Case) -> FlagFinding | None:
    """What is to say of a name that is no option's; None where it is a plain abbreviation."""
    finding = _absent(given.name, given.values, case, typed=given.typed)
    if given.option is not None:
        if finding.state == "unknown":
            return None
        taken = f"the engine takes it for {given.option.name}, which it is the beginning of"
        return _with(finding, f"{finding.because}; {taken}")
    if given.fault:
        if finding.state == "unknown":
            return FlagFinding(flag=given.typed, state="invalid", because=given.fault)
        return _with(finding, f"{finding.because}; {given.fault}, and is refused")
    return finding


def _with(finding: FlagFinding, because: str) -> FlagFinding:
    return FlagFinding(
        flag=finding.flag,
        state=finding.state,
        since=finding.since,
        replacement=finding.replacement,
        because=because,
        closest=finding.closest,
    )


def _absent(name: str, values: list[str], case: Case, typed: str | None = None) -> FlagFinding:
    """A name that this version does not have: gone, not yet there, or never."""
    flag, version = typed or name, case.known.version
    row = next((r for r in renamed() if (r.engine, r.name) == (case.known.engine, name)), None)
    last = case.history.last_before(name, version)
    if last is not None or row is not None:
        thing, since = last if last is not None else (None, None)
        new = None if row is None else _written(row.words, values)
        because = row.because if row else None
        old = thing.replaced_by if thing is not None else None
        if new is None and old is not None:
            new = _still_there(old, case)
            because = thing.deprecated if thing is not None else None
        same = isinstance(thing, Option) and new is not None and _takes_over(thing, new, case)
        return FlagFinding(
            flag=flag,
            state="renamed" if same else "removed",
            since=since or (row.since if row else None),
            replacement=new,
            because=because or (thing.deprecated if thing else None) or f"no `{name}` in {version}",
        )
    later = case.history.first_after(name, version)
    near = closest(name, case)
    because = f"no `{name}` in {case.known.project} {version}"
    if later is not None:
        because += f"; it came with {later}"
    return FlagFinding(flag=flag, state="unknown", since=None, because=because, closest=near)


def _still_there(name: str, case: Case) -> str | None:
    """The replacement, or what replaced that in turn; None where nothing is left of it."""
    for _ in range(8):
        bare = name.partition("=")[0].partition(".")[0]
        if case.known.find(bare) or not bare.startswith("-"):
            return name
        last = case.history.last_before(bare, case.known.version)
        if last is None or last[0].replaced_by is None:
            return None
        name = last[0].replaced_by
    return None


def _takes_over(old: Option, new: str, case: Case) -> bool:
    """Whether the replacement is written as the old one was: both with a value, or both without."""
    option = case.known.find(new)
    return option is not None and takes_no_value(option) == takes_no_value(old)


def _written(words: list[str], values: list[str]) -> str:
    value = values[0] if values else ""
    return " ".join(w.replace("{value}", value).replace("{lower}", value.lower()) for w in words)


def closest(name: str, case: Case) -> list[str]:
    """The names that look most like one that is not known."""
    if name.startswith("-"):
        names = [n for option in case.known.options for n in option.names]
    else:
        names = [v.name for v in case.known.variables]
    return difflib.get_close_matches(name, names, MOST_CLOSE, CLOSE)


def _fault(given: Given, option: Option) -> str | None:
    if given.keys:
        json_like = option.type == "json" or "dict" in (option.type_name or "")
        return None if json_like or option.type in {"other", "str"} else "it takes no keys"
    if takes_no_value(option):
        return None
    for value in given.values:
        if fault := value_fault(option, value):
            return fault
    return None


def _lacking(given: Given, case: Case) -> Iterator[FlagFinding]:
    """What the option, or the value that it is given, needs and may not have."""
    option = given.option
    for row in needs():
        if option is None or row.engine != case.known.engine or row.name not in option.names:
            continue
        meant = row.value is None or row.value in given.values
        if not meant or not within(case.known.version, row.versions):
            continue
        if row.package is not None:
            yield FlagFinding(
                flag=given.typed,
                state="unsupported",
                replacement=f"pip install {row.package}",
                because=row.because,
            )
        lacks = [sm for sm in case.sm if not _has_sm(row.least_sm, row.only_sm, sm)]
        if lacks:
            because = f"{row.because} (asked for: {', '.join(lacks)})"
            yield FlagFinding(flag=given.typed, state="unsupported", because=because)


def _has_sm(least: str | None, only: list[str], sm: str) -> bool:
    if only:
        return sm in only
    return least is None or Version(sm) >= Version(least)


def within(version: str, versions: str) -> bool:
    """Whether a version is in a range; an empty one has all."""
    return not versions or Version(version) in SpecifierSet(versions, prereleases=True)


def _of_positional(parsed: Parsed, case: Case) -> list[FlagFinding]:
    allowed = 1 if case.fact.positional_model else 0
    return [
        FlagFinding(flag=word, state="invalid", because="it belongs to no option")
        for word in parsed.positional[allowed:]
    ]


def _contradictions(parsed: Parsed, case: Case) -> list[FlagFinding]:
    found = []
    by_dest: dict[str, str] = {}
    for given in parsed.given:
        option = given.option
        if option is None or option.action != "boolean":
            continue
        said = "off" if given.name.startswith("--no-") else "on"
        if by_dest.setdefault(option.dest, said) != said:
            because = f"it is switched on and off: the last one counts, `{given.typed}`"
            found.append(FlagFinding(flag=given.typed, state="contradicts", because=because))
    found += _exclusive(parsed)
    for row in together():
        if row.engine == case.known.engine and within(case.known.version, row.versions):
            found += _row_of(parsed, row.name, row.value, row.other, row.missing, row.because)
    return found


def _exclusive(parsed: Parsed) -> list[FlagFinding]:
    """Options of a group of which the parser takes one alone."""
    first: dict[int, Given] = {}
    found = []
    for given in parsed.given:
        group = given.option.exclusive if given.option else None
        if group is None:
            continue
        other = first.setdefault(group, given)
        if other.option is not given.option:
            because = f"it is not taken together with `{other.typed}`"
            found.append(FlagFinding(flag=given.typed, state="contradicts", because=because))
    return found


def _row_of(
    parsed: Parsed, name: str, value: str | None, other: str, missing: bool, because: str
) -> list[FlagFinding]:
    typed = [g for g in parsed.given if g.option is not None and name in g.option.names]
    meant = [g for g in typed if value is None or value in g.values]
    there = any(g.option is not None and other in g.option.names for g in parsed.given)
    if not meant or there is missing:
        return []
    return [
        FlagFinding(
            flag=meant[0].typed,
            state="contradicts",
            replacement=other if missing else None,
            because=because,
        )
    ]


def _other_defaults(parsed: Parsed, case: Case, before: OptionSet) -> list[FlagFinding]:
    """Options that are left to their default, which is another than where it was written for."""
    given = {g.option.dest for g in parsed.given if g.option is not None}
    old = {o.name: o for o in before.options}
    found = []
    for option in case.known.options:
        was = old.get(option.name)
        if was is None or option.dest in given or option.is_positional:
            continue
        told = not (was.default_unknown or option.default_unknown)
        if told and not same_default(was, option):
            since = case.history.default_since(option.name, case.known.version)
            because = f"its default is {shown(option)}, and was {shown(was)} in {before.version}"
            found.append(
                FlagFinding(flag=option.name, state="changed", since=since, because=because)
            )
    return found


def shown(option: Option) -> str:
    """An option's default as it may be read."""
    if option.default_unknown:
        return "not told"
    return f"`{option.default_text if option.default_text is not None else option.default}`"


def _not_checked(parsed: Parsed, case: Case) -> list[str]:
    found = [
        f"{given.typed}: what its values may be is not told by the package"
        for given in parsed.given
        if given.option is not None and given.option.type == "other" and given.values
    ]
    if not case.sm and any(
        row.least_sm or row.only_sm
        for given in parsed.given
        for row in needs()
        if given.option is not None and row.name in given.option.names
    ):
        found.append("whether the GPU supports it: no GPU was named (`--sm 9.0`)")
    return found


__all__ = ["Case", "Variable", "check", "closest", "shown"]
