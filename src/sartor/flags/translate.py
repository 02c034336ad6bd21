"""A command line for another version, or another engine. Pure.

Nothing is dropped in silence: each option has its step, and what has no counterpart says so.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from sartor.flags.arguments import parse_words, takes_no_value
from sartor.flags.check import Case, check
from sartor.flags.command import ENVIRONMENT, CommandLine
from sartor.flags.facts import meanings
from sartor.flags.model import Step, Translation

if TYPE_CHECKING:
    from sartor.flags.arguments import Given
    from sartor.flags.facts import MeaningFact
    from sartor.flags.model import FlagFinding, Option, OptionSet


class Sides(NamedTuple):
    """The version that a command line is of, and the one that it is to be for."""

    before: Case
    after: Case


def translate(line: CommandLine, sides: Sides) -> Translation:
    """The command line as the other version or engine takes it, with what became of each part."""
    before, after = sides.before.known, sides.after.known
    parsed = parse_words(line.words, before, sides.before.fact)
    steps, variables = _variables(line, sides)
    for given in parsed.given:
        steps.append(_same_engine(given, sides) if _same(sides) else _other(given, sides))
    steps = _without_twins(steps, after)
    model = parsed.positional[:1] if sides.before.fact.positional_model else []
    words = [word for step in steps for word in step.words]
    words, implied = _implied(words, sides)
    steps += implied
    words += [word for step in implied for word in step.words]
    words, head = _head(line, words, model, sides, steps)
    new = CommandLine(after.engine, head, words, variables)
    ahead = [f"{k}={shlex.quote(v)}" for k, v in variables.items() if not _says(head, k)]
    command = " ".join([*ahead, *map(_quoted, head), *map(_quoted, words)])
    return Translation(
        before=f"{before.project}=={before.version}",
        after=f"{after.project}=={after.version}",
        command=command,
        steps=steps,
        findings=check(new, sides.after).wrong,
    )


def _quoted(word: str) -> str:
    """A word as the shell wants it; a variable ahead of the command stays one."""
    name, equals, value = word.partition("=")
    if equals and name.isidentifier():
        return f"{name}={shlex.quote(value)}"
    return shlex.quote(word)


def _says(head: list[str], name: str) -> bool:
    """Whether the words ahead of the engine's own set a variable."""
    return any(f"{name}=" in word for word in head)


def _without_twins(steps: list[Step], after: OptionSet) -> list[Step]:
    """Replacements that are options which the command line gives itself are left out."""
    there = {o.dest for s in steps if s.outcome == "kept" for o in _options(s.words, after)}
    found = []
    for step in steps:
        if step.outcome != "replaced":
            found.append(step)
            continue
        groups = [g for g in _groups(step.words) if not _is_there(g, there, after)]
        words = [word for group in groups for word in group]
        if words:
            found.append(msgspec.structs.replace(step, words=words))
        else:
            because = f"`{step.words[0]}` is there already"
            found.append(Step(flag=step.flag, outcome="dropped", because=because))
    return found


def _options(words: list[str], known: OptionSet) -> list[Option]:
    return [o for w in words if (o := known.find(w.partition("=")[0].partition(".")[0]))]


def _groups(words: list[str]) -> list[list[str]]:
    """Each option with its values."""
    groups: list[list[str]] = []
    for word in words:
        if word.startswith("-") or not groups:
            groups.append([])
        groups[-1].append(word)
    return groups


def _is_there(group: list[str], there: set[str], known: OptionSet) -> bool:
    return "." not in group[0] and any(o.dest in there for o in _options(group[:1], known))


def _same(sides: Sides) -> bool:
    return sides.before.known.engine == sides.after.known.engine


def _variables(line: CommandLine, sides: Sides) -> tuple[list[Step], dict[str, str]]:
    """What becomes of the variables; those that are not the engine's stay as they are."""
    steps: list[Step] = []
    kept: dict[str, str] = {}
    own = tuple(sides.before.fact.prefixes)
    known = {v.name for v in sides.after.known.variables}
    for name, value in line.environment.items():
        if not name.startswith(own):
            kept[name] = value
            continue
        if _same(sides) and name in known:
            kept[name] = value
            steps.append(Step(flag=name, outcome="kept"))
            continue
        if not _same(sides):
            because = f"it is {sides.before.known.engine}'s own"
            steps.append(Step(flag=name, outcome="no-counterpart", because=because))
            continue
        lone = CommandLine(line.engine, [], [], {name: value})
        finding = check(lone, sides.after).findings[0]
        steps.append(_from_finding(name, [value], finding))
    return steps, kept


def _from_finding(flag: str, values: list[str], finding: FlagFinding) -> Step:
    """What a finding's replacement makes of an option that is gone."""
    if not finding.replacement:
        return Step(flag=flag, outcome="no-counterpart", because=finding.because)
    words = shlex.split(finding.replacement)
    if finding.state == "renamed":
        words += values
    return Step(flag=flag, outcome="replaced", words=words, because=finding.because)


