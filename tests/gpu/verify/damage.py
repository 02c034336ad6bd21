"""Damage a library of an environment, so that one grade and no other finds it out.

usage: damage.py KIND ENVIRONMENT LIBRARY [SM]     (LIBRARY below site-packages; SM: 90)

KIND is what becomes of the device code that an SM would load:
  ``payload``   each image is another architecture's, though its header says SM: *loads* fails
  ``absent``    headers too, so that there is nothing for SM: *launches* fails, "no kernel image"
  ``constant``  GELU's 0.7071 is 0.7031 in every kernel: all runs, and *golden* alone fails

Sizes and places stay as they are. Files are replaced, never written to (other environments may have
them by hard links), and the package's RECORD is put right, so that *resolves* finds nothing.
Prints a JSON object: what was changed, and how many images could not be, for want of room.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from gpu.images.fatbins import library_containers
from sartor.artifact.fatbin import Entry, Flag, Kind
from sartor.artifact.payload import plain_payload
from sartor.artifact.source import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE, ARCH, FLAGS, PLAIN = 16, 28, 40, 56
"""Where an entry's header has its compressed size, architecture, flags and plain size."""
ELSEWHERE = 120
"""Where PTX goes that SM could compile."""
RIGHT, WRONG = (struct.pack("<I", bits) for bits in (0x3F3504F3, 0x3F340000))
"""sqrt(1/2) and 0.7031 as float32."""
CODE_STEP, IMMEDIATE = 16, 4
"""An instruction has 16 bytes; its 32-bit immediate begins at the fourth."""
LEVELS = (3, 19, 22)


class Changed(NamedTuple):
    """How many images were, and could not be, and how many places in them."""

    images: int = 0
    no_room: int = 0
    places: int = 0


class Library:
    """A library's bytes, and the images in them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.units = [found.entries for found, _ in library_containers(path)]
        self.data = bytearray(path.read_bytes())

    def plain(self, entry: Entry) -> bytes:
        """An image's payload, decompressed."""
        with FileSource(self.path) as source:
            return plain_payload(source, entry)

    def put(self, entry: Entry, payload: bytes) -> bool:
        """Give an entry this payload, compressed as it was; False where there is no room."""
        stored = fitting(payload, entry)
        if stored is None:
            return False
        self._store(entry, stored, len(payload))
        return True

    def give(self, entry: Entry, donor: Entry) -> bool:
        """Give an entry the payload of another; False where there is no room."""
        if donor.compression != entry.compression or donor.stored > entry.size:
            return self.put(entry, self.plain(donor))
        with FileSource(self.path) as source:
            self._store(entry, source.read(donor.payload, donor.stored), donor.plain)
        return True

    def _store(self, entry: Entry, stored: bytes, plain: int) -> None:
        room = slice(entry.payload, entry.payload + entry.size)
        self.data[room] = stored.ljust(entry.size, b"\0")
        if entry.compression:
            self._field(entry, SIZE, "<I", len(stored))
            self._field(entry, PLAIN, "<Q", plain)

    def rename(self, entry: Entry, arch: int) -> None:
        """Let an entry's header name another architecture, without a suffix."""
        flags = entry.flags & ~int(Flag.ARCH_SPECIFIC | Flag.FAMILY_SPECIFIC)
        self._field(entry, ARCH, "<I", arch)
        self._field(entry, FLAGS, "<Q", flags)

    def _field(self, entry: Entry, at: int, form: str, value: int) -> None:
        struct.pack_into(form, self.data, entry.offset + at, value)

    def save(self) -> None:
        """Write it beside the old file, and put it in its place."""
        beside = self.path.with_name(self.path.name + ".new")
        beside.write_bytes(self.data)
        beside.chmod(self.path.stat().st_mode)
        beside.replace(self.path)


def fitting(payload: bytes, entry: Entry) -> bytes | None:
    """The payload as the entry stores one, no longer than it has room; else None."""
    if entry.compression is None:
        return payload if len(payload) <= entry.size else None
    for level in LEVELS:
        stored = zstandard.ZstdCompressor(level=level).compress(payload)
        if len(stored) <= entry.size:
            return stored
    return None


def number_of(entry: Entry) -> int:
    """The architecture without its suffix."""
    return int(entry.arch.rstrip("af"))


