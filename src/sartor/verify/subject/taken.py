"""What counts of the packages that an environment's interpreter imports.

A stack may take packages from its interpreter's own (`Stack.there`): these count, and no others
that lie beside them. They were not chosen with the stack: what they lack is no fault of it. And a
proof may be asked of some packages alone (`sartor.verify.subject.narrow`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.verify.subject.installed import installed

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.artifact.model import Evidence
    from sartor.verify.subject.installed import Distribution
    from sartor.verify.subject.model import Subject


def distributions_of(subject: Subject) -> list[Distribution]:
    """Every distribution that counts, in the order in which they are imported."""
    return [d for d in installed(subject.site) if _counts(subject, d.name, d.site)]


def counted(subject: Subject, folder: Path, evidence: Evidence) -> Evidence:
    """Of the evidence of one folder (its paths are relative to that) what counts."""
    if folder in whole_sites(subject):
        return evidence
    packages = [p for p in evidence.packages if _counts(subject, p.name, folder)]
    theirs = {path for package in packages for path in package.libraries}
    return msgspec.structs.replace(
        evidence,
        packages=packages,
        libraries=[library for library in evidence.libraries if library.path in theirs],
        not_read=[fault for fault in evidence.not_read if fault.path in theirs],
    )


def whole_sites(subject: Subject) -> list[Path]:
    """The folders of packages of which all that is there counts."""
    if subject.only is not None:
        return []
    every = subject.taken is None
    return [site for site in subject.site if every or site.is_relative_to(subject.path)]


def _counts(subject: Subject, name: str, site: Path) -> bool:
    if subject.only is not None and name not in subject.only:
        return False
    taken = subject.taken
    return taken is None or name in taken or site.is_relative_to(subject.path)
