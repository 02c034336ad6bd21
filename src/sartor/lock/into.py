"""A locked stack as an addition to a project's own file. Pure: a text in, a text out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from sartor.errors import ProjectConflictError, ProjectFileError, UsageError
from sartor.lock.canonical import canonical, is_wheel, local_path
from sartor.lock.edit import (
    Drop,
    Edit,
    Exclude,
    ExcludeTable,
    Include,
    IncludeTable,
    Put,
    at,
    edited,
    parsed,
)
from sartor.lock.model import DEFAULT
from sartor.lock.pins import Pin, from_lists, overrides, refuse_conflicts, refuse_others
from sartor.lock.places import relative
from sartor.lock.pylock import environment

if TYPE_CHECKING:
    from pathlib import PurePath

    from sartor.lock.model import LockedPackage, Locking

GROUP = "inference"
_KINDS = ("sources", "overrides", "built", "indexes")
"""What is recorded of the entries that Sartor puts in."""
_GROUP_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Addition(msgspec.Struct, frozen=True):
    """A file with the stack in it: its text, what was put in, and what could not be judged."""

    text: str
    added: list[str]
    notes: list[str]


def addition(
    text: str,
    name: str,
    locking: Locking,
    group: str = GROUP,
    *,
    folder: PurePath,
    force: bool = False,
) -> Addition:
    """The text of ``pyproject.toml`` or ``pixi.toml`` (``name``) with the stack as ``group``.

    ``folder`` is the file's: wheels that were built on this machine are named relative to it.
    What was there stays byte for byte. What an earlier call put in is replaced; what the user
    named so is not, unless ``force`` says so. Raises `ProjectConflictError` where the project's
    pins exclude the stack, `OthersFileError`, `ProjectFileError` and `UsageError`.
    """
    if not _GROUP_NAME.fullmatch(group) or group == "default":
        raise UsageError(
            f"`{group}` is no name of a group", hint="take lower case, digits and hyphens"
        )
    values = parsed(text, name)
    locking = _seen_from(canonical(locking), folder)
    if name.endswith("pixi.toml") or at(values, ("tool", "pixi")) is not None:
        from sartor.lock.into_pixi import pixi_edits

        prefix = () if name.endswith("pixi.toml") else ("tool", "pixi")
        edits, notes = pixi_edits(values, prefix, name, locking, group, force=force)
    else:
        edits, notes = _uv_edits(values, name, locking, group, force=force)
    added = [f"{p.name}=={p.version}" for p in locking.packages]
    return Addition(edited(text, edits, name), added, notes)


def _seen_from(locking: Locking, folder: PurePath) -> Locking:
    """The lock with relative paths for files of this machine that are of no index of their own."""
    packages = [
        replace(p, file=replace(p.file, url=relative(path, folder)))
        if p.file is not None and (path := local_path(p)) is not None
        else p
        for p in locking.packages
    ]
    return replace(locking, packages=packages)


def record_path(group: str) -> tuple[str, ...]:
    """Where a file says which of its entries Sartor put there for a group."""
    return ("tool", "sartor", "into", group)


def _uv_edits(
    values: dict[str, Any], name: str, locking: Locking, group: str, *, force: bool
) -> tuple[list[Edit], list[str]]:
    _require_python(values, name, locking)
    record, others = _records(values, group)
    _refuse_others(values, record, name, locking, group, force=force)
    pins = _pins(values, group, set(record.get("overrides", [])))
    notes = refuse_conflicts(pins, locking, name, group)
    told = overrides(locking)
    if told:
        notes.append(f"[tool.uv] override-dependencies hold for all of the project: {told[0]} …")
    sources = {p.name: s for p in locking.packages if (s := _source(p, group))}
    indexes = _indexes(locking)
    built = sorted(p.name for p in locking.packages if p.file and not is_wheel(p.file))
    uv = ("tool", "uv")
    taken = _taken(values) - {*_former(record, "indexes")}
    gone = {key: [n for n in _former(record, key) if n not in others[key]] for key in others}
    edits: list[Edit] = [
        Put(("dependency-groups", group), [_line(p, locking) for p in locking.packages]),
        *(Drop((*uv, "sources", n)) for n in gone["sources"] if n not in sources),
        *(Put((*uv, "sources", n), s) for n, s in sources.items()),
        *_listed((*uv, "override-dependencies"), gone["overrides"], told),
        *_listed((*uv, "no-binary-package"), gone["built"], built),
        *(ExcludeTable((*uv, "index"), n) for n in gone["indexes"] if n not in indexes),
        *(IncludeTable((*uv, "index"), t) for n, t in indexes.items() if n not in taken or force),
    ]
    kept = {
        "engine": f"{locking.engine}=={locking.version}",
        "sources": sorted(sources),
        "overrides": told,
        "built": built,
        "indexes": sorted(indexes.keys() - taken),
    }
    kept = {key: value for key, value in kept.items() if value}
    edits += [Drop((*record_path(group), key)) for key in record if key not in kept]
    edits += [Put((*record_path(group), key), value) for key, value in kept.items()]
    return edits, notes


def _records(values: dict[str, Any], group: str) -> tuple[dict[str, Any], dict[str, set[str]]]:
    """What Sartor put in for the group, and for others."""
    records = at(values, record_path(group)[:-1])
    records = records if isinstance(records, dict) else {}
    tables = {name: r for name, r in records.items() if isinstance(r, dict)}
    own = tables.pop(group, {})
    return own, {key: {n for r in tables.values() for n in _former(r, key)} for key in _KINDS}


def _tables(values: dict[str, Any]) -> list[dict[str, Any]]:
    listed = at(values, ("tool", "uv", "index"))
    return [t for t in listed if isinstance(t, dict)] if isinstance(listed, list) else []


def _taken(values: dict[str, Any]) -> set[str]:
    return {str(t.get("name")) for t in _tables(values)}


def _former(record: dict[str, Any], key: str) -> list[str]:
    listed = record.get(key)
    return [s for s in listed if isinstance(s, str)] if isinstance(listed, list) else []


def _listed(path: tuple[str, ...], former: list[str], now: list[str]) -> list[Edit]:
    gone = [item for item in former if item not in now]
    edits: list[Edit] = [Exclude(path, gone)] if gone else []
    return [*edits, Include(path, now)] if now else edits


def _line(package: LockedPackage, locking: Locking) -> str:
    """The requirement of a package; on other machines and Pythons it asks for nothing."""
    marker = f"python_version == '{locking.host.python}' and {environment(locking)}"
    pin = package.name if package.file is None else f"{package.name}=={package.version}"
    return f"{pin} ; {marker}"


def _source(package: LockedPackage, group: str) -> dict[str, str] | None:
    """Where uv takes a package from, where that is not its default index."""
    if package.file is None and package.source is not None:
        source = package.source
        found = {"git": source.repository, "rev": source.commit}
        if source.subdirectory:
            found["subdirectory"] = source.subdirectory
        return {**found, "group": group}
    if path := local_path(package):
        return {"path": path, "group": group}
    return None if package.index == DEFAULT else {"index": package.index, "group": group}


def _indexes(locking: Locking) -> dict[str, dict[str, Any]]:
    """The makers' own indexes that packages come from, for nothing but these."""
    used = {p.index for p in locking.packages if p.file is not None} - {DEFAULT}
    return {
        i.alias: {"name": i.alias, "url": i.url, "explicit": True}
        for i in locking.indexes
        if i.alias in used and i.url is not None
    }


