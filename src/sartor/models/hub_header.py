"""The beginning of a file on the hub, read by range requests: headers without the weights."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from sartor.models.gguf import GgufHeader, read_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from sartor.models.model import ModelFile

STEP_BYTES = 1 << 20
MOST_BYTES = 256 << 20


class RangeStream(io.RawIOBase):
    """A seekable stream over a file of ``size`` bytes that ``fetch(start, end)`` gives parts of.

    What was fetched is kept, from the start on; each request is at least `STEP_BYTES`.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size = size
        self._fetch = fetch
        self._kept = bytearray()
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As for any file; nothing is fetched."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        """Fill ``buffer`` as far as the file goes; raises an `OSError` beyond `MOST_BYTES`."""
        view = memoryview(buffer).cast("B")
        end = min(self._size, self._at + len(view))
        if end > MOST_BYTES:
            raise OSError("the header is longer than any known one")
        if end > len(self._kept):
            start = len(self._kept)
            self._kept += self._fetch(start, min(self._size, max(end, start + STEP_BYTES)))
        data = self._kept[self._at : end]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def hub_gguf_headers(
    repository: str, revision: str, files: list[ModelFile]
) -> list[GgufHeader] | None:
    """The headers of a GGUF model's ``files``; None where a size is not known.

    Raises `ModelInvalidError`, and what the hub's library raises.
    """
    found = []
    for file in files:
        if file.size_bytes is None:
            return None
        fetch = _fetcher(repository, revision, file.name)
        stream = RangeStream(file.size_bytes, fetch)
        found.append(read_header(io.BufferedReader(stream, 1 << 16), file.name))
    return found


def _fetcher(repository: str, revision: str, name: str) -> Callable[[int, int], bytes]:
    from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status
    from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT
    from huggingface_hub.utils._headers import build_hf_headers

    url = hf_hub_url(repository, name, revision=revision)

    def fetch(start: int, end: int) -> bytes:
        headers = {
            **build_hf_headers(),
            "Accept-Encoding": "identity",
            "Range": f"bytes={start}-{end - 1}",
        }
        data = bytearray()
        request = get_session().stream(
            "GET", url, headers=headers, timeout=HF_HUB_DOWNLOAD_TIMEOUT, follow_redirects=True
        )
        with request as response:
            hf_raise_for_status(response)
            skip = 0 if response.status_code == 206 else start
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) >= skip + end - start:
                    break
        return bytes(data[skip : skip + end - start])

    return fetch
