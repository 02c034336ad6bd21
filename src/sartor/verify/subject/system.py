"""Packages of a system's own manager, which knows its files by other records than RECORD."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from sartor.verify.subject.installed import Distribution

DPKG = Path("/var/lib/dpkg/info")
MOST_BYTES = 64 << 20


class SystemPackage(msgspec.Struct, frozen=True):
    """A package of dpkg's: its name, and the md5 of its files among the folders of packages."""

    name: str
    files: dict[str, str]

    def faults(self) -> list[str]:
        """The files that are missing, or not as dpkg unpacked them."""
        found = []
        for path, wanted in self.files.items():
            try:
                with Path(path).open("rb") as file:
                    digest = hashlib.file_digest(file, _md5).hexdigest()
            except OSError as error:
                found.append(f"`{path}`: {error.strerror or type(error).__name__}")
                continue
            if digest != wanted:
                found.append(f"`{path}`: altered: md5 {wanted} is recorded, {digest} is there")
        return found


def _md5() -> hashlib._Hash:
    """What dpkg records; it is held against damage, not against forgery."""
    return hashlib.md5(usedforsecurity=False)


def system_package(dist: Distribution, info: Path = DPKG) -> SystemPackage | None:
    """The package of dpkg's that brought a distribution; None where it has none."""
    if not dist.site.is_relative_to("/usr"):
        return None
    below = str(dist.info)
    for package in _packages(dist.site, info):
        if any(path == below or path.startswith(f"{below}/") for path in package.files):
            return package
    return None


@lru_cache(8)
def _packages(site: Path, info: Path) -> tuple[SystemPackage, ...]:
    """Every package with files below ``site``: ``*.md5sums`` of dpkg (deb-md5sums(5))."""
    prefix, found = f"{site}/", []
    for file in sorted(info.glob("*.md5sums")):
        try:
            text = file.read_bytes()[:MOST_BYTES].decode("utf-8", "replace")
        except OSError:
            continue
        rows = (line.partition("  ") for line in text.splitlines())
        files = {f"/{path}": digest for digest, _, path in rows if f"/{path}".startswith(prefix)}
        if files:
            found.append(SystemPackage(file.name.removesuffix(".md5sums"), files))
    return tuple(found)
