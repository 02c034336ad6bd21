"""What counts of the folders that an environment has from its interpreter.

A stack may take packages from there (`Stack.there`): these count, and no others that lie beside
them. They were not chosen with the stack, and what they lack is no fault of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.verify.installed import installed

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.artifact.model import Evidence
    from sartor.verify.installed import Distribution
    from sartor.verify.subject import Subject


def distributions_of(subject: Subject) -> list[Distribution]:
    """Every distribution that counts, in the order in which they are imported."""
    taken = subject.taken
    found = installed(subject.site)
    if taken is None:
        return found
    return [d for d in found if d.name in taken or d.site.is_relative_to(subject.path)]


def counted(subject: Subject, folder: Path, evidence: Evidence) -> Evidence:
    """Of the evidence of one folder (its paths are relative to that) what counts."""
    taken = subject.taken
    if taken is None or folder.is_relative_to(subject.path):
        return evidence
    packages = [package for package in evidence.packages if package.name in taken]
    theirs = {path for package in packages for path in package.libraries}
    return msgspec.structs.replace(
        evidence,
        packages=packages,
        libraries=[library for library in evidence.libraries if library.path in theirs],
        not_read=[fault for fault in evidence.not_read if fault.path in theirs],
    )
