"""Methods of Python's own texts and containers, and what calling its own types gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sartor.flags.static.operators import check_format, hashable
from sartor.flags.static.values import (
    EnumMember,
    Function,
    Instance,
    Native,
    PyClass,
    Raised,
    TooMuch,
    Unknown,
    first_unknown,
)

if TYPE_CHECKING:
    from sartor.flags.static.interpreter import Interpreter
    from sartor.flags.static.values import Value

MOST_TEXT = 1 << 20
TEXT = frozenset(
    [
        "capitalize",
        "casefold",
        "count",
        "endswith",
        "find",
        "format",
        "index",
        "isalnum",
        "isalpha",
        "isascii",
        "isdecimal",
        "isdigit",
        "islower",
        "isnumeric",
        "isspace",
        "isupper",
        "join",
        "lower",
        "lstrip",
        "partition",
        "removeprefix",
        "removesuffix",
        "replace",
        "rfind",
        "rpartition",
        "rsplit",
        "rstrip",
        "split",
        "splitlines",
        "startswith",
        "strip",
        "swapcase",
        "title",
        "upper",
        "encode",
    ]
)
OF: dict[type, frozenset[str]] = {
    str: TEXT,
    bytes: frozenset({"decode"}),
    list: frozenset(
        [
            "append",
            "extend",
            "insert",
            "pop",
            "remove",
            "index",
            "count",
            "sort",
            "reverse",
            "copy",
            "clear",
        ]
    ),
    tuple: frozenset({"index", "count"}),
    dict: frozenset(
        [
            "get",
            "items",
            "keys",
            "values",
            "update",
            "pop",
            "setdefault",
            "copy",
            "clear",
            "popitem",
        ]
    ),
    set: frozenset(
        [
            "add",
            "update",
            "discard",
            "remove",
            "union",
            "intersection",
            "difference",
            "copy",
            "issubset",
            "issuperset",
        ]
    ),
    frozenset: frozenset({"union", "intersection", "difference", "issubset"}),
    int: frozenset({"bit_length"}),
    float: frozenset({"is_integer"}),
}
CHANGES = frozenset(
    ["append", "extend", "insert", "update", "pop", "setdefault", "clear", "add", "remove", "sort"]
)
ITERATES = {"join", "extend", "update", "union", "intersection", "difference"}


def container_method(interpreter: Interpreter, value: Value, name: str) -> Value:
    """A method of a plain value; of anything else not told."""
    if value is None or isinstance(value, type):
        kind = type(None) if value is None else value
        if name in {"__name__", "__qualname__", "__module__"}:
            return getattr(kind, name)
    if name == "__mro__" and isinstance(value, type):
        return value.__mro__
    if isinstance(value, type) and name == "fromkeys":
        return Native(name, lambda keys, fill=None: dict.fromkeys(keys, fill))
    if isinstance(value, type) and name in OF.get(value, ()):
        return Native(name, lambda of, *args, **kw: _method(interpreter, of, name)(*args, **kw))
    if name in OF.get(type(value), ()):
        return Native(name, _method(interpreter, value, name))
    if value is None or type(value) in OF or isinstance(value, bool):
        raise Raised("AttributeError", None, f"a {type(value).__name__} has no `{name}`")
    return Unknown(f"`{name}` of a {type(value).__name__}")


def _method(interpreter: Interpreter, value: Value, name: str) -> Any:
    def act(*args: Value, **kwargs: Value) -> Value:
        if name in ITERATES and args and not isinstance(value, dict):
            items = interpreter.items(args[0])
            if isinstance(items, Unknown):
                return _spoiled(value, items)
            args = (items, *args[1:])
        if name == "join":
            unknown = first_unknown(*args[0])  # type: ignore[misc]
            if unknown:
                return unknown
            args = ([interpreter.text(item) for item in args[0]],)  # type: ignore[attr-defined]
        if name == "sort":
            value[:] = interpreter.items(sort(interpreter, value, **kwargs))  # type: ignore[index]
            return None
        if interpreter.conditions and name in CHANGES and not isinstance(value, str):
            return _changed(value, name, f"where {interpreter.conditions[-1]}, which is not told")
        if isinstance(value, str):
            _check_text(value, name, args)
        if isinstance(value, str) and name != "format" and (unknown := first_unknown(*args)):
            return unknown
        if name == "format" and (unknown := first_unknown(*args, *kwargs.values())):
            return unknown
        found = getattr(value, name)(*args, **kwargs)
        return list(found) if name in {"items", "keys", "values"} else found

    return act


def _changed(value: Value, name: str, when: str) -> Value:
    """What is done to a container under a condition that is not told makes it not told."""
    why = Unknown(f"`{name}` is done {when}")
    if isinstance(value, dict):
        value.update(dict.fromkeys(value, why))
        return why
    return _spoiled(value, why)


def _spoiled(value: Value, why: Unknown) -> Value:
    """A list to which something was added that is not known has something that is not known."""
    if isinstance(value, list):
        value.append(why)
        return None
    if isinstance(value, set):
        value.add(why)
        return None
    return why


def _check_text(value: str, name: str, args: tuple[Value, ...]) -> None:
    if name == "format":
        check_format(value)
    if name == "replace" and len(value) * max(len(str(args[1])), 1) > MOST_TEXT:
        raise TooMuch("a very long text")
    if name in {"center", "ljust", "rjust", "zfill"}:
        raise TooMuch("a wide text")


def sort(
    interpreter: Interpreter, value: Value, key: Value = None, reverse: Value = False
) -> Value:
    """What ``sorted`` gives."""
    items = interpreter.items(value)
    if isinstance(items, Unknown):
        return items
    keys = [item if key is None else interpreter.call(key, [item], {}) for item in items]
    keys = [k.value if isinstance(k, EnumMember) else k for k in keys]
    unknown = first_unknown(*keys)
    if unknown:
        return unknown
    plain: list[Any] = keys
    places = sorted(range(len(items)), key=plain.__getitem__, reverse=bool(reverse))
    return [items[i] for i in places]


class _Construct:
    """What calling a type of Python's own gives."""

    def construct(
        self, interpreter: Interpreter, kind: type, args: list[Value], kwargs: dict[str, Value]
    ) -> Value:
        """``kind(*args, **kwargs)``, of those types that definitions use."""
        if issubclass(kind, BaseException):
            return kind
        if kind is dict:
            return self._dict(interpreter, args, kwargs)
        if not args:
            return kind() if kind in OF or kind is bool else Unknown(f"`{kind.__name__}()`")
        if kind is str:
            return interpreter.text(args[0])
        if kind is bool:
            return interpreter.truth(args[0])
        if kind in (list, tuple, set, frozenset):
            items = interpreter.items(args[0])
            if isinstance(items, Unknown):
                return items
            return hashable(items) if kind is set else kind(items)
        if kind is type:
            return type_of(args[0])
        return self._number(kind, args)

    def _dict(self, interpreter: Interpreter, args: list[Value], kwargs: dict[str, Value]) -> Value:
        found: dict[Value, Value] = {}
        if args and isinstance(args[0], dict):
            found |= args[0]
        elif args:
            items = interpreter.items(args[0])
            if isinstance(items, Unknown):
                return items
            for item in items:
                pair = interpreter.items(item)
                if isinstance(pair, Unknown):
                    return pair
                found[pair[0]] = pair[1]
        return found | kwargs

    def _number(self, kind: type, args: list[Value]) -> Value:
        value = args[0].value if isinstance(args[0], EnumMember) else args[0]
        unknown = first_unknown(*args)
        if unknown:
            return unknown
        if kind in (int, float) and isinstance(value, (str, int, float)):
            if isinstance(value, str) and len(value) > 4000:
                raise TooMuch("a very large number")
            try:
                return kind(value, *args[1:])
            except (ValueError, TypeError, OverflowError) as error:
                raise Raised(type(error).__name__, None, str(error)[:200]) from error
        return Unknown(f"`{kind.__name__}` of a {type(value).__name__}")


def type_of(value: Value) -> Value:
    """What ``type(value)`` gives."""
    match value:
        case Unknown():
            return value
        case Instance(cls=cls) | EnumMember(cls=cls):
            return cls
        case PyClass():
            return type
        case Function() | Native():
            return Unknown("the type of a function")
        case None:
            return None
        case _:
            return type(value)


METHODS = _Construct()
