"""The edits that put a locked stack into a pixi workspace, as a feature and an environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from sartor.errors import ProjectConflictError, ProjectFileError
from sartor.lock.canonical import is_wheel, local_path
from sartor.lock.edit import Drop, Edit, Put, at
from sartor.lock.model import DEFAULT
from sartor.lock.pins import Pin, overrides, refuse_conflicts, refuse_others
from sartor.verdict.requirements import parse_line, satisfied

if TYPE_CHECKING:
    from sartor.lock.model import LockedPackage, Locking

PLATFORMS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le"}
_EXACT = re.compile(r"[0-9]+(\.[0-9]+)*(\.\*)?")
_NO_LEAVING_OUT = "pixi cannot leave a declared package out: it will have {} as well"

Tables = dict[tuple[str, ...], dict[str, Any]]
"""The entries of each table of a feature, by its path within the feature."""


def pixi_edits(
    values: dict[str, Any],
    prefix: tuple[str, ...],
    name: str,
    locking: Locking,
    group: str,
    *,
    force: bool,
) -> tuple[list[Edit], list[str]]:
    """The edits, and what could not be judged or said. ``prefix``: where pixi's tables are.

    Raises what `sartor.lock.into.addition` raises.
    """
    tables = at(values, prefix) or {}
    record_path = ("tool", "sartor", "into", group)
    record = at(values, record_path)
    platform = _platform(tables, name, locking)
    _refuse_others(tables, name, group, force=force or record is not None)
    pins, notes = _pins(tables)
    _require_python(pins, name, locking)
    notes += refuse_conflicts(pins, locking, name, group)
    notes += [_NO_LEAVING_OUT.format(n) for n in locking.leave_out]
    feature = (*prefix, "feature", group)
    wanted = {
        (*section, key): value
        for section, entries in _feature(locking, platform).items()
        for key, value in entries.items()
    }
    # Only what Sartor itself put there is removed; tasks and the like are the user's.
    former = [tuple(text.split("/")) for text in at(values, (*record_path, "entries")) or []]
    edits: list[Edit] = [Drop((*feature, *path)) for path in former if path not in wanted]
    edits += [Put((*feature, *path), value) for path, value in wanted.items()]
    edits.append(Put((*prefix, "environments", group), [group]))
    edits.append(Put((*record_path, "engine"), f"{locking.engine}=={locking.version}"))
    edits.append(Put((*record_path, "entries"), sorted("/".join(path) for path in wanted)))
    return edits, notes


def _feature(locking: Locking, platform: str) -> Tables:
    """What the feature has; its own entries are at the empty path."""
    urls = {i.alias: i.url for i in locking.indexes}
    system: dict[str, Any] = {}
    if locking.host.gpus and locking.host.cuda:
        system["cuda"] = locking.host.cuda
    if locking.host.glibc:
        system["libc"] = {"family": "glibc", "version": locking.host.glibc}
    exact = [line for line in overrides(locking) if ";" not in line]
    return {
        (): {"platforms": [platform]},
        ("dependencies",): {"python": f"{locking.host.python}.*"},
        ("pypi-dependencies",): {p.name: _dependency(p, urls) for p in locking.packages},
        ("pypi-options",): {"no-binary": built} if (built := _built(locking)) else {},
        ("pypi-options", "dependency-overrides"): {
            name: f"=={version}" for name, _, version in (line.partition("==") for line in exact)
        },
        ("system-requirements",): system,
        ("activation", "env"): dict(locking.env),
    }


def _built(locking: Locking) -> list[str]:
    return sorted(p.name for p in locking.packages if p.file and not is_wheel(p.file))


def _dependency(package: LockedPackage, urls: dict[str, str | None]) -> Any:
    if package.file is None and package.source is not None:
        found = {"git": package.source.repository, "rev": package.source.commit}
        where = package.source.subdirectory
        return {**found, "subdirectory": where} if where else found
    if path := local_path(package):
        return {"path": path}
    pin = f"=={package.version}"
    url = None if package.index == DEFAULT else urls.get(package.index)
    return pin if url is None else {"version": pin, "index": url}


def _platform(tables: dict[str, Any], name: str, locking: Locking) -> str:
    """pixi's name of the machine's platform, which the workspace must have."""
    workspace = tables.get("workspace", tables.get("project"))
    if not isinstance(workspace, dict):
        raise ProjectFileError(
            f"`{name}` has no [workspace]",
            hint="make a workspace first: `pixi init`; nothing was written",
        )
    wanted = PLATFORMS.get(locking.host.architecture)
    listed = workspace.get("platforms", [])
    there = [p.get("platform", p.get("name")) if isinstance(p, dict) else p for p in listed]
    if wanted is None or wanted not in there:
        raise ProjectConflictError(
            f"`{name}` is not for this machine",
            found=[
                f"[workspace] platforms: {', '.join(map(str, there)) or 'none'}",
                f"the stack is for {wanted or locking.host.architecture}",
            ],
            hint=f'add "{wanted}" to [workspace] platforms; nothing was written',
        )
    return wanted


def _refuse_others(tables: dict[str, Any], name: str, group: str, *, force: bool) -> None:
    found = [
        f"[{table}] has a `{group}`"
        for table in ("feature", "environments")
        if group in (tables.get(table) or {})
    ]
    if not force:
        refuse_others(name, found)


def _pins(tables: dict[str, Any]) -> tuple[list[Pin], list[str]]:
    """What the default feature asks for, which the environment has too; what cannot be compared.

    conda's names are compared as if they were the Python packages' own: most are.
    """
    pins, notes = [], []
    for table in ("pypi-dependencies", "dependencies"):
        for name, entry in (tables.get(table) or {}).items():
            spec = entry.get("version") if isinstance(entry, dict) else entry
            if not isinstance(spec, str) or spec == "*":
                continue
            exact = "==" if table == "dependencies" and _EXACT.fullmatch(spec) else ""
            wide = f"{spec}.*" if exact and not spec.endswith(".*") else spec
            line = f"{canonicalize_name(str(name))}{exact}{wide if exact else spec}"
            if parse_line(line) is None or not _is_specifier(f"{exact}{wide}"):
                notes.append(f"[{table}] {name}: `{spec}` was not compared with the stack")
            else:
                pins.append(Pin(f"[{table}] {name}", line))
    return pins, notes


def _require_python(pins: list[Pin], name: str, locking: Locking) -> None:
    for pin in pins:
        required = parse_line(pin.line)
        if required is None or required.name != "python":
            continue
        if satisfied(required, f"{locking.host.python}.99") is False:
            raise ProjectConflictError(
                f"`{name}` is for Python {required.bounds}, the stack for {locking.host.python}",
                found=[f"{pin.where} has `{required.text}`"],
                hint="plan for a Python of the workspace's (`--python`); nothing was written",
            )


def _is_specifier(text: str) -> bool:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True
