"""Which images stay: by hand, and by laws against the rule of the verdicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fatbin_maker import KINDS, Made, container
from sartor.artifact.fatbin import Container, Entry, containers
from sartor.artifact.source import BytesSource
from sartor.slim.choice import Wanted, kept_entries, kept_relocatable, look_of
from sartor.verdict.load_rule import Native, Unknown, container_outcome
from sartor.verdict.model import Target

CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "12.0", "12.1")
CODE = ["50", "75", "80", "86", "87", "89", "90", "90a", "100", "100a", "100f", "103a", "120"]
CODE += ["120a", "120f", "121a"]


def wanted(*capabilities: str, keep_ptx: bool = False) -> Wanted:
    targets = (Target(f"sm_{c.replace('.', '')}", c) for c in capabilities)
    return Wanted(tuple(targets), keep_ptx)


def entries(*archs: str, isa: str = "9.0") -> list[Entry]:
    """Images by their architectures as the toolkit writes them."""
    kinds: dict[str, str | int] = {"sm": "cubin", "compute": "ptx", "lto": "ltoir", "unknown": 64}
    images = []
    for arch in archs:
        kind, _, number = arch.partition("_")
        images.append(Made(kinds[kind], number, b"payload.", isa if kind == "compute" else "1.8"))
    return read(images)


def read(images: list[Made]) -> list[Entry]:
    data = container(images)
    (found,) = containers(BytesSource(data, "made"), 0, len(data))
    assert isinstance(found, Container)
    return found.entries


def stay(held: list[Entry], kept: frozenset[int]) -> list[str]:
    return [held[i].architecture for i in sorted(kept)]


@pytest.mark.parametrize(
    ("held", "gpus", "kept"),
    [
        (["sm_80", "sm_90", "sm_90a"], ["9.0"], ["sm_90a"]),
        (["sm_80", "sm_86", "sm_90"], ["8.9"], ["sm_86"]),
        (["sm_80", "sm_86", "sm_90"], ["8.0", "8.9"], ["sm_80", "sm_86"]),
        (["sm_80", "compute_80"], ["9.0"], ["compute_80"]),
        (["sm_80", "compute_80", "compute_90"], ["9.0"], ["compute_90"]),
        (["sm_90", "compute_90"], ["9.0"], ["sm_90"]),
        (["sm_90a", "sm_100f"], ["10.3"], ["sm_100f"]),
        (["sm_90a"], ["12.0"], []),
        ([], ["9.0"], []),
        (["sm_90", "lto_90"], ["9.0"], ["sm_90", "lto_90"]),
        (["sm_80", "unknown_80"], ["9.0"], ["sm_80", "80"]),
    ],
)
def test_what_stays(held: list[str], gpus: list[str], kept: list[str]) -> None:
    found = entries(*held)
    assert stay(found, kept_entries(found, wanted(*gpus))) == kept


def test_ptx_for_later_gpus_is_the_newest_without_a_suffix() -> None:
    found = entries("sm_90", "compute_80", "compute_90", "compute_120f")
    assert stay(found, kept_entries(found, wanted("9.0", keep_ptx=True))) == ["sm_90", "compute_90"]


def test_relocatable_code_goes_only_where_all_that_was_linked_is_native() -> None:
    relocatable = entries("sm_80", "sm_90", "compute_90")
    native, not_native = entries("sm_80", "sm_90"), entries("sm_80")
    hopper, with_ptx = wanted("9.0"), wanted("9.0", keep_ptx=True)
    assert stay(relocatable, kept_relocatable(relocatable, [native], hopper)) == []
    assert stay(relocatable, kept_relocatable(relocatable, [native], with_ptx)) == ["compute_90"]
    for linked in ([], [not_native], [native, not_native]):
        assert len(kept_relocatable(relocatable, linked, hopper)) == len(relocatable)


IMAGES = st.builds(
    Made,
    st.sampled_from([*KINDS, "cubin", "cubin", "ptx"]),
    st.sampled_from(CODE),
    st.just(b"payload."),
    st.sampled_from(["7.8", "8.7", "9.0"]),
    st.none(),
    st.none(),
)
GPUS = st.sets(st.sampled_from(CAPABILITIES), min_size=1, max_size=4)


@given(st.lists(IMAGES, max_size=8), GPUS, st.booleans())
def test_no_outcome_changes_but_for_one_that_was_not_known(
    images: list[Made], gpus: set[str], keep_ptx: bool
) -> None:
    held, asked = read(images), wanted(*sorted(gpus), keep_ptx=keep_ptx)
    kept = kept_entries(held, asked)
    left = [look_of(held[i]) for i in sorted(kept)]
    for target in asked.targets:
        before = container_outcome([look_of(entry) for entry in held], target)
        after = container_outcome(left, target)
        settled = isinstance(before, Unknown) and isinstance(after, Native)
        assert type(after) is type(before) or settled
        if not isinstance(before, Unknown):
            assert after == before


@given(st.lists(IMAGES, max_size=8), GPUS, GPUS, st.booleans())
def test_gpus_add_up_and_fewer_of_them_can_be_asked_for_later(
    images: list[Made], some: set[str], more: set[str], keep_ptx: bool
) -> None:
    held = read(images)
    few = wanted(*sorted(some), keep_ptx=keep_ptx)
    many = wanted(*sorted(some | more), keep_ptx=keep_ptx)
    first = kept_entries(held, many)
    assert first == kept_entries(held, few) | kept_entries(held, wanted(*sorted(more)))
    left = sorted(first)
    then = kept_entries([held[i] for i in left], few)
    assert frozenset(left[i] for i in then) == kept_entries(held, few)
    assert kept_entries([held[i] for i in left], many) == frozenset(range(len(left)))
