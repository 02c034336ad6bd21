"""How statements end, and how two ways that the source may go come together again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.flags.static.values import (
    EnumMember,
    Instance,
    PyClass,
    Raised,
    Scope,
    Unknown,
    first_unknown,
)

if TYPE_CHECKING:
    from sartor.flags.static.values import Value


class Return(Exception):  # noqa: N818 - the way out of a function
    """A function returns."""

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


class Break(Exception):  # noqa: N818
    """A loop is left."""


class Continue(Exception):  # noqa: N818
    """The next turn of a loop begins."""


def ancestors(raised: Raised) -> set[str]:
    """The names of an exception and of what it derives from."""
    value = raised.value
    cls = value.cls if isinstance(value, Instance) else value
    if isinstance(cls, PyClass):
        return {raised.kind, *cls.base_names()}
    import builtins

    known = getattr(builtins, raised.kind, None)
    return {c.__name__ for c in known.__mro__} if isinstance(known, type) else {raised.kind}


def owner_of(scope: Scope, name: str) -> Scope:
    """The scope whose name an assignment binds, after `global` and `nonlocal`."""
    if name not in scope.outer:
        return scope
    above = scope.parent
    while above is not None:
        if name in above.names:
            return above
        above = above.parent
    return scope.module.scope


def make_members(cls: PyClass) -> None:
    """Turn the assignments of an enumeration into its members."""
    members = {}
    number = 0
    for name, value in list(cls.names.items()):
        if name.startswith("_") or callable(getattr(value, "function", None)):
            continue
        if not isinstance(value, (str, int, float, tuple, list, dict, type(None), Unknown)):
            continue
        number += 1
        plain: Value = value
        if isinstance(value, Unknown) and value.why == "enum.auto":
            lowers = "StrEnum" in cls.base_names()
            plain = name.lower() if lowers else number
        members[name] = EnumMember(cls, name, plain)
    cls.names |= members
    cls.members = members


def returned_before(names: dict[str, Value]) -> list[Value]:
    """What was returned on ways that the source may go."""
    found = names.get("<returned>")
    return found if isinstance(found, list) else []


def alike(one: Value, other: Value) -> bool:
    """Whether two plain values are the same."""
    plain = (str, int, float, bool, type(None))
    return type(one) is type(other) and isinstance(one, plain) and one == other


def joined(ends: list[Exception], condition: str) -> Exception:
    """How two ways that are both left go on: as one of them where they agree."""
    first, second = ends
    if isinstance(first, Raised):
        return second
    if isinstance(first, Return) and isinstance(second, Return):
        if first.value is second.value or alike(first.value, second.value):
            return first
        unknown = first_unknown(first.value, second.value)
        return Return(unknown or Unknown(f"what is returned depends on `{condition}`"))
    return first
