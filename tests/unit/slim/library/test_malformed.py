"""What is not understood is left alone, byte for byte, and said so; nothing ends in a traceback."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.artifact.source import BytesSource
from sartor.slim.choice import Wanted
from sartor.slim.library.check import fault_of
from sartor.slim.library.pieces import streamed
from sartor.slim.library.reduce import plan_library
from sartor.verdict.model import Target
from slim_maker import DATA, SECTION, SEGMENT, relocations, sections

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.slim.library.model import SlimmedLibrary

HOPPER = Wanted((Target("sm_90", "9.0"),))
UNITS = (DATA / "units.so").read_bytes()
RELATIVE = 8


def slimmed(data: bytes) -> SlimmedLibrary:
    """The result; what changed is inspected as `slim_library` inspects it."""
    source = BytesSource(data, "library.so")
    plan = plan_library(source, "library.so", HOPPER)
    written = b"".join(streamed(plan.pieces, source))
    if plan.result.changed:
        made = BytesSource(written, "library.so")
        fault_of(source, made, plan.pieces, plan.regions, HOPPER)
    else:
        assert written == data
    return plan.result


def patched(offset: int, code: str, *values: int, data: bytes = UNITS) -> bytes:
    changed = bytearray(data)
    struct.pack_into(code, changed, offset, *values)
    return bytes(changed)


def relocation(number: int, *, inside: bool = True) -> tuple[int, int, int]:
    """Of a pointer into the device code, or of another: where it stands, its place and addend."""
    fatbin = sections(UNITS)[".nv_fatbin"]
    found = [
        (at, place, addend)
        for at, place, kind, addend in relocations(UNITS)
        if kind == RELATIVE and (fatbin.address <= addend < fatbin.address + fatbin.size) == inside
    ]
    return found[number]


def header_of(name: str) -> int:
    """Where the section's header stands."""
    (at,) = struct.unpack_from("<Q", UNITS, 40)
    return int(at) + SECTION.size * list(sections(UNITS)).index(name)


def segment_with(name: str) -> int:
    """Where the header of the segment that loads a section stands."""
    offset = sections(UNITS)[name].offset
    (at,) = struct.unpack_from("<Q", UNITS, 32)
    (count,) = struct.unpack_from("<H", UNITS, 56)
    for place in range(at, at + count * SEGMENT.size, SEGMENT.size):
        kind, _, start, _, _, size, *_ = SEGMENT.unpack_from(UNITS, place)
        if kind == 1 and start <= offset < start + size:
            return place
    raise AssertionError(name)


FATBIN = sections(UNITS)[".nv_fatbin"]
WRAPPERS = sections(UNITS)[".nvFatBinSegment"]

