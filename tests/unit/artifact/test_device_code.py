"""Device code of a library: images grouped, units as they stand, kernels, and what is not read."""

from __future__ import annotations

import struct
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fatbin_maker import Made, container
from sartor.artifact import device_code
from sartor.artifact.device_code import DeviceCode, Part, read_device_code
from sartor.artifact.fatbin import Container, containers
from sartor.artifact.library import read_library
from sartor.artifact.model import Library, Unit
from sartor.artifact.source import BytesSource, Invalid

DATA = Path(__file__).parents[2] / "data" / "fatbin"
TABLE = tomllib.loads((DATA / "expected.toml").read_text("utf-8"))
EXPECTED: dict[str, list[str]] = TABLE["images"]
CUBIN = (DATA / "lone.cubin").read_bytes()
KERNELS = ["_Z4axpyfPKfPf", "_Z5scaleIfEvPT_S0_", "_Z6squarePi"]
PTX = b".version 9.0\n.target sm_90\n.visible .entry fill(\n)\0"

IMAGES = st.builds(
    Made,
    st.sampled_from(["ptx", "cubin", "ltoir", 64]),
    st.sampled_from(["80", "90", "90a", "100f", "120"]),
    st.binary(min_size=1, max_size=60),
    st.sampled_from(["8.7", "9.0"]),
    st.sampled_from([None, "-O1"]),
    st.sampled_from([None, "lz4", "zstd"]),
)


def read(data: bytes, names: device_code.Names = "none", *, linked: bool = False) -> DeviceCode:
    return read_device_code(BytesSource(data, "x"), "x.so", [Part(0, len(data), linked)], names)


def library(name: str, names: device_code.Names = "none") -> Library:
    data = (DATA / name).read_bytes()
    found = read_library(BytesSource(data, name), name, names)
    assert found is not None
    return found


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_images_of_each_file_are_those_that_were_asked_for(name: str) -> None:
    found = library(name)
    said = [
        " ".join(
            field or "-"
            for field in (image.kind, image.arch, image.ptx_isa, image.compression, image.options)
        )
        for image in found.images
        for _ in range(image.count)
    ]
    assert sorted(said) == sorted(EXPECTED[name])
    assert found.not_read == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_kernels_of_each_file_are_those_of_its_source(name: str) -> None:
    source = "kernels" if name in TABLE["sources"]["kernels"] else "one"
    found = library(name, "all")
    named = {kernel for unit in found.units for kernel in unit.kernels or {}}
    assert sorted(named) == ([] if name == "lto.fatbin" else sorted(TABLE["kernels"][source]))
    assert found.not_read == []


def test_only_the_object_for_linking_is_relocatable() -> None:
    found = {name: [unit.relocatable for unit in library(name).units] for name in EXPECTED}
    assert [name for name, units in found.items() if any(units)] == ["relocatable.o"]


def test_ptxas_release_is_the_librarys_toolkit() -> None:
    found = {name: library(name) for name in EXPECTED}
    with_cubins = [name for name, rows in EXPECTED.items() if any("cubin" in r for r in rows)]
    for name in with_cubins:
        assert (found[name].toolkits, found[name].cuda_major) == (["13.0"], 13)


@given(st.lists(st.lists(IMAGES, max_size=5), max_size=6), st.sampled_from(["none", "one", "all"]))
def test_images_and_units_count_as_they_were_built(
    units: list[list[Made]], names: device_code.Names
) -> None:
    data = b"".join(map(container, units))
    found = read(data, names)
    built = Counter(key for images in units for key in map(key_of, images))
    read_back = Counter(
        {(i.kind, i.arch, i.ptx_isa, i.compression, i.options): i.count for i in found.images}
    )
    assert read_back == built
    assert len(found.images) == len(built)
    assert sum(unit.count for unit in found.units) == len(units)
    assert sum(unit.bytes for unit in found.units) == sum(image.bytes for image in found.images)
    expanded = [unit.images for unit in found.units for _ in range(unit.count)]
    assert sorted(held(found, images) for images in expanded) == sorted(
        [tuple(map(str, map(key_of, images))) for images in units]
    )


def key_of(made: Made) -> tuple[str, str, str | None, str | None, str | None]:
    kind = made.kind if isinstance(made.kind, str) else "unknown"
    prefix = {"ptx": "compute_", "cubin": "sm_", "ltoir": "lto_"}.get(kind, "")
    isa = made.isa if kind == "ptx" else None
    return kind, f"{prefix}{made.arch}", isa, made.compression, made.options


def held(found: DeviceCode, indices: list[int]) -> tuple[str, ...]:
    images = (found.images[index] for index in indices)
    return tuple(str((i.kind, i.arch, i.ptx_isa, i.compression, i.options)) for i in images)


