"""What came, went and changed between two sets of options. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.flags.check import shown
from sartor.flags.history import same_default
from sartor.flags.model import Change, OptionsDiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.flags.model import Option, OptionSet


def compare(before: OptionSet, after: OptionSet) -> OptionsDiff:
    """How ``after`` differs from ``before``; options are the same whose names meet."""
    old = {name: o for o in before.options for name in o.names}
    new = {name: o for o in after.options for name in o.names}
    went = [o for o in before.options if not any(n in new for n in o.names)]
    came = [o for o in after.options if not any(n in old for n in o.names)]
    pairs = [(old[name], o) for o in after.options if (name := _met(o, old)) is not None]
    variables = {v.name for v in before.variables}, {v.name for v in after.variables}
    unread = [f"{s.version}: {n.what}: {n.why}" for s in (before, after) for n in s.not_read]
    return OptionsDiff(
        engine=after.engine,
        before=before.version,
        after=after.version,
        added=[o.name for o in came],
        removed=[Change(name=o.name, what="removed", after=o.replaced_by) for o in went],
        changed=[change for a, b in pairs for change in _changes(a, b)],
        variables_added=sorted(variables[1] - variables[0]),
        variables_removed=sorted(variables[0] - variables[1]),
        not_compared=unread,
    )


def _met(option: Option, old: dict[str, Option]) -> str | None:
    return next((name for name in option.names if name in old), None)


def _changes(before: Option, after: Option) -> Iterator[Change]:
    """Each difference that a command line can meet."""
    name = after.name
    lost = [n for n in before.names if n not in after.names]
    if lost:
        yield Change(name=name, what="names", before=", ".join(lost))
    told = not (before.default_unknown or after.default_unknown)
    if told and not same_default(before, after):
        yield Change(name=name, what="default", before=shown(before), after=shown(after))
    for what, a, b in (
        ("action", before.action, after.action),
        ("type", before.type, after.type),
        ("values", before.nargs, after.nargs),
    ):
        if a != b:
            yield Change(name=name, what=what, before=str(a), after=str(b))
    yield from _choices(before, after)
    if after.deprecated and not before.deprecated:
        yield Change(name=name, what="deprecated", after=after.replaced_by or after.deprecated)


def _choices(before: Option, after: Option) -> Iterator[Change]:
    if before.choices is None and after.choices is None:
        return
    a, b = (None if o.choices is None else {str(c) for c in o.choices} for o in (before, after))
    if a is None or b is None:
        yield Change(name=after.name, what="choices", before=_free(a), after=_free(b))
    elif a != b:
        gone, new = ", ".join(sorted(a - b)), ", ".join(sorted(b - a))
        yield Change(name=after.name, what="choices", before=gone or None, after=new or None)


def _free(choices: set[str] | None) -> str:
    return "any" if choices is None else ", ".join(sorted(choices))
