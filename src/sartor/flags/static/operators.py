"""Python's operators over plain values, within bounds."""

from __future__ import annotations

import ast
import operator
import re
from typing import TYPE_CHECKING, Any

from sartor.flags.static.values import (
    EnumMember,
    Form,
    PyClass,
    Raised,
    Scope,
    Special,
    TooMuch,
    Unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sartor.flags.static.values import Value

OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
MOST_ITEMS = 1 << 20
"""Of one text or container, and the bits of one number."""
WIDE = re.compile(r"[%:{.][^%{}]{0,8}?\d{4}")
TYPES = (type, PyClass, Form, Special)


def is_type(value: Value) -> bool:
    """Whether a value may stand in a type: a class, a form of `typing`, None."""
    return value is None or isinstance(value, TYPES)


def hashable(values: Iterable[Value]) -> Value:
    """A set; raises `Raised` where a value cannot be in one."""
    try:
        return set(values)
    except TypeError as error:
        raise Raised("TypeError", None, str(error)) from error


def check_size(op: ast.operator, left: Value, right: Value) -> None:
    """Raises `TooMuch` where an operator would make something very large."""
    sizes = [len(v) for v in (left, right) if isinstance(v, (str, bytes, list, tuple))]
    numbers = [abs(v) for v in (left, right) if isinstance(v, (int, float))]
    if isinstance(op, ast.Mult) and sizes and numbers and sizes[0] * numbers[0] > MOST_ITEMS:
        raise TooMuch("a very long text or list")
    if isinstance(op, (ast.Pow, ast.LShift)) and len(numbers) == 2:
        bits = numbers[1] * (max(int(numbers[0]), 1).bit_length() if isinstance(op, ast.Pow) else 1)
        if bits > 4096:
            raise TooMuch("a very large number")
    if isinstance(op, ast.Mult) and any(n > 1 << 4096 for n in numbers):
        raise TooMuch("a very large number")
    if isinstance(op, ast.Mod) and isinstance(left, (str, bytes)):
        check_format(str(left))


def check_format(text: str) -> None:
    """Raises `TooMuch` for a form of texts that asks for a wide field."""
    if WIDE.search(text) or "%*" in text:
        raise TooMuch("a wide form")


def as_python(act: Callable[[], Value]) -> Value:
    """What Python's own operation gives; its exceptions are the source's."""
    try:
        return act()
    except (ArithmeticError, TypeError, ValueError, LookupError) as error:
        raise Raised(type(error).__name__, None, str(error)) from error


def or_unknown(found: list[Value] | Unknown, make: Callable[[Iterator[Value]], Value]) -> Value:
    """A container of what was found, or why it is not told."""
    return found if isinstance(found, Unknown) else make(iter(found))


def inner_scope(scope: Scope) -> Scope:
    """The scope of a comprehension."""
    return Scope(scope.module, scope, is_class=False, cls=scope.cls)


def of_enum(value: Value) -> Value:
    """Members of enumerations of texts compare as these."""
    if isinstance(value, EnumMember) and {"str", "StrEnum", "IntEnum", "int"} & (
        value.cls.base_names()
    ):
        return value.value
    return value


def same_type(left: Value, right: Value) -> bool:
    """Whether two types are one and the same."""
    named = isinstance(left, Special) and isinstance(right, Special) and left.name == right.name
    return named or (isinstance(left, Form) and left == right)
