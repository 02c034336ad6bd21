"""The new layout of a library: laws, on libraries of any device code, judged by a small loader."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fatbin_maker import Made
from sartor.artifact.elf import Elf
from sartor.artifact.source import BytesSource
from sartor.slim.choice import Wanted
from sartor.slim.library.check import fault_of, grades
from sartor.slim.library.headers import read_headers
from sartor.slim.library.pieces import streamed
from sartor.slim.library.reduce import LibraryPlan, plan_library
from sartor.slim.library.regions import Region, find_regions
from sartor.verdict.model import Target
from slim_maker import (
    AARCH64,
    DATA,
    SEGMENT,
    UNITS,
    X86_64,
    Shown,
    found_units,
    library,
    loaded,
    sections,
)

CODE = ("75", "80", "86", "90", "90a", "100", "100f", "120", "120f")
CAPABILITIES = ("7.5", "8.0", "8.9", "9.0", "10.0", "12.0")
MACHINES = st.sampled_from([X86_64, AARCH64])
GPUS = st.sets(st.sampled_from(CAPABILITIES), min_size=1, max_size=3)
PAYLOADS = st.builds(bytes.__mul__, st.binary(min_size=8, max_size=8), st.integers(1, 280))
IMAGES = st.builds(
    Made,
    st.sampled_from(["cubin", "cubin", "ptx"]),
    st.sampled_from(CODE),
    PAYLOADS,
    st.sampled_from(["8.7", "9.0"]),
    st.sampled_from([None, "-O1 --fmad false"]),
    st.sampled_from([None, "lz4", "zstd"]),
)


UNITS_OF_IMAGES = st.lists(st.lists(IMAGES, max_size=5), min_size=UNITS, max_size=UNITS)
LIBRARIES = st.builds(library, UNITS_OF_IMAGES, MACHINES).map(Shown)


def wanted(gpus: set[str], keep_ptx: bool = False) -> Wanted:
    targets = (Target(f"sm_{c.replace('.', '')}", c) for c in sorted(gpus))
    return Wanted(tuple(targets), keep_ptx)


def planned(data: bytes, asked: Wanted) -> tuple[LibraryPlan, bytes]:
    """The plan, and the file that it makes."""
    source = BytesSource(data, "library.so")
    plan = plan_library(source, "library.so", asked)
    written = b"".join(streamed(plan.pieces, source))
    assert len(written) == plan.result.bytes_after
    if plan.result.changed:
        made = BytesSource(written, "library.so")
        assert fault_of(source, made, plan.pieces, plan.regions, asked) is None
        assert len(written) <= len(data)
    else:
        assert written == data
    return plan, written


@given(LIBRARIES, GPUS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_units_have_their_images_and_no_others(data: bytes, gpus: set[str], keep_ptx: bool) -> None:
    plan, written = planned(data, wanted(gpus, keep_ptx))
    before, after = found_units(data), found_units(written)
    assert len(after) == len(before) == UNITS
    for unit, old, new in zip(plan.result.units, before, after, strict=True):
        remaining = iter(old)
        assert all(entry in remaining for entry in new)
        assert len(new) == len(unit.kept)
        assert len(old) == len(unit.kept) + len(unit.dropped)


@given(LIBRARIES, GPUS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_twice_is_once(data: bytes, gpus: set[str], keep_ptx: bool) -> None:
    _, once = planned(data, wanted(gpus, keep_ptx))
    _, twice = planned(once, wanted(gpus, keep_ptx))
    assert twice == once


@given(LIBRARIES, GPUS, GPUS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_fewer_gpus_later_are_fewer_gpus_at_once(
    data: bytes, some: set[str], more: set[str], keep_ptx: bool
) -> None:
    _, first = planned(data, wanted(some | more, keep_ptx))
    _, then = planned(first, wanted(some, keep_ptx))
    _, at_once = planned(data, wanted(some, keep_ptx))
    assert then == at_once


def regions_of(data: bytes) -> list[Region]:
    source = BytesSource(data, "library.so")
    return find_regions(source, read_headers(source, Elf(source)), wanted({"9.0"}))


@given(LIBRARIES, GPUS)
@settings(max_examples=60, deadline=None)
def test_no_verdict_is_another(data: bytes, gpus: set[str]) -> None:
    asked = wanted(gpus)
    _, written = planned(data, asked)
    for target in asked.targets:
        before = [grade.grade for grade in grades(regions_of(data), target)]
        assert [grade.grade for grade in grades(regions_of(written), target)] == before


@given(LIBRARIES, GPUS)
@settings(max_examples=40, deadline=None)
def test_all_else_is_where_it_was_in_memory(data: bytes, gpus: set[str]) -> None:
    plan, written = planned(data, wanted(gpus))
    old, new = sections(data), sections(written)
    assert old.keys() == new.keys()
    moved = {".nv_fatbin", ".note.gnu.build-id", ".gnu.hash"} if plan.result.changed else set()
    patched = {".rela.dyn", ".dynsym", ".dynamic", ".nvFatBinSegment"}
    for name, part in old.items():
        if name in {"", ".bss"}:
            continue
        now = new[name]
        if name not in moved:
            assert now.address == part.address
        if name == ".nv_fatbin":
            continue
        assert now.size == part.size
        same = written[now.offset :][: now.size] == data[part.offset :][: part.size]
        assert same or name in patched
        if part.address:
            assert loaded(written, now.address, now.size) == written[now.offset :][: now.size]


@given(LIBRARIES, GPUS)
@settings(max_examples=40, deadline=None)
def test_segments_share_no_page(data: bytes, gpus: set[str]) -> None:
    _, written = planned(data, wanted(gpus))
    at = int.from_bytes(written[32:40], "little")
    count = int.from_bytes(written[56:58], "little")
    rows = [SEGMENT.unpack_from(written, at + i * SEGMENT.size) for i in range(count)]
    loads = [row for row in rows if row[0] == 1]
    for _, _, offset, address, _, size, memory, alignment in loads:
        assert (address - offset) % alignment == 0
        assert size <= memory
        assert offset + size <= len(written)
    for before, after in pairwise(loads):
        page = after[7]
        assert -(-(before[3] + before[6]) // page) <= after[3] // page


@pytest.mark.parametrize("name", ["units.so", "linked.so"])
def test_a_library_that_nvcc_made(name: str) -> None:
    data = (DATA / name).read_bytes()
    plan, written = planned(data, wanted({"9.0"}))
    assert plan.result.changed
    assert plan.result.device_bytes_after == plan.result.device_bytes_least
    assert {tally.arch for tally in plan.result.images if tally.kept} <= {
        "sm_90",
        "sm_90a",
        "compute_80",
    }
    assert plan.result.left_alone == []
    assert len(written) < 0.6 * len(data)


def test_relocatable_code_stays_where_it_would_be_linked() -> None:
    data = (DATA / "linked.so").read_bytes()
    plan, _ = planned(data, wanted({"12.0"}))
    (left,) = plan.result.left_alone
    assert left.code == "relocatable"
    assert any(tally.kind == "ptx" and tally.kept == 2 for tally in plan.result.images)
