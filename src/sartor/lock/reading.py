"""Texts of lock files into values: bounded, typed, and with the place of what is wrong."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from sartor.errors import LockFileError

if TYPE_CHECKING:
    from packaging.pylock import Pylock

LOCK_NAME = "sartor.lock"
PYLOCK_NAME = "pylock.toml"
MOST_BYTES = 16 << 20
MOST_PARTS = 64
"""Of a key; in a line without quotes there are no more dots in what Sartor writes."""
AGAIN = "make both files anew: `sartor lock`; an earlier state of them is in your version control"

Kind = TypeVar("Kind")


def toml_of(data: bytes, name: str) -> dict[str, Any]:
    """The tables of a file; raises `LockFileError` with the line."""
    if len(data) > MOST_BYTES:
        raise _error(name, None, f"it has {len(data)} bytes, and at most {MOST_BYTES} are read")
    try:
        text = data.decode("utf-8")
        _refuse_long_keys(text, name)
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(name, line, "it is not in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"at line ([0-9]{1,9})", str(error))
        raise _error(name, int(where[1]) if where else None, str(error)) from error
    except (RecursionError, ValueError) as error:  # a number of a million digits
        raise _error(name, None, "it nests too deeply, or has a number that is too long") from error


def _refuse_long_keys(text: str, name: str) -> None:
    """Refuse keys of many parts (``a.b.c.…``), which take `tomllib` the square of their number."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_PARTS and _dots_outside_strings(line) > MOST_PARTS:
            raise _error(name, number, f"a key has more than {MOST_PARTS} parts")


def _dots_outside_strings(line: str) -> int:
    dots, quote, escaped = 0, "", False
    for letter in line:
        if quote:
            closes = letter == quote and not escaped
            escaped = quote == '"' and letter == "\\" and not escaped
            quote = "" if closes else quote
        elif letter in "\"'":
            quote = letter
        elif letter == ".":
            dots += 1
            if dots > MOST_PARTS:
                break
    return dots


def typed(tables: dict[str, Any], kind: type[Kind], text: str, name: str) -> Kind:
    """The tables as a value; raises `LockFileError` with the line and the key."""
    try:
        return msgspec.convert(tables, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        where = path.rstrip("`")
        what = f"{where.lstrip('.')}: {message}" if where else message
        raise _error(name, line_of(text, where), what) from error


def valid_pylock(tables: dict[str, Any], name: str) -> Pylock:
    """The tables as PEP 751 has them, by the validator of `packaging`; raises `LockFileError`."""
    from packaging.pylock import Pylock, PylockValidationError

    try:
        return Pylock.from_dict(tables)
    except PylockValidationError as error:
        raise _error(name, None, str(error)) from error


def line_of(text: str, path: str) -> int | None:
    """The line of ``.package[3].name`` in a file as Sartor writes it; None: not found."""
    lines = text.splitlines()
    start, wanted = 0, re.findall(r"\.([^.\[\]]+)(?:\[([0-9]{1,9})\])?", path)
    for key, number in wanted:
        header = f"[[{key}]]" if number else f"[{key}]"
        heads = [n for n, line in enumerate(lines) if line.strip() == header]
        pattern = re.compile(rf"[^#]*?\b{re.escape(key)}[\"']?\s*=")
        found = next((n for n in range(start, len(lines)) if pattern.match(lines[n])), None)
        if heads and int(number or 0) < len(heads):
            start = heads[int(number or 0)]
        elif found is not None:
            start = found
        else:
            break
    return start + 1 if wanted and start else None


def _error(name: str, line: int | None, what: str) -> LockFileError:
    where = f"`{name}`, line {line}" if line else f"`{name}`"
    return LockFileError(f"{where}: {what}", hint=AGAIN)
