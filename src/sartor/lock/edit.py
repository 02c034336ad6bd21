"""Additions to somebody's TOML file that leave every other byte of it as it is.

Each edit is made twice: on the text, and on plain values. Where the two do not come to the same,
nothing is given back.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import msgspec
import tomlkit
import tomlkit.exceptions
from tomlkit.items import AoT, Array, InlineTable, Table

from sartor.errors import ProjectFileError
from sartor.lock import toml_text

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

Path = tuple[str, ...]


class Put(msgspec.Struct, frozen=True):
    """Set the key at ``path`` to a string, a list of strings or an inline table."""

    path: Path
    value: Any


class Drop(msgspec.Struct, frozen=True):
    """Remove what is at ``path``, where it is there."""

    path: Path


class Include(msgspec.Struct, frozen=True):
    """Put strings into the list at ``path`` that are not in it."""

    path: Path
    items: list[str]


class Exclude(msgspec.Struct, frozen=True):
    """Remove strings from the list at ``path``."""

    path: Path
    items: list[str]


class IncludeTable(msgspec.Struct, frozen=True):
    """Put a table into the array of tables at ``path``, in place of that of the same ``name``."""

    path: Path
    table: dict[str, Any]


class ExcludeTable(msgspec.Struct, frozen=True):
    """Remove the table of that ``name`` from the array of tables at ``path``."""

    path: Path
    name: str


Edit = Put | Drop | Include | Exclude | IncludeTable | ExcludeTable


def parsed(text: str, name: str) -> dict[str, Any]:
    """The values of a file; raises `ProjectFileError`, with the line."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ProjectFileError(
            f"`{name}` cannot be read: {error}", hint="mend it; nothing was written"
        ) from error


def edited(text: str, edits: Sequence[Edit], name: str) -> str:
    """The text with all edits in it; the same text where they are all in it already.

    Raises `ProjectFileError` where the text cannot take them.
    """
    wanted = parsed(text, name)
    needed = []
    for edit in edits:
        before = msgspec.json.encode(wanted, enc_hook=str)
        try:
            _on_values(wanted, edit)
        except (KeyError, TypeError, AttributeError) as error:
            raise _cannot(name, f"{'.'.join(edit.path)} is of another kind there") from error
        if msgspec.json.encode(wanted, enc_hook=str) != before:
            needed.append(edit)
    if not needed:
        return text
    try:
        written = _on_text(text, needed)
        same = tomllib.loads(written) == wanted
    except (tomlkit.exceptions.TOMLKitError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise _cannot(name, str(error)) from error
    if not same:
        raise _cannot(name, "its tables are laid out in a way that cannot be added to safely")
    return written


def _cannot(name: str, why: str) -> ProjectFileError:
    return ProjectFileError(
        f"the stack cannot be put into `{name}`",
        found=[why],
        hint="write each of its tables once, under a header of its own (`[tool.uv.sources]`), "
        "and try again; nothing was written",
    )


def at(values: Any, path: Path) -> Any:
    """What is at a path of plain values; None where nothing is."""
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _on_values(values: dict[str, Any], edit: Edit) -> None:
    *parents, last = edit.path
    if isinstance(edit, (Drop, Exclude, ExcludeTable)) and at(values, edit.path) is None:
        return
    for key in parents:
        values = values.setdefault(key, {})
    match edit:
        case Put(_, value):
            values[last] = value
        case Drop():
            del values[last]
        case Include(_, items):
            listed = values.setdefault(last, [])
            listed += [item for item in items if item not in listed]
        case Exclude(_, items):
            values[last] = [item for item in values[last] if item not in items]
        case IncludeTable(_, table):
            tables = values.setdefault(last, [])
            place = _numbered(tables, table["name"])
            tables[place : place + 1] = [table]
        case ExcludeTable(_, name):
            place = _numbered(values[last], name)
            values[last][place : place + 1] = []
            if not values[last]:
                del values[last]


def _numbered(tables: Sequence[Any], name: str) -> int:
    """Where the table of a name is; behind the last one where there is none."""
    return next((n for n, t in enumerate(tables) if t.get("name") == name), len(tables))


def _on_text(text: str, edits: Sequence[Edit]) -> str:
    """Entries go into tables that are there; tables that are not are written after the end."""
    document = tomlkit.parse(text)
    new: dict[Path, dict[str, Any]] = {}
    arrays: list[str] = []
    for edit in edits:
        parent = _parent(document, edit.path[:-1])
        if isinstance(edit, IncludeTable):
            if not _in_tables(parent, edit):
                arrays += toml_text.table(_header(edit.path), edit.table, array=True)
        elif parent is None:
            value = edit.value if isinstance(edit, Put) else getattr(edit, "items", [])
            new.setdefault(edit.path[:-1], {})[edit.path[-1]] = value
        else:
            _in_table(parent, edit)
    lines = []
    for path, entries in new.items():
        lines += toml_text.table(_header(path), entries)
    result = tomlkit.dumps(document)
    lines += arrays
    if not lines:
        return result
    if not result.strip():
        lines = lines[1:]
    return result + ("" if result.endswith("\n") or not result else "\n") + "\n".join([*lines, ""])


def _header(path: Path) -> str:
    return ".".join(toml_text.key(key) for key in path)


def _parent(document: Any, path: Path) -> Any:
    """The table at a path, where entries can be put into it; None where it has no header."""
    table = document
    for key in path:
        if key not in table:
            return None
        table = table[key]
    implied = isinstance(table, Table) and table.is_super_table()
    return None if implied else table


def _in_table(table: MutableMapping[str, Any], edit: Edit) -> None:
    last = edit.path[-1]
    match edit:
        case Put(_, value):
            table[last] = _item(value, inline=isinstance(table, InlineTable))
        case Drop():
            del table[last]
        case Include(_, items) if last not in table:
            table[last] = _item(items, inline=isinstance(table, InlineTable))
        case Include(_, items) | Exclude(_, items):
            _in_array(table[last], items, there=isinstance(edit, Include))
        case ExcludeTable(_, name):
            tables: AoT = table[last]
            del tables[_numbered(tables, name)]
            if not tables:
                del table[last]


def _in_array(array: Array, items: Sequence[str], *, there: bool) -> None:
    for item in [item for item in items if (item in array) != there]:
        if there:
            array.append(item)
        else:
            array.remove(item)


def _in_tables(parent: Any, edit: IncludeTable) -> bool:
    """Whether the array is there; then the table is in it now."""
    tables = None if parent is None else parent.get(edit.path[-1])
    if not tables:
        return False
    place = _numbered(tables, edit.table["name"])
    if place == len(tables):
        tables.append(_new_table(edit.table, inline=isinstance(tables, Array)))
        return True
    old = tables[place]
    for key in [key for key in old if key not in edit.table]:
        del old[key]
    for key, value in edit.table.items():
        old[key] = _item(value, inline=False)
    return True


def _new_table(entries: dict[str, Any], *, inline: bool) -> Any:
    table = tomlkit.inline_table() if inline else tomlkit.table()
    for key, value in entries.items():
        table.add(key, _item(value, inline=inline))
    return table


def _item(value: Any, *, inline: bool) -> Any:
    """A value as Sartor writes it; on one line within an inline table."""
    text = toml_text.value(value)
    return tomlkit.value(" ".join(text.split("\n")) if inline else text)
