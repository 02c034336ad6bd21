"""The distributions that lie in folders of packages: their metadata and records, as they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.metadata import read_package
from sartor.artifact.model import Package

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 64 << 20
SUFFIXES = (".dist-info", ".egg-info")


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """One distribution: its ``.dist-info`` (``.egg-info``), and the folder that this lies in.

    ``record`` is the text of its RECORD, None where there is none. ``installer`` is who installed
    it (``pip``, ``uv``, ``conda``). ``origin`` is the address in ``direct_url.json``: it was
    installed from a file, a folder or a repository. ``editable``: its code is elsewhere.
    """

    info: Path
    site: Path
    package: Package
    record: bytes | None = None
    installer: str | None = None
    origin: str | None = None
    editable: bool = False

    @property
    def name(self) -> str:
        """The project's normalised name."""
        return self.package.name

    @property
    def version(self) -> str:
        """Its version, as the metadata has it."""
        return self.package.version

    @property
    def label(self) -> str:
        """``torch 2.11.0``."""
        return f"{self.name} {self.version}"

    @property
    def pin(self) -> str:
        """``torch==2.11.0``, as installers take it."""
        return f"{self.name}=={self.version}"


def installed(site: Iterable[Path]) -> list[Distribution]:
    """Every distribution, in the order of the folders and then of their names."""
    found = []
    for folder in site:
        entries = sorted(p for p in folder.iterdir() if p.name.endswith(SUFFIXES))
        found += [_read(info, folder) for info in entries]
    return found


def versions(distributions: Iterable[Distribution]) -> dict[str, str]:
    """Project → version; of one that is there twice the first, which is what is imported."""
    found: dict[str, str] = {}
    for each in distributions:
        found.setdefault(each.name, each.version)
    return dict(sorted(found.items()))


def _read(info: Path, site: Path) -> Distribution:
    egg = info.name.endswith(".egg-info")
    metadata = info if egg and info.is_file() else info / ("PKG-INFO" if egg else "METADATA")
    record = _content(info / "RECORD")
    reading = read_package(info.name, _content(metadata), _content(info / "WHEEL"), record)
    origin, editable = _origin(_content(info / "direct_url.json"))
    said = (_content(info / "INSTALLER") or b"").decode("utf-8", "replace").strip()
    return Distribution(
        info=info,
        site=site,
        package=reading.package,
        record=record,
        installer=said or None,
        origin=origin,
        editable=editable,
    )


def _origin(data: bytes | None) -> tuple[str | None, bool]:
    """The address that it was installed from (PEP 610), and whether as editable."""
    try:
        found = json.loads(data or b"null")
        url, folder = found["url"], found.get("dir_info", {})
        return str(url), bool(folder.get("editable"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, False


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return None
