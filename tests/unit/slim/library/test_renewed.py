"""PTX compiled ahead of time and images compressed: laws, with a compiler that makes stand-ins."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fatbin_maker import Made
from sartor.artifact.elf import Elf
from sartor.artifact.payload import plain_payload
from sartor.artifact.source import BytesSource, Source
from sartor.slim.choice import Wanted
from sartor.slim.library.check import fault_of, grades
from sartor.slim.library.headers import read_headers
from sartor.slim.library.pieces import streamed
from sartor.slim.library.reduce import LibraryPlan, plan_library
from sartor.slim.library.regions import Region, find_regions
from sartor.slim.retarget.jobs import Compiled, Job, NotCompiled
from sartor.verdict.model import Target
from slim_maker import UNITS, Shown, found_units, library

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

CODE = ("75", "80", "86", "90", "90a", "100", "100f", "120")
CAPABILITIES = ("7.5", "8.0", "8.9", "9.0", "10.0", "10.3", "12.0")
GPUS = st.sets(st.sampled_from(CAPABILITIES), min_size=1, max_size=3)
PAYLOADS = st.builds(bytes.__mul__, st.binary(min_size=8, max_size=8), st.integers(1, 280))
IMAGES = st.builds(
    Made,
    st.sampled_from(["cubin", "ptx", "ptx"]),
    st.sampled_from(CODE),
    PAYLOADS,
    st.sampled_from(["8.7", "9.0"]),
    st.sampled_from([None, "-O1 --fmad false", "--compile-only"]),
    st.sampled_from([None, None, "lz4", "zstd"]),
)
COMPILABLE = IMAGES.filter(lambda image: image.options != "--compile-only")
UNITS_OF_IMAGES = st.lists(st.lists(IMAGES, max_size=4), min_size=UNITS, max_size=UNITS)
LIBRARIES = st.builds(library, UNITS_OF_IMAGES).map(Shown)
ALL_COMPILED = st.builds(
    library, st.lists(st.lists(COMPILABLE, max_size=4), min_size=UNITS, max_size=UNITS)
).map(Shown)
SIZES = st.sampled_from([64, 700, 6000])


class StandIn:
    """Makes ELF headers with bytes behind them, which follow from the text and the architecture.

    What the digest of both calls so is refused.
    """

    def __init__(self, size: int, refuses: int = 0) -> None:
        self.size, self.refuses = size, refuses
        self.asked: list[Job] = []

    def compiled(
        self, source: Source, jobs: Sequence[Job]
    ) -> Generator[tuple[int, Compiled | NotCompiled]]:
        for i, job in reversed(list(enumerate(jobs))):
            self.asked.append(job)
            text = plain_payload(source, job.ptx)
            digest = hashlib.sha256(job.arch.encode() + text).digest()
            if digest[0] < self.refuses:
                yield i, NotCompiled("refused", "the stand-in refused it")
            else:
                yield i, Compiled(cubin(digest * (self.size // 32)), "13.0.88")

    def stop(self) -> None:
        """It is done at once."""


def cubin(payload: bytes) -> bytes:
    """An ELF file for GPUs without sections."""
    ident = b"\x7fELF\x02\x01\x01\x41\x08".ljust(16, b"\0")
    return (
        ident + struct.pack("<HHIQQQIHHHHHH", 2, 190, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0) + payload
    )


def wanted(gpus: set[str], *, keep_ptx: bool = False, compress: bool = False) -> Wanted:
    targets = (Target(f"sm_{c.replace('.', '')}", c) for c in sorted(gpus))
    return Wanted(tuple(targets), keep_ptx, retarget=True, compress=compress)


def planned(data: bytes, asked: Wanted, compiler: StandIn) -> tuple[LibraryPlan, bytes]:
    source = BytesSource(data, "library.so")
    plan = plan_library(source, "library.so", asked, compiler)
    written = b"".join(streamed(plan.pieces, source))
    assert len(written) == plan.result.bytes_after
    if plan.result.changed:
        made = BytesSource(written, "library.so")
        assert fault_of(source, made, plan.pieces, plan.regions, asked) is None
    else:
        assert written == data
    return plan, written


def regions_of(data: bytes) -> list[Region]:
    source = BytesSource(data, "library.so")
    return find_regions(source, read_headers(source, Elf(source)), wanted({"9.0"}))


@given(LIBRARIES, GPUS, st.booleans(), st.booleans(), SIZES)
@settings(max_examples=80, deadline=None)
def test_twice_is_once(
    data: bytes, gpus: set[str], keep_ptx: bool, compress: bool, size: int
) -> None:
    asked = wanted(gpus, keep_ptx=keep_ptx, compress=compress)
    _, once = planned(data, asked, StandIn(size))
    _, twice = planned(once, asked, StandIn(size))
    assert twice == once


@given(ALL_COMPILED, GPUS, GPUS, st.booleans(), st.booleans(), SIZES)
@settings(max_examples=80, deadline=None)
def test_fewer_gpus_later_are_fewer_gpus_at_once(
    data: bytes, some: set[str], more: set[str], keep_ptx: bool, compress: bool, size: int
) -> None:
    few = wanted(some, keep_ptx=keep_ptx, compress=compress)
    all_of_them = wanted(some | more, keep_ptx=keep_ptx, compress=compress)
    _, first = planned(data, all_of_them, StandIn(size))
    _, then = planned(first, few, StandIn(size))
    plan, at_once = planned(data, few, StandIn(size))
    if plan.result.changed:
        assert then == at_once
    for target in few.targets:  # else the first made room for code that is gone again
        grown, alone = (grades(regions_of(made), target) for made in (then, at_once))
        assert [one.grade for one in grown] == [one.grade for one in alone]


@given(LIBRARIES, GPUS, SIZES, st.sampled_from([0, 128]))
@settings(max_examples=80, deadline=None)
def test_what_was_compiled_is_native_and_nothing_is_worse(
    data: bytes, gpus: set[str], size: int, refuses: int
) -> None:
    asked, compiler = wanted(gpus), StandIn(size, refuses)
    plan, written = planned(data, asked, compiler)
    told = {left.code for left in plan.result.left_alone}
    for target in asked.targets:
        before = [grade.grade for grade in grades(regions_of(data), target)]
        after = [grade.grade for grade in grades(regions_of(written), target)]
        for was, now in zip(before, after, strict=True):
            assert now == was or (was, now) == ("jit", "native")
            if was == "jit" == now:
                assert told & {"not-compiled", "no-room", "layout"}


@given(LIBRARIES, GPUS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_is_not_new_is_copied(data: bytes, gpus: set[str], keep_ptx: bool) -> None:
    plan, written = planned(data, wanted(gpus, keep_ptx=keep_ptx), StandIn(64))
    units = zip(plan.result.units, found_units(data), found_units(written), strict=True)
    for unit, old, new in units:
        copied = [entry for entry in new if entry in old]
        assert len(copied) >= len(unit.kept)
        assert len(new) == len(unit.kept) + len(unit.new)


@given(LIBRARIES, GPUS)
@settings(max_examples=40, deadline=None)
def test_compressing_alone_changes_no_image(data: bytes, gpus: set[str]) -> None:
    asked = replace(wanted(gpus, compress=True), retarget=False)
    plan, written = planned(data, asked, StandIn(64))
    plain = replace(asked, compress=False)
    _, reduced = planned(data, plain, StandIn(64))
    assert len(written) <= len(reduced)
    assert images(written) == images(reduced) or not plan.result.changed
    tallies = plan.result.images
    assert plan.result.device_bytes_after <= sum(t.kept_bytes + t.saved_bytes for t in tallies)


def images(data: bytes) -> list[list[bytes]]:
    source = BytesSource(data, "library.so")
    return [
        [plain_payload(source, entry) for entry in container.entries]
        for region in regions_of(data)
        for container in region.containers
    ]


def test_code_that_does_not_fit_is_left_out_the_largest_first() -> None:
    texts = [bytes([i]) * (4000 * (i + 1)) for i in range(UNITS)]
    data = library([[Made("ptx", "80", text, "9.0")] for text in texts])
    compiler = StandIn(1 << 16)
    plan, written = planned(data, wanted({"9.0", "12.0"}), compiler)
    (left,) = plan.result.left_alone
    assert left.code == "no-room"
    assert left.units > 0
    assert len(compiler.asked) == 2 * UNITS
    compiled = sum(row.units for row in plan.result.retargeted)
    assert compiled == 2 * (UNITS - left.units)
    for unit, new in zip(plan.result.units, found_units(written), strict=True):
        assert len(new) == len(unit.kept) + len(unit.new)


def test_a_library_that_was_made_smaller_grows_again() -> None:
    units = [[Made("cubin", "80", b"12345678" * 900), Made("ptx", "80", b"text", "9.0")]]
    data = library(units * UNITS)
    small = replace(wanted({"9.0"}), retarget=False)
    _, without = planned(data, small, StandIn(0))
    _, grown = planned(without, wanted({"9.0"}), StandIn(6000))
    assert len(without) < len(grown)
    _, at_once = planned(data, wanted({"9.0"}), StandIn(6000))
    assert grown == at_once


def test_what_a_dry_run_says() -> None:
    data = library([[Made("ptx", "80", b"text", "9.0")]] * UNITS)
    plan = plan_library(BytesSource(data, "library.so"), "library.so", wanted({"9.0"}))
    (left,) = plan.result.left_alone
    assert (left.code, left.units) == ("not-compiled", UNITS)
    assert "dry run" in left.why
    assert not plan.result.changed


@pytest.mark.parametrize(
    ("driver", "used", "compress", "how"),
    [
        ("580.65.06", None, False, "zstd"),
        ("550.54.14", "lz4", True, "zstd"),
        ("535.183.01", "zstd", False, "lz4"),
        (None, "zstd", False, "zstd"),
        (None, "lz4", True, "lz4"),
        (None, None, True, "lz4"),
        (None, None, False, None),
    ],
)
def test_how_new_code_is_compressed(
    driver: str | None, used: str | None, compress: bool, how: str | None
) -> None:
    text = Made("ptx", "80", b"text" * 400, "9.0", compression=used)
    data = library([[text]] * UNITS)
    asked = replace(wanted({"9.0"}, compress=compress), driver=driver)
    plan, _ = planned(data, asked, StandIn(1024))
    (row,) = plan.result.retargeted
    assert row.compression == how
    assert (row.units, row.ptx, row.arch) == (UNITS, "compute_80", "sm_90")
