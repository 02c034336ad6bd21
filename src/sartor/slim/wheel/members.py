"""Each member of a wheel read once, held against its checksum and RECORD; libraries planned."""

from __future__ import annotations

import hashlib
import posixpath
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
from isal import isal_zlib

from sartor.artifact.fatbin import MAGIC
from sartor.artifact.members import ELF, ELF_HEADER, shown
from sartor.artifact.source import Invalid
from sartor.slim.library.check import fault_of_plan
from sartor.slim.library.model import SlimmedLibrary
from sartor.slim.library.pieces import PiecesSource
from sartor.slim.library.reduce import left, plan_library
from sartor.slim.licence import Forbidden, library_may_be_changed
from sartor.slim.retarget.jobs import NO_COMPILER
from sartor.slim.wheel.archive import Entry
from sartor.slim.wheel.contents import unread
from sartor.slim.wheel.spool import Room, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator
    from pathlib import Path

    from sartor.artifact.zip import ZipMember
    from sartor.slim.choice import Wanted
    from sartor.slim.retarget.jobs import Compiler
    from sartor.slim.wheel.contents import Contents

AHEAD = 64
MOST_AHEAD = 256 << 20
"""Members that are prepared before they are written: how many, and their bytes together."""
MOST_TOGETHER = 256
TOGETHER = 1 << 20
"""Small members are prepared together: how many, and their bytes."""
LARGE = 2 << 20
"""A library up to this size is held in memory; of a larger one so much, until it is guessed whether
it has device code. It is hashed by a thread of its own."""
BLOCKS = 8
REGISTERS = b"cudaRegisterFatBinary"
"""What a library with device code calls, and mostly names in its beginning."""
LIKELY = "cuda"
"""In the names of libraries that `patchelf` has been at, which name it at their end."""
CONTAINER_MAGIC = MAGIC.to_bytes(4, "little")


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
    """Prepares the members of a wheel, several at a time, in their order.

    Of those that are ``gone`` from the new wheel it is only seen that they are whole.
    """

    def __init__(
        self,
        contents: Contents,
        wanted: Wanted,
        folder: Path,
        workers: int,
        compiler: Compiler,
        gone: Collection[str] = (),
    ) -> None:
        self._contents = contents
        self._wanted = wanted
        self._workers = workers
        self._folder = folder
        self._compiler = compiler
        self._gone = gone
        self._room = Room()

    def prepared(self, pool: ThreadPoolExecutor) -> Generator[Prepared]:
        """Each member in the order of their bytes; raises `Invalid` at the first that is not whole.

        Whoever is given one closes it.
        """
        waiting: deque[tuple[int, Future[list[Prepared]]]] = deque()
        largest = max(self._contents.entries, key=lambda entry: entry.member.size)
        begun = pool.submit(self._all, [largest])  # it takes longest
        held = 0
        try:
            for batch in _batches(self._contents.entries):
                size = sum(entry.member.size for entry in batch)
                while len(waiting) > self._workers and (
                    len(waiting) >= AHEAD or held + size > MOST_AHEAD
                ):
                    freed, future = waiting.popleft()
                    held -= freed
                    yield from future.result()
                own = begun if batch == [largest] else pool.submit(self._all, batch)
                waiting.append((size, own))
                held += size
            while waiting:
                yield from waiting.popleft()[1].result()
        except BaseException:  # whoever asked is gone: nothing is compiled for them
            self._compiler.stop()
            raise
        finally:
            for future in (begun, *(future for _, future in waiting)):
                if not future.cancel() and future.exception() is None:
                    for one in future.result():
                        one.close()

    def _all(self, entries: list[Entry]) -> list[Prepared]:
        found: list[Prepared] = []
        try:
            found += map(self._prepare, entries)
        except BaseException:
            for one in found:
                one.close()
            raise
        return found

    def _prepare(self, entry: Entry) -> Prepared:
        member = entry.member
        if member.name.endswith("/"):
            return Prepared(entry)
        note = unread(member)
        if note is not None:
            return Prepared(entry, note=note)
        blocks = self._contents.plain(member)
        head = next(blocks, b"")
        checks = _Checks(member, *self._expected(member.name))
        is_library = head.startswith(ELF) and member.size >= ELF_HEADER
        if not is_library or member.name in self._gone:
            for block in chain((head,), blocks):
                checks.update(block)
            checks.finish()
            return Prepared(entry)
        return self._library(entry, chain((head,), blocks), checks)

    def _library(self, entry: Entry, blocks: Iterator[bytes], checks: _Checks) -> Prepared:
        """A library is kept as a whole where it may have device code.

        That is guessed; one that was taken to have none, and has some, is inflated again.
        """
        member = entry.member
        first: list[bytes] = []
        for block in blocks:
            checks.update(block)
            first.append(block)
            if checks.size > LARGE:
                break
        likely = checks.size <= LARGE or _is_likely(member.name, first)
        spool = self._spool(member) if likely else None
        found = _Found()
        take = found.update if spool is None else spool.append
        try:
            for block in first:
                take(block)
            first.clear()
            _behind(blocks, checks.update, take)
            checks.finish()
            if spool is None and found.any:
                spool = self._spool(member)
                for block in self._contents.plain(member):
                    spool.append(block)
            return Prepared(entry) if spool is None else self._planned(entry, spool)
        except BaseException:
            if spool is not None:
                spool.close()
            raise

    def _spool(self, member: ZipMember) -> Spool:
        return Spool(self._folder, member.name, member.size, self._room)

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
        decision = library_may_be_changed(entry.member.name)
        compiler = NO_COMPILER if isinstance(decision, Forbidden) else self._compiler
        plan = plan_library(spool, entry.member.name, self._wanted, compiler)
        result, new = plan.result, None
        if result.changed and isinstance(decision, Forbidden):
            result = left(result, "licence", decision.because)
        elif result.changed:
            new = PiecesSource(plan.pieces, spool)
            fault = fault_of_plan(spool, new, plan.regions, self._wanted)
            if fault is not None:
                result, new = left(result, "check", fault), None
        told = result if result.device_bytes_before or result.left_alone else None
        if new is None:
            spool.close()
            return Prepared(entry, told)
        return Prepared(entry, told, new, spool)


