"""What is checked of a file from the hub before it counts as whole."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from sartor.errors import ModelInvalidError
from sartor.models import hub_files
from sartor.models.hub_files import Cache, Source, _fill_blob, _Progress
from sartor.reporter import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = bytes(range(256)) * 8
HALF = len(CONTENT) // 2
SOURCE = Source("x.gguf", "", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class TransportError(Exception):
    """By its name one of the network's."""


class Sender:
    """Sends ``parts``, one for each request; the connection breaks after all but the last."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)

    def __call__(self, url: str, partial: Path, start: int, advance: Callable[[int], None]) -> None:
        with partial.open("ab") as file:
            file.write(self.parts.pop(0))
        if self.parts:
            raise TransportError("broken")


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    def fetch(*parts: bytes, before: bytes = b"") -> Path:
        monkeypatch.setattr(hub_files, "_stream", Sender(*parts))
        monkeypatch.setattr(hub_files, "PAUSES", (0, 0, 0))
        cache = Cache(tmp_path, "org/x")
        partial = cache.partial(SOURCE.etag)
        partial.parent.mkdir(parents=True)
        partial.write_bytes(before)
        _fill_blob(cache, SOURCE, _Progress(Silent(), "x", 0, [SOURCE]))
        return cache.blob(SOURCE.etag)

    return fetch


@pytest.mark.parametrize(
    ("parts", "before"),
    [
        ([CONTENT], b""),
        ([CONTENT[:HALF], CONTENT[HALF:]], b""),
        ([CONTENT[HALF:]], CONTENT[:HALF]),
        ([], CONTENT),
        ([CONTENT], CONTENT + b"more"),
    ],
)
def test_what_is_whole_is_kept(
    fetch: Callable[..., Path], parts: list[bytes], before: bytes
) -> None:
    assert fetch(*parts, before=before).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("parts", "before"),
    [
        ([CONTENT[:HALF], bytes(HALF)], b""),
        ([CONTENT[HALF:]], bytes(HALF)),
        ([], bytes(len(CONTENT))),
    ],
)
def test_what_was_put_together_is_hashed(
    fetch: Callable[..., Path], parts: list[bytes], before: bytes, tmp_path: Path
) -> None:
    with pytest.raises(ModelInvalidError, match="damaged"):
        fetch(*parts, before=before)
    assert not list(tmp_path.rglob(f"{SOURCE.etag}*incomplete"))
    assert not Cache(tmp_path, "org/x").blob(SOURCE.etag).exists()
