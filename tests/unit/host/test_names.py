from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor import facts
from sartor.host.names import closest_gpus, gpu_fact, slug, spellings, why_unknown


@given(st.text())
def test_slug_is_idempotent(text: str) -> None:
    assert slug(slug(text)) == slug(text)


@given(st.text())
def test_slug_has_the_spelling_of_ids(text: str) -> None:
    assert all(c in "abcdefghijklmnopqrstuvwxyz0123456789-" for c in slug(text))
    assert not slug(text).startswith("-")
    assert "--" not in slug(text)


@given(st.text(), st.sampled_from([" ", "_", "-", "/"]))
def test_slug_does_not_care_for_case_or_separators(text: str, separator: str) -> None:
    plain = slug(text)
    assert slug(plain.upper().replace("-", separator)) == plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NVIDIA GeForce RTX 5090", "geforce-rtx-5090"),
        ("Nvidia NVIDIA L4", "l4"),
        ("nvidia", "nvidia"),
        ("Orin (nvgpu)", "orin-nvgpu"),
        ("", ""),
    ],
)
def test_slugs(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_every_row_is_found_by_each_of_its_spellings() -> None:
    for row in facts.gpus():
        found = [gpu_fact(spelling) for spelling in spellings(row)]
        assert all(fact and fact.compute_capability == row.compute_capability for fact in found)
        assert gpu_fact(row.id) == row


def test_equal_names_are_told_apart_by_memory() -> None:
    small = gpu_fact("NVIDIA Thor", 64 * 2**30)
    large = gpu_fact("NVIDIA Thor", 123 * 2**30)
    assert small is not None
    assert large is not None
    assert (small.memory_gb, large.memory_gb) == (64, 128)


def test_unknown_names() -> None:
    assert gpu_fact("radeon") is None
    assert gpu_fact("") is None
    assert closest_gpus("RTX 5900")[0] == "rtx-5090"
    assert closest_gpus("%%%") == []


@pytest.mark.parametrize("name", ["hal9000", "geforce", "potato", "m1 max", "k20x", "mi300x"])
def test_absurd_guesses_are_not_made(name: str) -> None:
    assert closest_gpus(name) == []


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("rx 7900 xtx, mi300x, arc a770, a770, radeon pro w7900, Intel Gaudi3, AMD", "NVIDIA"),
        ("k80, m40, gtx 980, gtx-980-ti, GTX980m, titan x maxwell, 980ti", "older than Pascal"),
        ("NVIDIA GeForce GTX TITAN X, quadro m4000, gt 710, jetson nano", "older than Pascal"),
    ],
)
def test_names_that_are_no_slips(names: str, words: str) -> None:
    for name in names.split(", "):
        assert gpu_fact(name) is None
        reason = why_unknown(name)
        assert reason, name
        assert words in reason


@pytest.mark.parametrize("name", ["rtx 5900", "gtx 1090", "tesla v10", "l4o", "h2000"])
def test_slips_are_left_to_the_guesses(name: str) -> None:
    assert why_unknown(name) is None
    assert closest_gpus(name)
