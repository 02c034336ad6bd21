"""Files from the hub into the hub's own cache, resumed where an earlier try ended.

The hub's library gives up what it has when a download breaks off, and with it the gigabytes that
were there. So the bytes are fetched here, into ``blobs/<etag>.incomplete`` of the cache, and the
library then finds a finished blob and does the rest: snapshots and links. Files too large for
plain HTTP are left to the library, which has another protocol for them.

The layout of the cache is the documented one: ``models--org--name/{blobs,refs,snapshots}``.
"""

from __future__ import annotations

import hashlib
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import ModelInvalidError
from sartor.models.hub_errors import is_passing, no_room
from sartor.paths import free_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from sartor.models.model import ModelFile
    from sartor.reporter import Reporter

PAUSES = (0.5, 1.0, 2.0)
LARGEST_OVER_HTTP_BYTES = 50 * 1000**3
TELL_EVERY_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Cache(msgspec.Struct, frozen=True):
    """The part of the hub's cache that holds ``repository``."""

    root: Path
    repository: str

    @property
    def folder(self) -> Path:
        """Everything of this repository."""
        return self.root / self._name

    @property
    def _name(self) -> str:
        return f"models--{self.repository.replace('/', '--')}"

    @property
    def reference(self) -> Path:
        """The file that holds the commit which ``main`` was when it was last looked up."""
        return self.folder / "refs" / "main"

    def blob(self, etag: str) -> Path:
        """Where the content with ``etag`` is kept."""
        return self.folder / "blobs" / etag

    def partial(self, etag: str) -> Path:
        """Where the content with ``etag`` grows."""
        return self.folder / "blobs" / f"{etag}.incomplete"

    def lock(self, etag: str) -> Path:
        """The lock that every user of the cache takes for the content with ``etag``."""
        return self.root / ".locks" / self._name / f"{etag}.lock"

    def snapshot(self, revision: str) -> Path:
        """The files of the commit ``revision``, under their own names."""
        return self.folder / "snapshots" / revision


class Source(msgspec.Struct, frozen=True):
    """One file to fetch: where it is and what its content is known by."""

    name: str
    url: str
    etag: str
    size_bytes: int


