"""The beginning of a file on the hub, read by range requests: headers without the weights."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

from sartor.errors import HubUnreachableError
from sartor.models.gguf import GgufHeader, read_gguf, read_header
from sartor.models.hub_errors import is_passing
from sartor.models.hub_files import PAUSES, is_whole
from sartor.models.sniff import invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from sartor.models.hub_files import Cache
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
        """Fill ``buffer`` as far as the file goes; `ModelInvalidError` beyond `MOST_BYTES`."""
        view = memoryview(buffer).cast("B")
        end = min(self._size, self._at + len(view))
        if end > MOST_BYTES:
            raise invalid("the file", end, "its header is longer than any known one")
        if end > len(self._kept):
            start = len(self._kept)
            self._kept += self._fetch(start, min(self._size, max(end, start + STEP_BYTES)))
        data = self._kept[self._at : end]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def hub_gguf_headers(
    cache: Cache, revision: str, files: list[ModelFile]
) -> list[GgufHeader] | None:
    """The headers of a GGUF model's ``files``; None where a size is not known.

    What ``cache`` holds whole is read there.

    Raises `ModelInvalidError`, and what the hub's library raises.
    """
    found = []
    for file in files:
        if file.size_bytes is None:
            return None
        kept = cache.snapshot(revision) / file.name
        if is_whole(kept, file.size_bytes):
            found.append(read_gguf(kept))
            continue
        fetch = _fetcher(cache.repository, revision, file.name)
        stream = RangeStream(file.size_bytes, fetch)
        found.append(read_header(io.BufferedReader(stream, 1 << 16), file.name))
    return found


def _fetcher(repository: str, revision: str, name: str) -> Callable[[int, int], bytes]:
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(repository, name, revision=revision)

    def fetch(start: int, end: int) -> bytes:
        """The bytes from ``start`` to ``end``; a connection that breaks is taken up again."""
        data = bytearray()
        stalled = 0
        while len(data) < end - start:
            before = len(data)
            try:
                _request(url, start + before, end, data)
            except Exception as error:
                stalled = stalled + 1 if len(data) == before else 0
                if not is_passing(error) or stalled > len(PAUSES):
                    raise
                time.sleep(PAUSES[max(0, stalled - 1)])
        return bytes(data)

    return fetch


def _request(url: str, start: int, end: int, data: bytearray) -> None:
    """One request for the bytes from ``start`` to ``end``, appended to ``data`` as they come."""
    from huggingface_hub import get_session, hf_raise_for_status
    from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT
    from huggingface_hub.utils._headers import build_hf_headers

    headers = {
        **build_hf_headers(),
        "Accept-Encoding": "identity",
        "Range": f"bytes={start}-{end - 1}",
    }
    request = get_session().stream("GET", url, headers=headers, timeout=HF_HUB_DOWNLOAD_TIMEOUT)
    with request as response:
        hf_raise_for_status(response)
        skip = 0 if response.status_code == 206 else start
        for chunk in response.iter_bytes():
            wanted = chunk[skip : skip + end - start]
            skip = max(0, skip - len(chunk))
            data += wanted
            start += len(wanted)
            if start >= end:
                return
    raise HubUnreachableError(
        "the model hub sent less of a file than was asked for", hint="run the same command again"
    )
