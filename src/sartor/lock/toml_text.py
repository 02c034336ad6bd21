"""TOML as the lock files are written: one way for each value, so equal values are equal bytes."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_LONG = 60


def lines_of(table: Mapping[str, Any]) -> list[str]:
    """``key = value`` for each entry that is not None; lists that are long get a line an item."""
    return [f"{key(k)} = {value(v)}" for k, v in table.items() if v is not None]


def table(header: str, entries: Mapping[str, Any], *, array: bool = False) -> list[str]:
    """A table, or one of an array of tables, after an empty line."""
    return ["", f"[[{header}]]" if array else f"[{header}]", *lines_of(entries)]


def arrays(header: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """An array of tables."""
    return [line for row in rows for line in table(header, row, array=True)]


def key(name: str) -> str:
    """A key, in quotes where it must be."""
    return name if name and _BARE.issuperset(name) else string(name)


def value(item: Any) -> str:
    """A value; a mapping is an inline table. Raises `TypeError` for what TOML has not."""
    match item:
        case bool():
            return "true" if item else "false"
        case int():
            return str(item)
        case str():
            return string(item)
        case datetime.datetime():
            return moment(item)
        case dict():
            inside = ", ".join(f"{key(k)} = {value(v)}" for k, v in item.items() if v is not None)
            return f"{{ {inside} }}" if inside else "{}"
        case list() | tuple():
            return _array(item)
        case _:
            raise TypeError(f"TOML has no {type(item).__name__}")


def string(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for DEL, which TOML wants escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def moment(when: datetime.datetime) -> str:
    """A date and time in UTC."""
    return when.astimezone(datetime.UTC).replace(tzinfo=None).isoformat() + "Z"


def _array(items: Sequence[Any]) -> str:
    values = [value(item) for item in items]
    if sum(map(len, values)) <= _LONG or (len(values) == 1 and isinstance(items[0], dict)):
        return f"[{', '.join(values)}]"
    return "[\n" + "".join(f"    {text},\n" for text in values) + "]"
