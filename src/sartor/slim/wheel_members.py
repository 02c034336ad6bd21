"""Each member of a wheel read once, held against its checksum and RECORD; libraries planned."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
from isal import isal_zlib

from sartor.artifact.inflate import inflate, pieces
from sartor.artifact.members import ELF, ELF_HEADER, shown
from sartor.artifact.source import Invalid, check_range
from sartor.artifact.zip import STORED
from sartor.slim.archive import Entry
from sartor.slim.check import fault_of
from sartor.slim.library import left, plan_library
from sartor.slim.model import SlimmedLibrary
from sartor.slim.pieces import PiecesSource
from sartor.slim.wheel_contents import unread

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from sartor.artifact.zip import ZipMember
    from sartor.slim.choice import Wanted
    from sartor.slim.jobs import Compiler
    from sartor.slim.wheel_contents import Contents

AHEAD = 64
MOST_AHEAD = 1 << 30
"""Members that are prepared before they are written: how many, and their bytes together."""
LARGE = 16 << 20
"""A member of this size is hashed and kept by a thread of its own while it is inflated."""
BLOCKS = 8


class Spool:
    """A member's plain bytes in a file without a name, which is gone when it is closed."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.size = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def append(self, data: bytes) -> None:
        """The next bytes."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self.size += len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""
        check_range(self, offset, length)
        data = os.pread(self._file.fileno(), length, offset)
        while len(data) < length:  # Linux gives at most 2 GiB at a time
            more = os.pread(self._file.fileno(), length - len(data), offset + len(data))
            if not more:
                raise Invalid(self.name, offset + len(data), "the file became shorter")
            data += more
        return data

    def close(self) -> None:
        """Give the room back."""
        self._file.close()


class Prepared(msgspec.Struct, frozen=True):
    """A member that is whole. ``new`` are the bytes that it gets, where it gets others.

    ``library`` says what becomes of one that has device code.
    """

    entry: Entry
    library: SlimmedLibrary | None = None
    new: PiecesSource | None = None
    spool: Spool | None = None
    note: str | None = None

    def close(self) -> None:
        """Give the room of its plain bytes back."""
        if self.spool is not None:
            self.spool.close()


class Workshop:
    """Prepares the members of a wheel, several at a time, in their order."""

    def __init__(
        self, contents: Contents, wanted: Wanted, folder: Path, compiler: Compiler
    ) -> None:
        self._contents = contents
        self._wanted = wanted
        self._folder = folder
        self._compiler = compiler

    def prepared(self, pool: ThreadPoolExecutor) -> Generator[Prepared]:
        """Each member in the order of their bytes; raises `Invalid` at the first that is not whole.

        Whoever is given one closes it.
        """
        waiting: deque[tuple[int, Future[Prepared]]] = deque()
        held = 0
        try:
            for entry in self._contents.entries:
                size = entry.member.size
                while waiting and (len(waiting) >= AHEAD or held + size > MOST_AHEAD):
                    freed, future = waiting.popleft()
                    held -= freed
                    yield future.result()
                waiting.append((size, pool.submit(self._prepare, entry)))
                held += size
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            for _, future in waiting:
                if not future.cancel() and future.exception() is None:
                    future.result().close()

    def _prepare(self, entry: Entry) -> Prepared:
        member = entry.member
        if member.name.endswith("/"):
            return Prepared(entry)
        note = unread(member)
        if note is not None:
            return Prepared(entry, note=note)
        blocks = self._plain(member)
        head = next(blocks, b"")
        whole = chain((head,), blocks)
        checks = _Checks(member, *self._expected(member.name))
        if not head.startswith(ELF) or member.size < ELF_HEADER:
            for block in whole:
                checks.update(block)
            checks.finish()
            return Prepared(entry)
        spool = Spool(self._folder, member.name)
        try:
            _spooled(whole, spool, checks)
            return self._planned(entry, spool)
        except BaseException:
            spool.close()
            raise

    def _plain(self, member: ZipMember) -> Iterator[bytes]:
        contents = self._contents
        compressed = pieces(contents.source, contents.members.data_at(member), member.compressed)
        return compressed if member.method == STORED else inflate(compressed, member.name)

    def _expected(self, name: str) -> tuple[str, bytes | None]:
        """The hash that a file must have: as RECORD says, or is known better."""
        known = self._contents.published.get(name)
        if known is not None:
            return "sha256", bytes.fromhex(known)
        recorded = self._contents.recorded.get(name)
        if recorded is None or recorded.digest is None:
            return "sha256", None
        return recorded.algorithm or "sha256", recorded.digest

    def _planned(self, entry: Entry, spool: Spool) -> Prepared:
        plan = plan_library(spool, entry.member.name, self._wanted, self._compiler)
        result, new = plan.result, None
        if result.changed:
            new = PiecesSource(plan.pieces, spool)
            fault = fault_of(spool, new, plan.pieces, plan.regions, self._wanted)
            if fault is not None:
                result, new = left(result, "check", fault), None
        told = result if result.device_bytes_before or result.left_alone else None
        if new is None:
            spool.close()
            return Prepared(entry, told)
        return Prepared(entry, told, new, spool)


def _spooled(blocks: Iterator[bytes], spool: Spool, checks: _Checks) -> None:
    def take(block: bytes) -> None:
        checks.update(block)
        spool.append(block)

    if checks.member.size < LARGE:
        for block in blocks:
            take(block)
    else:
        with ThreadPoolExecutor(1) as behind:
            waiting: deque[Future[None]] = deque()
            for block in blocks:
                waiting.append(behind.submit(take, block))
                if len(waiting) > BLOCKS:
                    waiting.popleft().result()
            for future in waiting:
                future.result()
    checks.finish()


class _Checks:
    """A member's bytes on their way: size, CRC-32 and RECORD's hash must come out right."""

    def __init__(self, member: ZipMember, algorithm: str, digest: bytes | None) -> None:
        self.member = member
        self._hash = None if digest is None else hashlib.new(algorithm)
        self._algorithm = algorithm
        self._digest = digest
        self._size = self._crc = 0

    def update(self, block: bytes) -> None:
        """The next bytes; raises `Invalid` where there are too many."""
        self._size += len(block)
        if self._size > self.member.size:
            raise self._wrong(f"has more bytes than the {self.member.size} that are stated")
        self._crc = isal_zlib.crc32(block, self._crc)
        if self._hash is not None:
            self._hash.update(block)

    def finish(self) -> None:
        """Raises `Invalid` where the bytes are not those that are stated."""
        if self._size != self.member.size:
            raise self._wrong(f"has {self._size} bytes, and {self.member.size} are stated")
        if self._crc != self.member.crc:
            raise self._wrong(f"has another CRC-32 ({self._crc:#010x}) than is stated")
        if self._hash is not None and self._hash.digest() != self._digest:
            raise self._wrong(f"has another {self._algorithm} than RECORD says")

    def _wrong(self, what: str) -> Invalid:
        name = shown(self.member.name)
        return Invalid(name, self.member.offset, f"`{name}` {what}")