def hub_cache(repository: str) -> Cache:
    """The cache that HF_HOME and HF_HUB_CACHE name."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Cache(Path(HF_HUB_CACHE), repository)


def is_whole(path: Path, size_bytes: int | None) -> bool:
    """Whether ``path`` is there with the size it should have (None: any)."""
    return path.is_file() and size_bytes in {None, path.stat().st_size}


def fetch_files(
    cache: Cache, revision: str, files: list[ModelFile], reporter: Reporter
) -> list[Path]:
    """Have all ``files`` of the commit ``revision`` in the cache; their paths in its snapshot.

    Raises `DiskFullError` before anything is fetched where there is no room for all, and
    `ModelInvalidError` where what arrived is not what the hub announced; the rest as the hub's
    library does (see `hub_errors.explain_hub_errors`).
    """
    snapshot = cache.snapshot(revision)
    absent = [file for file in files if not is_whole(snapshot / file.name, file.size_bytes)]
    sources = [_locate(cache.repository, revision, file) for file in absent]
    _check_room(cache, sources)
    present = sum(file.size_bytes or 0 for file in files if file not in absent)
    progress = _Progress(reporter, cache.repository, present, sources)
    for source in sources:
        _fill_blob(cache, source, progress)
        _link(cache.repository, revision, source.name)
        progress.finish(source)
    return [snapshot / file.name for file in files]


class _Progress:
    """The bytes of all files together, told to the reporter."""

    def __init__(self, reporter: Reporter, what: str, present: int, sources: list[Source]) -> None:
        self.reporter = reporter
        self.what = what
        self.before = present
        self.told = 0
        self.total = present + sum(source.size_bytes for source in sources)

    def advance(self, done: int) -> None:
        """The file that is being fetched has ``done`` bytes now; told once in a MiB."""
        if abs(self.before + done - self.told) >= TELL_EVERY_BYTES:
            self._tell(done)

    def _tell(self, done: int) -> None:
        self.told = self.before + done
        self.reporter.progress(self.what, self.before + done, self.total, "B")

    def finish(self, source: Source) -> None:
        """``source`` is in the cache."""
        self.before += source.size_bytes
        self._tell(0)


def _locate(repository: str, revision: str, file: ModelFile) -> Source:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import FileMetadataError

    url = hf_hub_url(repository, file.name, revision=revision)
    found = get_hf_file_metadata(url)
    size = found.size if found.size is not None else file.size_bytes
    if found.etag is None or found.commit_hash is None or size is None:
        raise FileMetadataError(f"no size or no ETag for {file.name}")
    return Source(file.name, url, found.etag, size)


def _link(repository: str, revision: str, name: str) -> None:
    """Let the hub's library make the snapshot's entry for a blob that is there."""
    from huggingface_hub import hf_hub_download

    hf_hub_download(repository, name, revision=revision)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_room(cache: Cache, sources: list[Source]) -> None:
    needed = sum(
        source.size_bytes - min(_size(cache.partial(source.etag)), source.size_bytes)
        for source in sources
        if not is_whole(cache.blob(source.etag), source.size_bytes)
    )
    if needed > free_bytes(cache.root):
        raise no_room(needed)


def _fill_blob(cache: Cache, source: Source, progress: _Progress) -> None:
    if source.size_bytes > LARGEST_OVER_HTTP_BYTES:
        progress.reporter.note(f"`{source.name}` is left to the hub's library: it is very large")
        return
    blob, partial = cache.blob(source.etag), cache.partial(source.etag)
    with _locked(cache.lock(source.etag), progress.reporter):
        if is_whole(blob, source.size_bytes):
            return
        blob.parent.mkdir(parents=True, exist_ok=True)
        if _download(source, partial, progress.advance):
            _check_content(partial, source)
        partial.replace(blob)


@contextmanager
def _locked(path: Path, reporter: Reporter) -> Iterator[None]:
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.note("another process fetches the same file; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _download(source: Source, partial: Path, advance: Callable[[int], None]) -> bool:
    """Grow ``partial`` to the whole content; gives up after a few tries that bring nothing.

    Returns whether it was put together: from several requests, or with what was there before.
    """
    partial.touch()
    stalled = 0
    is_joined = _size(partial) > 0
    while True:
        start = partial.stat().st_size
        if start > source.size_bytes:
            partial.write_bytes(b"")
            start = 0
        if start == source.size_bytes:
            return is_joined
        is_joined = start > 0
        try:
            _stream(source.url, partial, start, advance)
        except Exception as error:
            stalled = stalled + 1 if partial.stat().st_size <= start else 0
            if not is_passing(error) or stalled > len(PAUSES):
                raise
            time.sleep(PAUSES[stalled - 1] if stalled else PAUSES[0])


def _stream(url: str, partial: Path, start: int, advance: Callable[[int], None]) -> None:
    """One request for everything from byte ``start`` on, appended to ``partial``."""
    from huggingface_hub import get_session, hf_raise_for_status
    from huggingface_hub.constants import HF_HUB_DOWNLOAD_TIMEOUT
    from huggingface_hub.utils._headers import build_hf_headers

    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = get_session().stream("GET", url, headers=headers, timeout=HF_HUB_DOWNLOAD_TIMEOUT)
    with request as response, partial.open("r+b") as file:
        hf_raise_for_status(response)
        _position(file, start if response.status_code == 206 else 0)
        for chunk in response.iter_bytes():
            file.write(chunk)
            advance(file.tell())


def _position(file: BinaryIO, start: int) -> None:
    file.seek(start)
    file.truncate()


def _check_content(partial: Path, source: Source) -> None:
    """Check the hash of a file that was put together, where there is one."""
    if not _SHA256.fullmatch(source.etag):
        return
    with partial.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != source.etag:
        partial.unlink()
        raise ModelInvalidError(
            f"what was downloaded of `{source.name}` is damaged (its SHA-256 is another)",
            hint="run the same command again: the file is fetched anew",
        )
