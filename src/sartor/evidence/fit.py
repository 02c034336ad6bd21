"""Evidence out of the store, made to fit the file and the question at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.metadata import file_tags, named_compilers
from sartor.artifact.model import NotRead
from sartor.evidence.row import LEVELS, has_names

if TYPE_CHECKING:
    from sartor.artifact.model import Evidence, Library, Package
    from sartor.artifact.reading import Names, NamesWanted
    from sartor.evidence.row import Row


UNSEEN = (
    "parts of it were read earlier, so its sha256 was not checked; each file that was read was "
    "held against its checksums in the wheel"
)


def fitted(
    row: Row, evidence: Evidence, target: str, names: NamesWanted, stated_by: str | None = None
) -> Evidence | None:
    """What reading the file at ``target`` now would say; None where it would say more.

    The same bytes may lie under another name, which says which tags a wheel declares; and what
    facts say of a package's compilers is looked up now, for facts change without the readers.
    ``stated_by``: the address whose index states the file's sha256; None where it was computed.
    """
    if not row.is_current or row.extent == "partial" or row.stated_by not in {None, stated_by}:
        return None
    name = target.rpartition("/")[2]
    here = evidence if name == row.name else renamed(evidence, name)
    if any(not says_enough(row, library, names(library.path)) for library in here.libraries):
        return None
    packages = [with_compilers(package) for package in here.packages]
    notes = [*here.not_read, *([NotRead(name, UNSEEN)] if row.stated_by else [])]
    return msgspec.structs.replace(here, target=target, packages=packages, not_read=notes)


def says_enough(row: Row, library: Library, wanted: Names) -> bool:
    """Whether the names that are wanted of a library were read."""
    if wanted == "none" or not library.units or row.names == "all":
        return True
    return wanted == "one" and has_names(library)


def at_least(row: Row, evidence: Evidence, names: NamesWanted) -> NamesWanted:
    """``names``, and besides all those that are in the store: reading again loses none."""
    named = {library.path for library in evidence.libraries if has_names(library)}

    def wanted(path: str) -> Names:
        known: Names = "all" if row.names == "all" else "one" if path in named else "none"
        return max(known, names(path), key=LEVELS.index)

    return wanted


def with_compilers(package: Package) -> Package:
    """The package with the compilers that today's facts name for its files."""
    names = named_compilers(package.name, package.version, package.fact_files)
    return msgspec.structs.replace(package, compilers=names)


def renamed(evidence: Evidence, name: str) -> Evidence:
    """The evidence of the same bytes under another file name."""
    old = evidence.target
    if evidence.kind == "wheel":
        return _renamed_wheel(evidence, name)
    if evidence.kind == "zip":
        return msgspec.structs.replace(evidence, target=name)
    libraries = [_moved(library, old, name) for library in evidence.libraries]
    return msgspec.structs.replace(evidence, target=name, libraries=libraries)


def _renamed_wheel(evidence: Evidence, name: str) -> Evidence:
    """A wheel's tags are in its name; what was wrong with the old name is forgotten."""
    notes: list[NotRead] = []
    tags = file_tags(name, notes) if name.endswith(".whl") else []
    old = {evidence.target, evidence.target[:80]}
    return msgspec.structs.replace(
        evidence,
        target=name,
        packages=[msgspec.structs.replace(p, file_tags=tags) for p in evidence.packages],
        not_read=[*(n for n in evidence.not_read if n.path not in old), *notes],
    )


def _moved(library: Library, old: str, new: str) -> Library:
    faults = [
        msgspec.structs.replace(fault, path=new) if fault.path == old else fault
        for fault in library.not_read
    ]
    return msgspec.structs.replace(library, path=new, not_read=faults)