@given(st.lists(IMAGES, min_size=1, max_size=4), st.data())
def test_whatever_is_changed_something_comes_back(images: list[Made], data: st.DataObject) -> None:
    changed = bytearray(container([*images, Made("cubin", "100f", CUBIN, compression="zstd")]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    found = read(bytes(changed), "all")
    assert found.units or found.not_read


def test_one_reads_the_cheapest_and_all_reads_all() -> None:
    images = [
        Made("ptx", "90", PTX, "9.0", ""),
        Made("cubin", "100f", CUBIN, compression="zstd"),
        Made("cubin", "100f", CUBIN),
    ]
    one, every = read(container(images), "one"), read(container(images), "all")
    assert one.units[0].kernels_read == [0]
    assert one.images[0].compression is None
    assert sorted(one.units[0].kernels or {}) == KERNELS
    assert every.units[0].kernels == {**dict.fromkeys(KERNELS, [1, 0]), "fill": [2]}  # noqa: RUF024
    assert sorted(every.units[0].kernels_read) == [0, 1, 2]


def test_a_broken_image_costs_its_names_alone() -> None:
    images = [Made("cubin", "80", b"\x7fELF nothing"), Made("cubin", "100f", CUBIN)]
    found = read(container(images) + container([Made("ptx", "90", PTX, "9.0", "")]), "all")
    assert [sorted(unit.kernels or {}) for unit in found.units] == [KERNELS, ["fill"]]
    assert [(fault.path, fault.offset) for fault in found.not_read] == [("x.so", 16)]
    assert sum(image.count for image in found.images) == 3


def test_a_unit_of_which_nothing_was_read_has_no_kernels() -> None:
    found = read(container([Made("cubin", "80", b"nothing")]), "one")
    assert found.units == [
        Unit(images=[0], bytes=8, offset=0, kernels=None, kernels_read=[], relocatable=False)
    ]
    assert len(found.not_read) == 1


def test_units_of_relocatable_code_are_kept_apart() -> None:
    data = container([Made("ptx", "90", PTX, "9.0", "")]) * 2
    half = len(data) // 2
    parts = [Part(0, half), Part(half, half, relocatable=True)]
    found = read_device_code(BytesSource(data, "x"), "x.so", parts, "none")
    assert [unit.relocatable for unit in found.units] == [False, True]
    assert [image.count for image in found.images] == [2]


@pytest.mark.parametrize(
    ("bound", "value"),
    [("MOST_NAMES", 3), ("MOST_NAME_CHARACTERS", 50), ("MOST_DECOMPRESSED", len(CUBIN) + 100)],
)
def test_names_are_bounded_over_the_whole_library(
    monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    data = container([Made("cubin", "100f", CUBIN, compression="zstd")]) * 3
    assert read(data, "all").not_read == []
    monkeypatch.setattr(device_code, bound, value)
    found = read(data, "all")
    assert [unit.kernels is None for unit in found.units] == [False, True, True]
    assert len(found.not_read) == 2
    assert "more than" in found.not_read[0].why


def test_a_section_that_claims_too_much_is_read_to_the_end() -> None:
    data = bytearray((DATA / "library.so").read_bytes())
    (table,) = struct.unpack_from("<Q", data, 40)
    (count,) = struct.unpack_from("<H", data, 60)
    sizes = [table + i * 64 + 32 for i in range(count)]
    fatbin_at = data.index(struct.pack("<IHH", 0xBA55ED50, 1, 16))
    (at,) = [s for s in sizes if struct.unpack_from("<Q", data, s - 8)[0] == fatbin_at]
    struct.pack_into("<Q", data, at, 1 << 40)
    found = read_library(BytesSource(bytes(data), "x.so"), "x.so", "none")
    assert found is not None
    assert "past the end" in found.not_read[0].why
    assert sum(image.count for image in found.images) >= 2


def test_sections_that_share_bytes_are_not_read_many_times_over() -> None:
    """A table of 16 MB could name one section 262,144 times."""
    data = bytearray((DATA / "library.so").read_bytes())
    (table,) = struct.unpack_from("<Q", data, 40)
    (count,) = struct.unpack_from("<H", data, 60)
    fatbin_at = data.index(struct.pack("<IHH", 0xBA55ED50, 1, 16))
    rows = [bytes(data[table + i * 64 : table + i * 64 + 64]) for i in range(count)]
    (fatbin_row,) = [row for row in rows if struct.unpack_from("<Q", row, 24)[0] == fatbin_at]
    data[table + 64 : table + 128] = fatbin_row  # section 1 is the same once more
    found = read_library(BytesSource(bytes(data), "x.so"), "x.so", "none")
    assert found is not None
    assert found.images == []
    assert "begins inside the one before it" in found.not_read[-1].why


def test_images_are_bounded_over_all_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_code, "MOST_ENTRIES", 5)
    two = container([Made("cubin", "90", b"x"), Made("cubin", "90", b"y")])
    data = two * 4
    parts = [Part(i * len(two), len(two)) for i in range(4)]
    found = read_device_code(BytesSource(data, "x"), "x.so", parts, "none")
    assert [image.count for image in found.images] == [4]
    assert all("more than" in fault.why for fault in found.not_read)


def test_empty_containers_count_too() -> None:
    found = list(containers(BytesSource(container([]) * 10, "x"), 0, 160, 5))
    assert [type(one) for one in found] == [Container] * 5 + [Invalid]
