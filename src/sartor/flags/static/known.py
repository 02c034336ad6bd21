"""What functions of Python and its library do with values of the interpreter."""

from __future__ import annotations

import ast
import copy
import itertools
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sartor.flags.static.classes import MISSING, defined_struct
from sartor.flags.static.module import Module
from sartor.flags.static.operators import is_type
from sartor.flags.static.values import (
    Bound,
    EnumMember,
    FieldSpec,
    Form,
    Function,
    Instance,
    Native,
    PyClass,
    Raised,
    Scope,
    Special,
    Unknown,
    first_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.flags.static.interpreter import Interpreter
    from sartor.flags.static.values import Value

ENUMS = ["Enum", "StrEnum", "IntEnum", "Flag", "IntFlag", "EnumMeta"]
MOST_COMBINED = 5000


def identity(value: Value = None, *_: Value, **__: Value) -> Value:
    """What Python's own `identity` gives."""
    return value


IDENTITY_FUNCTION = Native("identity", identity)


def decorator_or_factory(value: Value = None, *_: Value, **__: Value) -> Value:
    """What Python's own `decorator_or_factory` gives."""
    return value if isinstance(value, (Function, PyClass)) else IDENTITY_FUNCTION


def marking(kind: str) -> Native:
    """What Python's own `marking` gives."""

    def mark(value: Value = None, *_: Value) -> Value:
        return replace(value, kind=kind) if isinstance(value, Function) else value

    return Native(kind, mark)


def dataclass_of(cls: Value = None, *_: Value, **__: Value) -> Value:
    """What Python's own `dataclass_of` gives."""
    if isinstance(cls, PyClass):
        cls.is_dataclass = True
        return cls
    return Native("dataclass", dataclass_of)


def defstruct(
    interpreter: Interpreter, name: Value, fields: Value, namespace: Value = None, **_: Value
) -> Value:
    """What Python's own `defstruct` gives."""
    items = interpreter.items(fields)
    unknown = first_unknown(items, name, namespace)
    if unknown:
        return unknown
    return defined_struct(match_class(), str(name), list(items), namespace)  # type: ignore[arg-type]


def is_dataclass(value: Value) -> Value:
    """What Python's own `is_dataclass` gives."""
    if isinstance(value, Unknown):
        return value
    cls = value.cls if isinstance(value, Instance) else value
    return isinstance(cls, PyClass) and cls.is_dataclass


def field_of(kind: str, default: Value = MISSING, **given: Value) -> FieldSpec:
    """What Python's own `field_of` gives."""
    factory = given.get("default_factory", MISSING)
    if kind == "pydantic":
        factory = None if factory is MISSING else factory
        default = (
            Special("PydanticUndefined") if default is MISSING and factory is None else default
        )
    elif default is ...:
        default = MISSING
    metadata = given.get("metadata")
    found = FieldSpec(default, factory, kind, metadata if isinstance(metadata, dict) else {})
    found.init = given.get("init", True)
    return found


def get_args(value: Value) -> Value:
    """What Python's own `get_args` gives."""
    if isinstance(value, Unknown):
        return value
    return value.args if isinstance(value, Form) else ()


def get_origin(value: Value) -> Value:
    """What Python's own `get_origin` gives."""
    if isinstance(value, (Unknown, FieldSpec)):
        return value if isinstance(value, Unknown) else None
    return value.origin if isinstance(value, Form) else None


def is_instance(value: Value, kind: Value) -> Value:
    """What Python's own `is_instance` gives."""
    if isinstance(kind, Form):
        kind = kind.args
    if isinstance(kind, tuple):
        answers = [is_instance(value, one) for one in kind]
        return True if True in answers else first_unknown(*answers) or False
    if isinstance(value, Unknown) or isinstance(kind, Unknown):
        return first_unknown(value, kind)
    if kind is type:
        return isinstance(value, (type, PyClass))
    if isinstance(kind, Special):
        return is_special(value, kind.name)
    if isinstance(kind, PyClass):
        return isinstance(value, (Instance, EnumMember)) and kind in value.cls.mro()
    if kind is None:
        return value is None
    if isinstance(value, EnumMember):
        return is_subclass(value.cls, kind)
    return isinstance(value, kind) if isinstance(kind, type) else Unknown("isinstance")


def is_special(value: Value, name: str) -> Value:
    """What Python's own `is_special` gives."""
    if name == "FieldInfo":
        return isinstance(value, FieldSpec) and value.kind == "pydantic"
    if name in {"Sequence", "Iterable", "Collection"}:
        return isinstance(value, (list, tuple, str, dict, set))
    if name in {"Mapping", "MutableMapping"}:
        return isinstance(value, dict)
    if name == "Callable":
        return isinstance(value, (Function, Native, Bound, PyClass, type))
    if name in ENUMS:
        return isinstance(value, EnumMember)
    return False


def is_subclass(value: Value, kind: Value) -> Value:
    """What Python's own `is_subclass` gives."""
    if isinstance(kind, tuple):
        answers = [is_subclass(value, one) for one in kind]
        return True if True in answers else first_unknown(*answers) or False
    if isinstance(value, Unknown) or isinstance(kind, Unknown):
        return first_unknown(value, kind)
    if isinstance(value, PyClass):
        name = getattr(kind, "name", None) or getattr(kind, "__name__", None)
        return kind in value.mro() or (not isinstance(kind, PyClass) and name in value.base_names())
    if isinstance(value, type) and isinstance(kind, type):
        return issubclass(value, kind)
    if not is_type(value) or isinstance(value, Form):
        raise Raised("TypeError", None, "issubclass() of no class")
    return False


def has_attribute(interpreter: Interpreter, value: Value, name: str) -> Value:
    """What Python's own `has_attribute` gives."""
    try:
        found = interpreter.attribute(value, name)
    except Raised:
        return False
    return found if isinstance(found, Unknown) else True


def get_attribute(interpreter: Interpreter, value: Value, name: str, *default: Value) -> Value:
    """What Python's own `get_attribute` gives."""
    if isinstance(name, Unknown):
        return name
    try:
        return interpreter.attribute(value, str(name))
    except Raised:
        if default:
            return default[0]
        raise


def of_items(interpreter: Interpreter, value: Value, act: Callable[[list[Value]], Value]) -> Value:
    """What Python's own `of_items` gives."""
    items = interpreter.items(value)
    return items if isinstance(items, Unknown) else act(items)


def zipped(interpreter: Interpreter, *values: Value) -> Value:
    """What Python's own `zipped` gives."""
    lists: list[list[Value]] = []
    for value in values:
        items = interpreter.items(value)
        if isinstance(items, Unknown):
            return items
        lists.append(items)
    return list(zip(*lists, strict=False))


def chained(interpreter: Interpreter, *values: Value) -> Value:
    """What Python's own `chained` gives."""
    found: list[Value] = []
    for value in values:
        items = interpreter.items(value)
        if isinstance(items, Unknown):
            return items
        found += items
    return found


def combined(
    interpreter: Interpreter, act: Callable[..., Iterable[Value]], value: Value, size: Value
) -> Value:
    """What Python's own `combined` gives."""
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return items
    return list(itertools.islice(act(items, size), MOST_COMBINED))


def quantified(interpreter: Interpreter, value: Value, *, wanted: bool) -> Value:
    """What Python's own `quantified` gives."""
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return items
    answers = [interpreter.truth(item) for item in items]
    if wanted in answers:
        return wanted
    return first_unknown(*answers) or not wanted


def summed(items: list[Value], start: Value) -> Value:
    """What Python's own `summed` gives."""
    unknown = first_unknown(*items)
    if unknown:
        return unknown
    if isinstance(start, list):
        return [inner for item in items for inner in item]  # type: ignore[attr-defined]
    return sum(items, start)  # type: ignore[call-overload]


def extreme(
    interpreter: Interpreter, act: Callable[..., Value], *values: Value, **given: Value
) -> Value:
    """What Python's own `extreme` gives."""
    items = interpreter.items(values[0]) if len(values) == 1 else list(values)
    if isinstance(items, Unknown):
        return items
    if unknown := first_unknown(*items):
        return unknown
    if not items:
        if "default" in given:
            return given["default"]
        raise Raised("ValueError", None, "of nothing")
    return act(items)


def filtered(interpreter: Interpreter, act: Value, value: Value) -> Value:
    """What Python's own `filtered` gives."""
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return items
    kept = []
    for item in items:
        truth = interpreter.truth(item if act is None else interpreter.call(act, [item], {}))
        if isinstance(truth, Unknown):
            return truth
        if truth:
            kept.append(item)
    return kept


def first_of(interpreter: Interpreter, value: Value, *default: Value) -> Value:
    """What Python's own `first_of` gives."""
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return items
    if items:
        return items[0]
    if default:
        return default[0]
    raise Raised("StopIteration")


def joined_path(*parts: Value) -> Value:
    """What Python's own `joined_path` gives."""
    unknown = first_unknown(*parts)
    return unknown or "/".join(str(part) for part in parts)


def loads(text: Value) -> Value:
    """What Python's own `loads` gives."""
    if isinstance(text, Unknown):
        return text
    try:
        found: Value = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise Raised("JSONDecodeError", json.JSONDecodeError, str(error)) from error
    return found


def dumps(value: Value, **_: Value) -> Value:
    """What Python's own `dumps` gives."""
    return first_unknown(value) or json.dumps(value, default=str)


def adapter() -> Value:
    """Pydantic's reader of JSON: whether what it reads fits the type is not tried."""

    def read(text: Value) -> Value:
        try:
            return loads(text)
        except Raised as raised:
            raise Raised("ValidationError", Special("ValidationError"), raised.text) from raised

    return Instance(match_class(), {"validate_json": Native("validate_json", read)})


def split(pattern: Value, text: Value, *_: Value) -> Value:
    """What Python's own `split` gives."""
    if pattern not in SIMPLE or not isinstance(text, str) or len(text) > 64:
        return Unknown("an expression that is not evaluated")
    return re.split(str(pattern), text)


def substituted(pattern: Value, text: Value) -> Value:
    """What Python's own `substituted` gives."""
    if pattern not in SIMPLE or not isinstance(text, str) or len(text) > 64:
        return Unknown("an expression that is not evaluated")
    if not re.search(str(pattern), text):
        return text
    return Unknown("what an expression puts in")


def matched(pattern: Value, text: Value, *_: Value, full: bool = False) -> Value:
    """Whether one of the few simple expressions of type functions matches; else not told."""
    if not isinstance(pattern, str) or not isinstance(text, str) or len(text) > 64:
        return Unknown("an expression")
    if pattern not in SIMPLE:
        return Unknown("an expression that is not evaluated")
    found = re.fullmatch(pattern, text) if full else re.match(pattern, text)
    if found is None:
        return None
    groups = found.groups()
    cls = match_class()
    names = {"groups": Native("groups", lambda: groups), "group": Native("group", found.group)}
    return Instance(cls, dict(names))


SIMPLE = frozenset(
    {
        r"(\d+(?:\.\d+)?)([kKmMgGtT])",
        r"(?s)^\s*{.*}\s*$",
        r"^\s*{.*}\s*$",
        "^{.*}$",
        r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)",
        r'("(?:[^"\\]|\\.)*")',
        r"\b\d+(?:\.\d+)?[kKmMgGtT]\b",
    }
)
"""Patterns that are matched: no other is, for a pattern may take for ever."""


def match_class() -> PyClass:
    """A class for objects of Python's own, of which not every attribute is known."""
    node = ast.ClassDef("Object", [], [], [], [])
    outside = Unknown("an attribute of Python's own object")
    return PyClass("Object", [outside], {}, {}, node, Scope(Module("re", "re.py", ast.parse(""))))


def copied(value: Value, *, deep: bool) -> Value:
    """A copy of containers; what is in them stays itself unless it is a container too."""
    if isinstance(value, dict):
        return {k: copied(v, deep=deep) if deep else v for k, v in value.items()}
    if isinstance(value, list):
        return [copied(v, deep=deep) if deep else v for v in value]
    if isinstance(value, Instance):
        return copy.copy(value)
    return value