def _batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    """The members in their order, small ones together, large ones each alone."""
    batch: list[Entry] = []
    held = 0
    for entry in entries:
        size = entry.member.size
        if batch and (len(batch) == MOST_TOGETHER or held + size > TOGETHER):
            yield batch
            batch, held = [], 0
        batch.append(entry)
        held += size
    if batch:
        yield batch


def _behind(blocks: Iterator[bytes], *takers: Callable[[bytes], None]) -> None:
    """Give each block to the ``takers``, in a thread of its own, while the next is inflated."""

    def take(block: bytes) -> None:
        for taker in takers:
            taker(block)

    with ThreadPoolExecutor(1) as behind:
        waiting: deque[Future[None]] = deque()
        for block in blocks:
            waiting.append(behind.submit(take, block))
            if len(waiting) > BLOCKS:
                waiting.popleft().result()
        for future in waiting:
            future.result()


def _is_likely(name: str, first: list[bytes]) -> bool:
    """Whether a library that begins so is likely to have device code."""
    return LIKELY in posixpath.basename(name).lower() or any(REGISTERS in one for one in first)


class _Found:
    """Whether what begins a container of device code is among bytes on their way."""

    def __init__(self) -> None:
        self.any = False
        self._end = b""

    def update(self, block: bytes) -> None:
        """The next bytes."""
        self.any = self.any or CONTAINER_MAGIC in block or CONTAINER_MAGIC in self._end + block[:3]
        self._end = block[-3:]


class _Checks:
    """A member's bytes on their way: size, CRC-32 and RECORD's hash must come out right."""

    def __init__(self, member: ZipMember, algorithm: str, digest: bytes | None) -> None:
        self.member = member
        self._hash = None if digest is None else hashlib.new(algorithm)
        self._algorithm = algorithm
        self._digest = digest
        self.size = self._crc = 0

    def update(self, block: bytes) -> None:
        """The next bytes; raises `Invalid` where there are too many."""
        self.size += len(block)
        if self.size > self.member.size:
            raise self._wrong(f"has more bytes than the {self.member.size} that are stated")
        self._crc = isal_zlib.crc32(block, self._crc)
        if self._hash is not None:
            self._hash.update(block)

    def finish(self) -> None:
        """Raises `Invalid` where the bytes are not those that are stated."""
        if self.size != self.member.size:
            raise self._wrong(f"has {self.size} bytes, and {self.member.size} are stated")
        if self._crc != self.member.crc:
            raise self._wrong(f"has another CRC-32 ({self._crc:#010x}) than is stated")
        if self._hash is not None and self._hash.digest() != self._digest:
            raise self._wrong(f"has another {self._algorithm} than RECORD says")

    def _wrong(self, what: str) -> Invalid:
        name = shown(self.member.name)
        return Invalid(name, self.member.offset, f"`{name}` {what}")
