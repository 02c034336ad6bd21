"""PTX: version, target and kernels, and nothing that stands in comments and strings."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.artifact import ptx
from sartor.artifact.ptx import Ptx, looks_like_ptx, read_ptx
from sartor.artifact.source import Invalid

LONE = (Path(__file__).parents[2] / "data" / "fatbin" / "lone.ptx").read_bytes()
KERNELS = ["_Z4axpyfPKfPf", "_Z5scaleIfEvPT_S0_", "_Z6squarePi"]


def test_what_nvcc_wrote() -> None:
    found = read_ptx(LONE)
    assert (found.isa, found.target, sorted(found.kernels)) == ("9.0", "sm_90a", KERNELS)
    assert looks_like_ptx(LONE)


@pytest.mark.parametrize(
    "text",
    [
        b"// .entry no(\n",
        b"/* .entry no( */",
        b"/* * / .entry no(",
        b'.file 1 ".entry no("',
        b"// /*\n",
        b"/**/",
        b"/***/",
        b'"',
    ],
)
def test_comments_and_strings_are_passed_over(text: bytes) -> None:
    head = b".version 8.7\n.target sm_80\n" + text
    expected = [] if b"/* * /" in text else ["yes"]
    assert read_ptx(head + b"\n.visible .entry yes(\n)") == Ptx("8.7", "sm_80", expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", Ptx(None, None, [])),
        (b".version 9.0", Ptx("9.0", None, [])),
        (b".target sm_100f, debug", Ptx(None, "sm_100f", [])),
        (b".weak .entry\n$a_1(\n.entry %b (\n.entry a\n", Ptx(None, None, ["$a_1", "%b", "a"])),
        (b".version 1.0\n.version 2.0", Ptx("1.0", None, [])),
        (b".entry a(\n.entry a(", Ptx(None, None, ["a"])),
    ],
)
def test_directives(text: bytes, expected: Ptx) -> None:
    assert read_ptx(text) == expected


@pytest.mark.parametrize(
    ("text", "is_ptx"),
    [
        (b".version 9.0", True),
        (b"\n\n//\n// x\n/* y */ .version 7.8\n", True),
        (b"version 9.0", False),
        (b"/* .version 9.0", False),
        (b".target sm_90\n.version 9.0", False),
        (b"\x7fELF", False),
        (b"", False),
    ],
)
def test_what_looks_like_ptx(text: bytes, is_ptx: bool) -> None:
    assert looks_like_ptx(text) == is_ptx


@given(st.text(alphabet='/*"\n .entyvrsioga_1', max_size=300).map(str.encode))
def test_any_text_is_read(text: bytes) -> None:
    for kernel in read_ptx(text).kernels:
        assert kernel.encode() in text
    looks_like_ptx(text)


@pytest.mark.parametrize(
    "piece", [b"/*", b"*/", b"//", b'"', b".entry ", b".version ", b"/* */", b"/***", b"\n", b" "]
)
def test_no_text_takes_it_long(piece: bytes) -> None:
    text = piece * ((4 << 20) // len(piece))
    began = time.process_time()
    read_ptx(text)
    looks_like_ptx(text)
    assert time.process_time() - began < 5


def test_the_kernels_of_one_text_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptx, "MOST_KERNELS", 2)
    assert len(read_ptx(b".entry a(\n.entry b(\n").kernels) == 2
    with pytest.raises(Invalid, match="more than 2 kernels"):
        read_ptx(b".entry a(\n.entry b(\n.entry c(\n")