CASES: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "no ELF file": ("unreadable", "no ELF file", lambda: b"\0" + UNITS[1:]),
    "cut off": ("unreadable", "bytes are wanted", lambda: UNITS[:5000]),
    "an object": ("layout", "no shared library", lambda: patched(16, "<H", 1)),
    "stripped of headers": ("layout", "no section headers", lambda: patched(40, "<Q", 0)),
    "another machine": ("layout", "cuda", lambda: patched(18, "<H", 190)),
    "a container that lies": (
        "layout",
        "claims",
        lambda: patched(FATBIN.offset + 8, "<Q", 1 << 40),
    ),
    "a pointer into a container": (
        "layout",
        "points into a container",
        lambda: patched(relocation(1)[0] + 16, "<Q", FATBIN.address + 32),
    ),
    "a container that nothing points to": (
        "layout",
        "nothing points to",
        lambda: patched(relocation(0)[0] + 16, "<Q", relocation(1)[2]),
    ),
    "another pointer into a container": (
        "layout",
        "points into a container",
        lambda: patched(relocation(0, inside=False)[0] + 16, "<Q", FATBIN.address + 64),
    ),
    "a wrapper of another magic": (
        "layout",
        "wrapper 0",
        lambda: patched(WRAPPERS.offset, "<I", 0x12345678),
    ),
    "a wrapper without a relocation": (
        "layout",
        "no relocation",
        lambda: patched(relocation(0)[0], "<Q", 0),
    ),
    "code in a writable segment": (
        "layout",
        "only read",
        lambda: patched(segment_with(".nv_fatbin") + 4, "<I", 6),
    ),
    "a segment that is larger in memory": (
        "layout",
        "only read",
        lambda: patched(segment_with(".nv_fatbin") + 40, "<Q", 1 << 20),
    ),
    "a segment of another alignment": (
        "layout",
        "aligned",
        lambda: patched(segment_with(".nv_fatbin") + 48, "<Q", 3),
    ),
    "a section in the code": (
        "layout",
        "is in its device code",
        lambda: patched(header_of(".comment") + 24, "<Q", FATBIN.offset + 64),
    ),
    "two sections of one name": (
        "layout",
        "2 sections",
        lambda: patched(
            header_of(".rodata"), "<I", struct.unpack_from("<I", UNITS, header_of(".nv_fatbin"))[0]
        ),
    ),
    "a symbol table that is no multiple": (
        "layout",
        "table of symbols",
        lambda: patched(header_of(".dynsym") + 32, "<Q", 25),
    ),
    "something that cannot be moved": (
        "layout",
        "in the way",
        lambda: patched(header_of(".gnu.hash") + 4, "<I", 1),
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_it_is_left_alone_with_the_reason(case: str) -> None:
    code, why, make = CASES[case]
    result = slimmed(make())
    assert not result.changed
    assert [left.code for left in result.left_alone[:1]] == [code]
    assert why in result.left_alone[0].why


WHOLE = (
    "a pointer into a container",
    "a container that nothing points to",
    "a wrapper of another magic",
    "something that cannot be moved",
)


@pytest.mark.parametrize("case", WHOLE)
def test_the_code_of_what_is_left_alone_is_counted(case: str) -> None:
    """As of the library that is understood, all of it kept."""
    understood, result = slimmed(UNITS), slimmed(CASES[case][2]())
    assert result.device_bytes_before == understood.device_bytes_before > 0
    assert result.device_bytes_after == result.device_bytes_before
    assert result.left_alone[0].bytes == result.device_bytes_before
    held = {(one.kind, one.arch): one.kept + one.dropped for one in understood.images}
    assert {(one.kind, one.arch): one.kept for one in result.images} == held
    assert not any(one.dropped or one.new for one in result.images)


def test_a_library_without_device_code_is_copied() -> None:
    data = patched(header_of(".nv_fatbin"), "<I", 1)
    result = slimmed(data)
    assert not result.changed
    assert result.left_alone == []


@given(st.sampled_from(["units.so", "linked.so"]), st.integers(0, 1 << 32), st.integers(1, 6))
@settings(max_examples=400, deadline=None)
def test_changed_bytes_never_end_in_a_traceback(name: str, seed: int, changes: int) -> None:
    data = (DATA / name).read_bytes()
    source = random.Random(seed)  # noqa: S311
    tables = [(0, 64 + 14 * SEGMENT.size), (len(data) - 46 * SECTION.size, len(data))]
    tables += [(p.offset, p.offset + p.size) for p in sections(data).values() if p.size]
    changed = bytearray(data)
    for _ in range(changes):
        start, end = source.choice(tables)
        at = source.randrange(start, max(start + 1, min(end, len(data) - 8)))
        match source.randrange(10):
            case 0 | 1 | 2:
                changed[at] = source.randrange(256)
            case 3 | 4 | 5:
                edge = source.choice([0, 1, 0xFFFFFFFF, 1 << 40, (1 << 64) - 1, len(data)])
                struct.pack_into("<Q", changed, at // 8 * 8, edge)
            case 6 | 7 | 8:
                (old,) = struct.unpack_from("<I", changed, at // 4 * 4)
                struct.pack_into("<I", changed, at // 4 * 4, (old + 8) % (1 << 32))
            case _:
                del changed[at : at + source.choice([1, 8, 4096])]
                break
    slimmed(bytes(changed))
