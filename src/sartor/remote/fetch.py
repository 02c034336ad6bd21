"""Files of indexes, fetched whole and kept: resumed where they broke off, hashed on the way."""

from __future__ import annotations

import hashlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sartor.artifact.digest import sha256_of
from sartor.errors import NoSuchTargetError
from sartor.index.sources import access, index_sources
from sartor.locks import waiting_lock
from sartor.paths import disk_full, explain_os_errors, free_bytes, make_private_folder
from sartor.remote.faults import untrusted
from sartor.remote.file import RemoteFile
from sartor.remote.http import Http
from sartor.remote.indexes import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sartor.index.files import IndexFile
    from sartor.paths import Places
    from sartor.reporter import Reporter

AT_ONCE = 4
BLOCK = 1 << 20
ROOM = 64 << 20


def fetch_all(files: Iterable[IndexFile], places: Places, reporter: Reporter) -> dict[str, Path]:
    """Have every file in Sartor's cache; sha256 → path. Each must have a sha256.

    Raises `UntrustedBytesError` where what came is not what its index said, `DiskFullError` before
    anything is fetched, and what `sartor.remote.http.Http.get` raises.
    """
    folder = make_private_folder(places.packages)
    with waiting_lock(folder / ".lock", reporter, "fetching packages"):
        wanted = {file.sha256: file for file in files if file.sha256}
        paths = {sha256: kept_path(folder, file) for sha256, file in wanted.items()}
        absent = [wanted[sha256] for sha256, path in paths.items() if not path.is_file()]
        needed = sum(file.size or 0 for file in absent) + ROOM
        if absent and free_bytes(folder) < needed:
            raise disk_full(folder, needed)
        if absent:
            _fetch(absent, folder, reporter)
    return paths


def kept_path(folder: Path, file: IndexFile) -> Path:
    """Where a file is kept: by its digest, under its own name."""
    return folder / str(file.sha256) / file.name


def _fetch(files: list[IndexFile], folder: Path, reporter: Reporter) -> None:
    """Several at once; the first that fails ends the others, which keep what came."""
    ways = access(index_sources())
    http = Http(ways, None, lambda answer: ways.ask_keyring(answer.url))
    count = _Count(reporter, sum(file.size or 0 for file in files))
    with closing(http), ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as pool:
        # The largest first: they are under way for longest.
        order = sorted(files, key=lambda file: -(file.size or 0))
        running = [pool.submit(_one, http, file, folder, count) for file in order]
        try:
            for one in running:
                one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            http.close()
            raise


class _Count:
    """The bytes of all files together."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter, self._total = reporter, total
        self._done = 0
        self._lock = threading.Lock()

    def more(self, size: int) -> None:
        """So many more came."""
        with self._lock:
            self._done += size
            self._reporter.progress("fetching", self._done, self._total or None, "B")


def _one(http: Http, file: IndexFile, folder: Path, count: _Count) -> None:
    final = kept_path(folder, file)
    partial = final.with_name(f".{file.name}.partial")
    make_private_folder(final.parent)
    with explain_os_errors(final):
        if "://" not in file.url or urlsplit(file.url).scheme == "file":
            digest = _copied(local_path(file.url), partial)
        else:
            resumed = partial.is_file()
            digest = _continued(http, file, partial, count.more)
            if digest != file.sha256 and resumed:  # what was there may have been the fault
                partial.unlink(missing_ok=True)
                digest = _continued(http, file, partial, count.more)
        if digest != file.sha256:
            partial.unlink(missing_ok=True)
            raise untrusted(file.url, f"its sha256 is {digest}, and {file.sha256} is expected")
        partial.replace(final)


def _copied(source: Path, partial: Path) -> str:
    if not source.is_file():
        raise NoSuchTargetError(
            f"there is no file `{source}`", hint="where a lock names it, lock again: `sartor lock`"
        )
    shutil.copyfile(source, partial)
    return sha256_of(partial)


def _continued(http: Http, file: IndexFile, partial: Path, came: Callable[[int], None]) -> str:
    """Fetch what is not there yet; the sha256 of all of it."""
    remote = RemoteFile(http, file.url, file.name, file.size, file.sha256, addressed=True)
    if file.size is None:
        remote.look()
    digest, at = hashlib.sha256(), 0
    with partial.open("ab") as out:
        if out.tell() > remote.size:
            out.truncate(0)
        with partial.open("rb") as there:
            while block := there.read(BLOCK):
                digest.update(block)
                at += len(block)
        came(at)
        for block in remote.stream(at, remote.size):
            digest.update(block)
            out.write(block)
            came(len(block))
    return digest.hexdigest()