def _refuse_others(
    values: dict[str, Any],
    record: dict[str, Any],
    name: str,
    locking: Locking,
    group: str,
    *,
    force: bool,
) -> None:
    """Raise `OthersFileError` where the user has entries of the names that Sartor would write."""
    found = []
    if at(values, ("dependency-groups", group)) is not None and not record:
        found.append(f"[dependency-groups] has a group `{group}`")
    sources = at(values, ("tool", "uv", "sources")) or {}
    own = set(_former(record, "sources"))
    # A source of the user's decides for all groups where a locked package comes from.
    found += [
        f"[tool.uv.sources] says where {p.name} comes from"
        for p in locking.packages
        if p.name in sources and p.name not in own
    ]
    urls = {t.get("name"): t.get("url") for t in _tables(values)}
    ours = set(_former(record, "indexes"))
    found += [
        f"[[tool.uv.index]] has another index `{n}`"
        for n, table in _indexes(locking).items()
        if urls.get(n, table["url"]) != table["url"] and n not in ours
    ]
    if not force:
        refuse_others(name, found)


def _require_python(values: dict[str, Any], name: str, locking: Locking) -> None:
    asked = at(values, ("project", "requires-python"))
    if at(values, ("project",)) is None:
        raise ProjectFileError(
            f"`{name}` has no [project]",
            hint="make a project first: `uv init --bare`; nothing was written",
        )
    try:
        fits = asked is None or SpecifierSet(str(asked)).contains(f"{locking.host.python}.99")
    except InvalidSpecifier as error:
        raise ProjectFileError(
            f"`{name}`: requires-python: {error}", hint="mend it; nothing was written"
        ) from error
    if not fits:
        raise ProjectConflictError(
            f"`{name}` is for Python {asked}, and the stack for {locking.host.python}",
            hint="plan for a Python of the project's (`--python`); nothing was written",
        )


def _pins(values: dict[str, Any], group: str, own: set[str]) -> list[Pin]:
    """All that a project asks for itself, but for the group and what it declares to be apart."""
    apart = _apart(values, group)
    project = at(values, ("project",))
    pins = from_lists("[project] dependencies", project.get("dependencies"))
    for extra, listed in (at(project, ("optional-dependencies",)) or {}).items():
        if ("extra", extra) not in apart:
            pins += from_lists(f"[project.optional-dependencies] {extra}", listed)
    for other, listed in (at(values, ("dependency-groups",)) or {}).items():
        if other != group and ("group", other) not in apart:
            pins += from_lists(f"[dependency-groups] {other}", listed)
    for key in ("constraint-dependencies", "override-dependencies", "dev-dependencies"):
        pins += from_lists(f"[tool.uv] {key}", at(values, ("tool", "uv", key)))
    return [pin for pin in pins if pin.line not in own]


def _apart(values: dict[str, Any], group: str) -> set[tuple[str, str]]:
    """The extras and groups that ``[tool.uv] conflicts`` keeps apart from the group."""
    found: set[tuple[str, str]] = set()
    for listed in at(values, ("tool", "uv", "conflicts")) or []:
        named = {(k, str(v)) for e in listed if isinstance(e, dict) for k, v in e.items()}
        if ("group", group) in named:
            found |= named
    return found - {("group", group)}