def loadable(entry: Entry, sm: int) -> bool:
    """Whether a cubin is for ``sm``: of its major version and not newer, or ``sm``'s own ``a``."""
    number = number_of(entry)
    if entry.arch.endswith(("a", "f")):
        return number == sm
    return number // 10 == sm // 10 and number <= sm


def donors(unit: list[Entry], sm: int) -> Iterator[Entry]:
    """Cubins of the unit that ``sm`` cannot load, the smallest first."""
    found = [e for e in unit if e.kind == Kind.CUBIN and number_of(e) // 10 != sm // 10]
    yield from sorted(found, key=lambda e: e.stored)


def exchange(library: Library, sm: int, headers: bool) -> Changed:
    """Put another architecture's image in the place of each of ``sm``'s."""
    images = no_room = 0
    for unit in library.units:
        given = list(donors(unit, sm))
        for entry in unit:
            if entry.kind == Kind.PTX and headers:
                library.rename(entry, ELSEWHERE)
            if entry.kind != Kind.CUBIN or not loadable(entry, sm):
                continue
            # The smallest alone: where it has no room, the others would be compressed in vain.
            done = bool(given) and library.give(entry, given[0])
            if headers:  # what is left in one without room is not read any more
                library.rename(entry, number_of(given[0]) if given else ELSEWHERE)
            images, no_room = images + done, no_room + (not done)
    return Changed(images, no_room)


def alter(library: Library, sm: int) -> Changed:
    """Another number for `RIGHT` wherever an instruction of ``sm``'s kernels has it."""
    images = no_room = places = 0
    for entry in (e for unit in library.units for e in unit):
        if entry.kind != Kind.CUBIN or not loadable(entry, sm):
            continue
        data = library.plain(entry)
        wrong = altered(data)
        if not wrong:
            continue
        changed = bytearray(data)
        for place in wrong:
            changed[place : place + 4] = WRONG
        done = library.put(entry, bytes(changed))
        images, no_room = images + done, no_room + (not done)
        places += len(wrong) if done else 0
    return Changed(images, no_room, places)


def altered(cubin: bytes) -> list[int]:
    """Where the code sections of a cubin have `RIGHT` as an instruction's immediate."""
    found = []
    (table,) = struct.unpack_from("<Q", cubin, 0x28)
    size, count = struct.unpack_from("<HH", cubin, 0x3A)
    for i in range(count):
        row = struct.unpack_from("<IIQQQQIIQQ", cubin, table + i * size)
        executable = row[2] & 4
        if not executable:
            continue
        at = cubin.find(RIGHT, row[4], row[4] + row[5])
        while at >= 0:
            if (at - row[4]) % CODE_STEP == IMMEDIATE:
                found.append(at)
            at = cubin.find(RIGHT, at + 1, row[4] + row[5])
    return found


KINDS: dict[str, Callable[[Library, int], Changed]] = {
    "payload": lambda library, sm: exchange(library, sm, headers=False),
    "absent": lambda library, sm: exchange(library, sm, headers=True),
    "constant": alter,
}


def record(site: Path, library: str) -> Path:
    """Put right what the package's RECORD says of the library."""
    data = (site / library).read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    for path in sorted(site.glob("*.dist-info/RECORD")):
        rows = list(csv.reader(io.StringIO(path.read_text())))
        if not any(row and row[0] == library for row in rows):
            continue
        line = [library, f"sha256={digest}", str(len(data))]
        beside = path.with_name("RECORD.new")
        with beside.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(
                line if row and row[0] == library else row for row in rows
            )
        beside.replace(path)
        return path
    raise SystemExit(f"no RECORD below {site} has {library}")


def main(kind: str, environment: str, name: str, sm: str = "90") -> None:
    """Damage one library."""
    (site,) = Path(environment).glob("lib/python3*/site-packages")
    library = Library(site / name)
    found = KINDS[kind](library, int(sm))
    if not found.images:
        raise SystemExit(f"nothing in {name} could be damaged: {found}")
    library.save()
    said = {"kind": kind, "library": name, "sm": int(sm), **found._asdict()}
    sys.stdout.write(json.dumps({**said, "record": record(site, name).parent.name}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
