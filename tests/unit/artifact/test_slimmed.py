"""What slimming wrote down, put beside what is read of a library."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.artifact.environment import RecordAround
from sartor.artifact.model import Image, Library, SlimmedFrom, Unit
from sartor.artifact.slimmed import Former, ReducedUnits, as_it_was, formers, in_rows, joined

SLIMMED = SlimmedFrom(gpus=["sm_90"], original="`made-1.0.whl`")
ARCHS = ("sm_80", "sm_90", "sm_120", "compute_90")


def image(arch: str) -> Image:
    return Image(kind="cubin", arch=arch, count=1, bytes=10, plain_bytes=10)


def library(units: list[Unit], size: int = 100) -> Library:
    return Library(path="made/a.so", size=size, images=[image("sm_90")], units=units)


def rows(before: list[set[str]], after: list[set[str]]) -> list[ReducedUnits]:
    """By the sets that each unit held and holds."""
    pairs = enumerate(zip(before, after, strict=True))
    return in_rows((i, sorted(a), sorted(b), None) for i, (a, b) in pairs if a != b)


held = st.lists(st.sets(st.sampled_from(ARCHS)), min_size=1, max_size=6)


@given(held, st.sets(st.sampled_from(ARCHS)), st.sets(st.sampled_from(ARCHS)))
def test_two_slimmings_are_written_down_as_one(
    units: list[set[str]], first: set[str], then: set[str]
) -> None:
    middle = [unit & first for unit in units]
    last = [unit & then for unit in middle]
    assert joined(rows(units, middle), rows(middle, last)) == rows(units, last)


def test_units_with_names_get_what_they_held_by_their_number() -> None:
    units = [
        Unit(images=[0], offset=64, kernels={"own": [0]}, kernels_read=[0]),
        Unit(images=[], offset=16),
        Unit(images=[], offset=32),
        Unit(images=[0], offset=8, scattered=True),
    ]
    told = [
        ReducedUnits(held=["sm_100f"], left=[], units=[0], kernels=["gone"]),
        ReducedUnits(held=["sm_80", "sm_90"], left=["sm_90"], units=[2]),
    ]
    found = as_it_was(library(units), Former(100, SLIMMED, told))
    by_offset = {unit.offset: unit for unit in found.units}
    assert by_offset[16].held == ["sm_100f"]
    assert by_offset[16].kernels == {"gone": []}
    assert by_offset[32].held is msgspec.UNSET
    assert by_offset[32].kernels is None
    assert by_offset[64].held == ["sm_80", "sm_90"]
    assert by_offset[64].kernels == {"own": [0]}
    assert by_offset[8].held is msgspec.UNSET
    assert found.slimmed == SLIMMED


def test_units_that_stand_for_several_are_parted() -> None:
    units = [Unit(images=[], count=3), Unit(images=[0], count=4, bytes=40)]
    told = [
        ReducedUnits(held=["sm_80"], left=[], units=[0]),
        ReducedUnits(held=["sm_120"], left=[], units=[2, 5]),
        ReducedUnits(held=["sm_80", "sm_90"], left=["sm_90"], units=[1, 3, 4]),
    ]
    found = as_it_was(library(units), Former(100, SLIMMED, told))
    parts = {(tuple(unit.held or ()), unit.count, unit.bytes) for unit in found.units}
    assert parts == {
        (("sm_80",), 1, 0),
        (("sm_120",), 2, 0),
        (("sm_80", "sm_90"), 3, 30),
        ((), 1, 10),
    }


def test_another_file_is_not_spoken_of() -> None:
    told = Former(99, SLIMMED, [ReducedUnits(held=["sm_80"], left=[], units=[0])])
    plain = library([Unit(images=[], offset=0)])
    assert as_it_was(plain, told) == plain
    assert as_it_was(plain, None) == plain


def of_wheel(size: int) -> bytes:
    reduced = {
        "path": "made/a.so",
        "bytes_after": size,
        "units": [{"held": ["sm_80", "sm_90"], "left": ["sm_90"], "units": [3]}],
    }
    told = {"gpus": ["sm_90"], "source": {"name": "made-1.0.whl"}, "libraries": [reduced]}
    return msgspec.json.encode(told)


def in_place(before: int, kept: str | None) -> bytes:
    changed = {
        "path": "lib/site-packages/made/a.so",
        "before": {"size": before},
        "size": 50,
        "project": "made",
        "version": "1.0",
        "wanted": {"targets": [{"gpu": "sm_120"}]},
        "kept": kept,
        "units": [{"held": ["sm_90"], "left": [], "units": [3]}],
    }
    return msgspec.json.encode({"files": [changed]})


@pytest.mark.parametrize(
    ("before", "kept", "held", "original"),
    [
        (100, "a.zst", ["sm_80", "sm_90"], "`made-1.0.whl`"),
        (101, "a.zst", ["sm_90"], "`sartor slim --undo`"),
        (101, None, ["sm_90"], "install `made==1.0` anew"),
    ],
)
def test_slimmed_in_place_after_a_slimmed_wheel(
    before: int, kept: str | None, held: list[str], original: str
) -> None:
    texts = {
        "sartor-slim": {"slimmed.json": in_place(before, kept)},
        "lib/site-packages/made-1.0.dist-info": {"sartor.json": of_wheel(100)},
    }
    found, faults = formers(texts)
    former = found["lib/site-packages/made/a.so"]
    assert former.size == 50
    assert former.units == [ReducedUnits(held=held, left=[], units=[3])]
    assert former.slimmed == SlimmedFrom(gpus=["sm_120"], original=original)
    assert faults == []


@pytest.mark.parametrize("inside", ["lib", "lib/site-packages", "lib/site-packages/made"])
def test_a_folder_in_an_environment_is_told_what_that_was(inside: str) -> None:
    data = in_place(101, "a.zst")
    whole, _ = formers({"sartor-slim": {"slimmed.json": data}})
    around = RecordAround("../sartor-slim", inside, data)
    found, faults = formers({}, around)
    assert {f"{inside}/{path}": one for path, one in found.items()} == whole
    assert faults == []
    assert formers({}, RecordAround("../sartor-slim", "lib/site", data)) == ({}, [])


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"libraries": 3, "files": 3}', b"\xff", b"[" * 100_000]
)
def test_what_cannot_be_read_is_said(data: bytes) -> None:
    for folder, name in (("a.dist-info", "sartor.json"), ("env/sartor-slim", "slimmed.json")):
        found, faults = formers({folder: {name: data}})
        assert found == {}
        assert [fault.path for fault in faults] == [folder]
    found, faults = formers({}, RecordAround("../sartor-slim", "lib", data))
    assert (found, [fault.path for fault in faults]) == ({}, ["../sartor-slim"])