def _same_engine(given: Given, sides: Sides) -> Step:
    """An option for another version of the engine."""
    words = _typed(given)
    line = CommandLine(sides.after.known.engine, [], words, {})
    wrong = [f for f in check(line, sides.after).wrong if f.state in {"removed", "renamed"}]
    if wrong:
        return _from_finding(given.typed, given.values, wrong[0])
    return Step(flag=given.typed, outcome="kept", words=words)


def _typed(given: Given) -> list[str]:
    """The option as it was typed, its values after it."""
    name = given.typed
    if name == "-O":
        return [f"-O{given.values[0]}"]
    if len(given.values) == 1 and is_dashed(given.values[0]):
        return [f"{name}={given.values[0]}"]
    return [name, *given.values]


def is_dashed(value: str) -> bool:
    """Whether a value would be taken for an option."""
    return value.startswith("-") and not value[1:2].isdigit()


def _other(given: Given, sides: Sides) -> Step:
    """An option for another engine, by what it means."""
    mine, theirs = sides.before.known.engine, sides.after.known.engine
    names = given.option.names if given.option is not None else (given.name,)
    row = next((m for m in meanings() if set(m.names.get(mine, ())) & set(names)), None)
    implied = [m for m in meanings() if set(m.implies.get(mine, ())) & set(names)]
    if row is None and implied:
        because = f"{theirs} needs no such switch beside `{implied[0].names[theirs][0]}`"
        return Step(flag=given.typed, outcome="dropped", because=because)
    target = None if row is None else _first_known(row.names.get(theirs, []), sides.after.known)
    if row is None or target is None:
        because = f"{theirs} {sides.after.known.version} has no option of that meaning"
        return Step(flag=given.typed, outcome="no-counterpart", because=because)
    return _by_meaning(given, row, target, sides)


def _by_meaning(given: Given, row: MeaningFact, target: str, sides: Sides) -> Step:
    mine, theirs = sides.before.known.engine, sides.after.known.engine
    option = sides.after.known.find(target)
    if option is not None and takes_no_value(option):
        inverted = (mine in row.invert) != (theirs in row.invert)
        on = (not given.name.startswith("--no-")) != inverted
        if on:
            return Step(flag=given.typed, outcome="replaced", words=[target], because=row.note)
        off = f"--no-{target[2:]}"
        words = [off] if off in option.names else []
        because = row.note or ("it is so unless it is said otherwise" if not words else None)
        outcome: str = "replaced" if words else "dropped"
        return Step(flag=given.typed, outcome=outcome, words=words, because=because)  # type: ignore[arg-type]
    common = {**{v: v for v in given.values}, **row.values.get(mine, {})}
    back = {c: own for own, c in row.values.get(theirs, {}).items()}
    if row.values and option is not None:
        allowed = {*row.values.get(mine, {}), *back, *map(str, option.choices or ())}
        strange = [v for v in given.values if v not in allowed]
        if strange:
            because = f"what `{strange[0]}` is called in {theirs} is not known"
            return Step(flag=given.typed, outcome="no-counterpart", because=because)
    values = [back.get(common.get(v, v), common.get(v, v)) for v in given.values]
    return Step(flag=given.typed, outcome="replaced", words=[target, *values], because=row.note)


def _first_known(names: list[str], known: OptionSet) -> str | None:
    return next((name for name in names if known.find(name) is not None), None)


def _implied(words: list[str], sides: Sides) -> tuple[list[str], list[Step]]:
    """The switches that the other engine wants beside what is there."""
    theirs = sides.after.known
    found = []
    for row in meanings() if not _same(sides) else ():
        there = set(row.names.get(theirs.engine, ())) & set(words)
        for switch in row.implies.get(theirs.engine, ()):
            if there and switch not in words and theirs.find(switch) is not None:
                because = f"{theirs.engine} wants it beside `{min(there)}`"
                found.append(Step(flag=switch, outcome="replaced", words=[switch], because=because))
    return words, found


def _head(
    line: CommandLine, words: list[str], model: list[str], sides: Sides, steps: list[Step]
) -> tuple[list[str], list[str]]:
    """The beginning of the command, and the model where the engine wants it."""
    if _same(sides):
        lost = {s.flag for s in steps if s.outcome != "kept"}
        return [*model, *words], _without_variables(line.before, lost)
    fact = sides.after.fact
    name = next(iter(next(m for m in meanings() if m.id == "model").names[fact.engine]))
    if fact.positional_model and name in words:
        place = words.index(name)
        model = words[place + 1 : place + 2]
        words = words[:place] + words[place + 2 :]
    head = fact.commands[0].split() if fact.positional_model else ["python3", "-m", fact.modules[0]]
    own = model if fact.positional_model else [name, *model] if model else []
    return [*own, *words], head


def _without_variables(before: list[str], lost: set[str]) -> list[str]:
    """The words ahead of the engine's own without the variables that are gone."""
    found: list[str] = []
    for word in before:
        if word.removeprefix("--env=").partition("=")[0] not in lost:
            found.append(word)
        elif found and found[-1] in ENVIRONMENT:
            found.pop()
    return found
