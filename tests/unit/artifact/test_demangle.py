"""Demangling: names as people read them, and no name that becomes gigabytes."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspect_seeds import mangled
from sartor.artifact.demangle import MOST_SHOWN, demangle
from sartor.artifact.demangled_size import demangled_size

REAL = [name for text in mangled() for name in text.decode().split("\n")]


def numbered(index: int) -> str:
    """The name of a substitution: ``S_``, ``S0_`` … ``SZ_``, ``S10_``."""
    digits, rest = "", index - 1
    while rest >= 0:
        rest, last = divmod(rest, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[last] + digits
        rest = rest or -1
    return f"S{digits}_"


def doubled(levels: int) -> str:
    """A function of a template of two of itself of two of itself…: 2 to the power of levels."""
    parts = (f"S_I{numbered(i)}{numbered(i)}E" for i in range(1, levels))
    return "_Z1f1PIiiE" + "".join(parts)


def packed(packs: int, size: int = 30) -> str:
    """A pack in a pack in a pack: size to the power of packs."""
    return "_Z1fIJ" + "i" * size + "EEv" + "Dp" * packs + "T_"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("_Z4axpyfPKfPf", "axpy(float, float const*, float*)"),
        ("_Z5scaleIfEvPT_S0_", "void scale<float>(float*, float)"),
        ("fill", "fill"),
        ("_Z", "_Z"),
        ("_Zzzz", "_Zzzz"),
        ("", ""),
        ("_Z1f\xe9", "_Z1f\xe9"),
    ],
)
def test_names(name: str, plain: str) -> None:
    assert demangle([name]) == {name: plain}


def test_a_name_of_cutlass_is_made_readable() -> None:
    (name,) = [name for name in REAL if "FlashAttnFwdCombine" in name]
    assert "cute::tuple<cute::C<8>, cute::C<128> >" in demangle([name])[name]


@pytest.mark.parametrize("name", [doubled(2), doubled(8), doubled(12), packed(1), packed(2), *REAL])
def test_the_bound_holds_where_it_is_small(name: str) -> None:
    size, plain = demangled_size(name), demangle([name])[name]
    assert size is not None
    assert len(plain) <= size


@pytest.mark.parametrize("name", [doubled(18), doubled(31), doubled(400), packed(3), packed(900)])
def test_what_would_become_too_long_stays_as_it_is(name: str) -> None:
    tracemalloc.start()
    began = time.process_time()
    assert demangle([name]) == {name: name}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "name", ["_Z1f" + "P" * 8000 + "i", "_ZN" + "1a" * 4000 + "E", "_Z" + "1fI" * 2000, "_Z1fUlUl"]
)
def test_depth_is_no_danger(name: str) -> None:
    assert len(demangle([name])[name]) < MOST_SHOWN


def test_many_names_are_bounded_together() -> None:
    names = [doubled(12).replace("1f", f"{len(str(i)) + 1}f{i}", 1) for i in range(1200)]
    plain = demangle(names)
    assert sum(map(len, plain.values())) < 80 << 20
    assert plain[names[0]] != names[0]


@given(st.text(alphabet="SIJEPKNT_0123DpifvLXFAM", max_size=120))
def test_any_text_is_bounded(text: str) -> None:
    name = f"_Z1f{text}"
    size, plain = demangled_size(name), demangle([name])[name]
    assert size is None or len(plain) <= max(size, len(name))
