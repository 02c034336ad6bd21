"""What an environment's packages and libraries say, read once for all that ask."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sartor.artifact.model import Evidence
from sartor.verify.subject.taken import counted

if TYPE_CHECKING:
    from sartor.verify.subject.model import Subject


def evidence_of(subject: Subject) -> Evidence:
    """The evidence of every folder that the environment imports from, read once in a process.

    Paths are relative to the environment, and absolute outside of it.
    """
    parts = [counted(subject, folder, read_site(folder)) for folder in subject.site]
    return _below(subject.path, parts)


def _below(root: Path, parts: list[Evidence]) -> Evidence:
    """The parts with their paths as seen from ``root``."""
    packages, libraries, not_read = [], [], []
    for part in parts:
        start = Path(part.target)
        prefix = start.relative_to(root) if start.is_relative_to(root) else start

        def seen(path: str, prefix: Path = prefix) -> str:
            return (prefix / path).as_posix()

        packages += [
            replace(p, path=seen(p.path), libraries=[seen(path) for path in p.libraries])
            for p in part.packages
        ]
        libraries += [replace(lib, path=seen(lib.path)) for lib in part.libraries]
        not_read += [replace(fault, path=seen(fault.path)) for fault in part.not_read]
    return Evidence(
        target=str(root),
        kind="environment",
        packages=packages,
        libraries=libraries,
        not_read=not_read,
    )


@lru_cache(8)
def read_site(folder: Path) -> Evidence:
    """The evidence of one folder of packages, with paths relative to it."""
    from sartor.artifact.reading import read_evidence
    from sartor.verdict.dispatch import wants_names

    return read_evidence(folder, lambda path: "one" if wants_names(path) else "none")
