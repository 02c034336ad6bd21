"""What is kept of a slimmed file brings it back, whatever it was made of; damage is found."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.slim.environment.patch import KEPT, Unfit, keep, restored, restored_sha256, turned_round
from sartor.slim.library.pieces import Copied, Made

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.slim.library.pieces import Piece

SIZE = 200


@st.composite
def piece(draw: st.DrawFn) -> Piece:
    if draw(st.booleans()):
        return Made(draw(st.binary(max_size=20)))
    at = draw(st.integers(0, SIZE))
    return Copied(at, draw(st.integers(0, SIZE - at)))


def made(pieces: list[Piece], original: bytes) -> bytes:
    parts = [p.data if isinstance(p, Made) else original[p.offset :][: p.size] for p in pieces]
    return b"".join(parts)


@given(st.lists(piece(), max_size=8), st.binary(min_size=SIZE, max_size=SIZE))
def test_stretches_give_the_original(pieces: list[Piece], original: bytes) -> None:
    slimmed = made(pieces, original)
    found, at, kept = b"", 0, 0
    for offset, size in turned_round(pieces, SIZE):
        assert size > 0
        found += original[at : at + size] if offset == KEPT else slimmed[offset : offset + size]
        kept += size if offset == KEPT else 0
        at += size
    assert found == original
    covered = {
        i for p in pieces if isinstance(p, Copied) for i in range(p.offset, p.offset + p.size)
    }
    assert kept == SIZE - len(covered)


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, Path, bytes]:
    """A slimmed file, what is kept of its original, and that."""
    original = hashlib.shake_256(b"any").digest(3 << 20)
    pieces: list[Piece] = [Copied(0, 100), Made(b"new header"), Copied(2 << 20, 1 << 19)]
    before, slimmed, place = (tmp_path / name for name in ("before", "slimmed", "kept.zst"))
    before.write_bytes(original)
    slimmed.write_bytes(made(pieces, original))
    written = keep(before, turned_round(pieces, len(original)), place)
    assert written == place.stat().st_size
    assert written < len(original) - (1 << 19) + 1000
    return slimmed, place, original


def test_a_kept_file_brings_the_original_back(kept: tuple[Path, Path, bytes]) -> None:
    slimmed, place, original = kept
    assert b"".join(restored(slimmed, place)) == original
    assert restored_sha256(slimmed, place) == hashlib.sha256(original).hexdigest()


def test_what_is_kept_is_damaged(kept: tuple[Path, Path, bytes]) -> None:
    slimmed, place, _ = kept
    whole = place.read_bytes()
    for data in (b"", whole[:20], whole[:-100], b"not zstd" + whole, bytes(len(whole))):
        place.write_bytes(data)
        with pytest.raises(Unfit):
            restored_sha256(slimmed, place)
    place.write_bytes(whole)
    slimmed.write_bytes(slimmed.read_bytes()[:-1])
    with pytest.raises(Unfit, match="shorter"):
        restored_sha256(slimmed, place)
