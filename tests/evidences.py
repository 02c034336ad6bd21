"""Evidence of files that never were, and rows of it, for tests of what keeps evidence."""

from __future__ import annotations

import hashlib

import msgspec
from hypothesis import strategies as st

from sartor.artifact.model import Evidence, Image, Library, NotRead, Package, Unit
from sartor.evidence.row import Names, Row, row_of

TIME = "2026-11-20T12:00:00Z"


def sha256_of(number: int) -> str:
    """The digest of a made-up file."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def evidence(number: int = 0, names: Names = "none", *, faults: bool = False) -> Evidence:
    """A wheel with one library of two units, of which kernels' names were read or not."""
    kernels: dict[str, list[int]] = {"_Z3addPf": [0, 1] if names == "all" else [0]}
    units = [Unit(images=[0, 1], count=2, bytes=20)]
    if names != "none":
        read = [0, 1] if names == "all" else [0]
        unit = Unit(images=[0, 1], bytes=10, offset=0, kernels=kernels, kernels_read=read)
        units = [unit, msgspec.structs.replace(unit, offset=64)]
    library = Library(
        path="one/_C.so",
        size=1000 + number,
        images=[
            Image(kind="cubin", arch="sm_90a", count=2, bytes=16, plain_bytes=40),
            Image(kind="ptx", arch="compute_90", count=2, bytes=4, plain_bytes=8, ptx_isa="8.7"),
        ],
        units=units,
    )
    package = Package(
        name="one",
        version=f"1.{number}",
        path=f"one-1.{number}.dist-info",
        file_tags=["py3-none-any"],
    )
    return Evidence(
        target=f"one-1.{number}-py3-none-any.whl",
        kind="wheel",
        size=5000 + number,
        sha256=sha256_of(number),
        packages=[package],
        libraries=[library],
        not_read=[NotRead("two.so", "it broke off")] if faults else [],
    )


def row(number: int = 0, names: Names = "none", *, faults: bool = False, whole: bool = True) -> Row:
    """The row of `evidence`, read at `TIME`."""
    made = row_of(evidence(number, names, faults=faults), names, whole=whole)
    return msgspec.structs.replace(made, read_at=TIME)


NAMES: st.SearchStrategy[Names] = st.sampled_from(["none", "one", "all"])


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A row that an export may hold: of a few files, more or less of each, older or newer."""
    faults = draw(st.booleans())
    made = row(draw(st.integers(0, 4)), draw(NAMES), faults=faults, whole=draw(st.booleans()))
    return msgspec.structs.replace(
        made,
        origin="imported",
        stated_by=draw(st.sampled_from([None, "a" * 16, "b" * 16])),
        reader=draw(st.sampled_from([0, made.reader])),
        read_at=draw(st.sampled_from([TIME, "2026-11-21T00:00:00Z"])),
    )
