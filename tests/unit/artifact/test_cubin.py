"""Cubins: names of kernels and ptxas' notes, of nvcc's files; whatever the bytes, `Invalid`."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.artifact import cubin
from sartor.artifact.fatbin import Container, containers
from sartor.artifact.payload import plain_payload
from sartor.artifact.source import BytesSource, Invalid

DATA = Path(__file__).parents[2] / "data" / "fatbin"
LONE = (DATA / "lone.cubin").read_bytes()


def source(data: bytes) -> BytesSource:
    return BytesSource(data, "x.cubin")


def cubins(name: str) -> list[bytes]:
    whole = source((DATA / name).read_bytes())
    return [
        plain_payload(whole, entry)
        for one in containers(whole, 0, whole.size)
        if isinstance(one, Container)
        for entry in one.entries
        if entry.image_kind == "cubin"
    ]


def test_kernels_are_named_and_functions_are_not() -> None:
    names = ["_Z4axpyfPKfPf", "_Z5scaleIfEvPT_S0_", "_Z6squarePi"]
    assert sorted(cubin.kernel_names(source(LONE))) == names
    assert b"_Z6helperi" in LONE


def test_ptxas_noted_its_release_and_the_architecture() -> None:
    assert cubin.origin(source(LONE)) == cubin.Origin("13.0", "sm_100f")
    noted = [cubin.origin(source(data)).architecture for data in cubins("suffixes.fatbin")]
    assert noted == ["sm_90a", "sm_90", "sm_100f", "sm_103a", "sm_120"]


def test_the_header_has_the_number_of_the_architecture() -> None:
    assert cubin.architecture(source(LONE)) == "sm_100"
    found = [cubin.architecture(source(data)) for data in cubins("suffixes.fatbin")]
    assert found == ["sm_90", "sm_90", "sm_100", "sm_103", "sm_120"]


def test_a_library_for_the_processor_is_no_cubin() -> None:
    data = (DATA / "library.so").read_bytes()
    for reader in (cubin.kernel_names, cubin.origin, cubin.architecture):
        with pytest.raises(Invalid, match="not for a GPU"):
            reader(source(data))


def test_a_cubin_without_section_headers_has_no_names() -> None:
    data = bytearray(LONE)
    struct.pack_into("<Q", data, 40, 0)
    assert cubin.kernel_names(source(bytes(data))) == []
    assert cubin.origin(source(bytes(data))) == cubin.Origin(None, None)


@settings(max_examples=300)
@given(st.integers(0, len(LONE) - 1), st.binary(min_size=1, max_size=8), st.booleans())
def test_whatever_is_changed_only_invalid_comes_out(at: int, new: bytes, cut: bool) -> None:
    data = LONE[:at] + (b"" if cut else new + LONE[at + len(new) :])
    for reader in (cubin.kernel_names, cubin.origin, cubin.architecture):
        with suppress(Invalid):
            reader(source(data))
