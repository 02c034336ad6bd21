"""What `--index` takes."""

from __future__ import annotations

import pytest

from sartor import facts
from sartor.catalog.addresses import Addresses
from sartor.errors import UsageError

MIRROR = "https://mirror.example/whl/cu128"


def test_a_maker_s_index_has_the_facts_address() -> None:
    rows = {row.id: row.url for row in facts.indexes()}
    addresses = Addresses()
    assert {name: addresses.of(name) for name in rows} == rows
    assert addresses.all == []


def test_another_address_stands_in_its_place() -> None:
    addresses = Addresses([f"pytorch-cu128={MIRROR}"])
    assert addresses.of("pytorch-cu128") == MIRROR
    assert addresses.all == [MIRROR]
    assert addresses.further == []


@pytest.mark.parametrize("word", [MIRROR, "https://h/simple?a=b", "file:///srv/simple"])
def test_an_address_alone_is_asked_besides(word: str) -> None:
    addresses = Addresses([word])
    assert addresses.further == [word] == addresses.all


@pytest.mark.parametrize("word", ["", "nowhere", "pytorch-cu128=", "pytorch-cu128=x", "ftp://h/x"])
def test_what_is_no_address(word: str) -> None:
    with pytest.raises(UsageError, match="--index"):
        Addresses([word])
