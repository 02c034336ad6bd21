"""Device code of published wheels: what is read equals what NVIDIA's and other tools print.

Each library is taken out of its wheel once, into a file that is deleted before the next. A class
says how they are read: by range from that file, and as a stream out of the wheel.
"""

from __future__ import annotations

import io
import random
import re
import shutil
import zipfile
from collections import Counter
from typing import TYPE_CHECKING

import lz4.block
import zstandard
from elftools.elf.elffile import ELFFile

from cuda_judges import RefusedError, Shown, kernels, listed, shown
from sartor.artifact.device_code import Part, read_device_code
from sartor.artifact.elf import Elf
from sartor.artifact.fatbin import Container, containers
from sartor.artifact.library import FATBIN, RELOCATABLE, read_library
from sartor.artifact.members import is_library
from sartor.artifact.source import FileSource
from sartor.artifact.stream import StreamedSource
from sartor.artifact.zip import ZipMembers
from wheels import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.artifact.device_code import DeviceCode
    from sartor.artifact.fatbin import Entry
    from sartor.artifact.model import Library
    from sartor.artifact.source import Source

REFUSED = {"bitsandbytes/libbitsandbytes_cuda121.so": 1}
"""Units that `cuobjdump` 13 refuses (``Invalid ELF``), each with images that pyelftools reads."""
SEED = 20_26
UNITS, UNIT_BYTES = 8, 12 << 20
"""Sampled per library, of at most this size: units whose kernels are compared."""
NOTED = 40
"""Sampled per library: cubins with a suffix whose notes are compared; and a quarter without."""
NOTE = re.compile(rb"-arch (sm_\d+[af]?)")


class Found:
    """What was read of one wheel's libraries, and what its judges said."""

    def __init__(self, requirement: str) -> None:
        self.requirement = requirement
        self.libraries = 0
        self.images = 0
        self.units = 0
        self.kernels = 0
        self.notes = 0
        self.passes = 0
        self.refused: dict[str, int] = {}
        self.not_read: list[object] = []
        self.differ: dict[str, list[object]] = {
            check: [] for check in ("listed", "shown", "streamed", "kernels", "notes")
        }

    def compare(self, check: str, what: object, ours: object, theirs: object) -> None:
        if ours != theirs:
            self.differ[check].append((what, ours, theirs))


def judged(requirement: str, folder: Path) -> Found:
    """What is read of a wheel and what the judges say, on one way through it.

    ``folder`` holds one library at a time.
    """
    result = Found(requirement)
    file = wheel(requirement)
    with zipfile.ZipFile(file) as archive, FileSource(file) as source:
        for path, member in ZipMembers(source).walk(is_library):
            extracted = folder / path.rpartition("/")[2]
            with archive.open(path) as packed, extracted.open("wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
            try:
                look_at(path, member, extracted, result)
            finally:
                extracted.unlink()
    return result


def look_at(path: str, member: Source, extracted: Path, result: Found) -> None:
    """One library: both ways to read it, and every judge."""
    with FileSource(extracted, path) as source:
        library = read_library(source, path, "none")
        assert library is not None
        result.libraries += 1
        result.images += sum(image.count for image in library.images)
        result.not_read += [fault for fault in library.not_read if fault.offset]
        result.compare("streamed", path, read_library(member, path, "none"), library)
        if isinstance(member, StreamedSource):
            result.passes = max(result.passes, member.passes)
        held = list(units(source))
        scratch = extracted.with_suffix(".fatbin")
        try:
            result.compare("listed", path, plain_counts(library), folded(listed(extracted)))
            result.compare("shown", path, headers(library), shown(extracted))
        except RefusedError:
            judge_each(source, path, held, scratch, result)
        judge_kernels(source, path, held, scratch, result)
        judge_notes(source, path, held, result)


def judge_each(
    source: FileSource, path: str, held: list[Container], scratch: Path, result: Found
) -> None:
    """A library that the judge refuses, unit by unit; of a unit that it refuses, each image."""
    result.refused[path] = 0
    for unit in held:
        size = unit.end - unit.offset
        scratch.write_bytes(source.read(unit.offset, size))
        code = read_device_code(source, path, [Part(unit.offset, size)], "none")
        try:
            result.compare("shown", (path, unit.offset), headers(code), shown(scratch))
        except RefusedError:
            result.refused[path] += 1
            for entry in unit.entries:
                number = f"sm_{ELFFile(io.BytesIO(stored_cubin(source, entry)))['e_flags'] & 0xFF}"
                result.compare("shown", (path, entry.offset), entry.architecture, number)


def folded(counts: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """Family images under the plain name: older releases of the judge print them so."""
    merged: Counter[tuple[str, str]] = Counter()
    for (kind, arch), count in counts.items():
        merged[kind, arch.removesuffix("f")] += count
    return merged


def plain_counts(library: Library) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for image in library.images:
        if image.kind in {"cubin", "ptx"}:
            counts[image.kind, image.arch] += image.count
    return folded(counts)


def headers(library: Library | DeviceCode) -> Counter[Shown]:
    counts: Counter[Shown] = Counter()
    for image in library.images:
        compressed = image.compression is not None
        key = Shown(image.kind, image.arch, image.ptx_isa, compressed, image.options)
        counts[key] += image.count
    return counts


def units(source: FileSource) -> Iterator[Container]:
    """The library's containers; there must be nothing wrong with any."""
    if source.read(0, 4) != b"\x7fELF":
        return
    for section in Elf(source).sections:
        if section.name in {FATBIN, RELOCATABLE} and section.size:
            for container in containers(source, section.offset, section.size):
                assert isinstance(container, Container), container
                yield container


def judge_kernels(
    source: FileSource, path: str, held: list[Container], scratch: Path, result: Found
) -> None:
    """The names in a sample of units, each handed to the judge as a file."""
    small = [c for c in held if c.entries and c.end - c.offset <= UNIT_BYTES]
    chosen = random.Random(SEED)  # noqa: S311
    for unit in chosen.sample(small, min(UNITS, len(small))):
        size = unit.end - unit.offset
        scratch.write_bytes(source.read(unit.offset, size))
        try:
            judged = kernels(scratch)
        except RefusedError:
            assert path in REFUSED
            continue
        theirs = {(s.kind, s.arch, s.options, name) for s, names in judged for name in names}
        code = read_device_code(source, path, [Part(unit.offset, size)], "all")
        (read,) = code.units
        ours = {
            (code.images[i].kind, code.images[i].arch, code.images[i].options, name)
            for name, where in (read.kernels or {}).items()
            for i in where
        }
        result.units += 1
        result.kernels += len(ours)
        result.not_read += code.not_read
        result.compare("kernels", (path, unit.offset), ours - theirs, theirs - ours)


def judge_notes(source: Source, path: str, held: list[Container], result: Found) -> None:
    """The suffix of a sample of cubins, against what ptxas noted of its own command line."""
    cubins = [e for c in held for e in c.entries if e.image_kind == "cubin"]
    chosen = random.Random(SEED)  # noqa: S311
    suffixed = [e for e in cubins if e.arch[-1] in "af"]
    plain = [e for e in cubins if e.arch[-1] not in "af"]
    for entry in [
        *chosen.sample(suffixed, min(NOTED, len(suffixed))),
        *chosen.sample(plain, min(NOTED // 4, len(plain))),
    ]:
        noted = noted_architecture(stored_cubin(source, entry))
        if noted is not None:
            result.notes += 1
            result.compare("notes", (path, entry.offset), entry.architecture, noted)


def stored_cubin(source: Source, entry: Entry) -> bytes:
    """The cubin, decompressed by the packages for that alone."""
    stored = source.read(entry.payload, entry.stored)
    if entry.compression == "lz4":
        unpacked: bytes = lz4.block.decompress(stored, uncompressed_size=entry.plain)
        return unpacked
    if entry.compression == "zstd":
        return zstandard.ZstdDecompressor().decompress(stored, max_output_size=entry.plain)
    return stored


def noted_architecture(cubin: bytes) -> str | None:
    """``sm_100f`` of `.note.nv.tkinfo`, by pyelftools; None from ptxas before CUDA 13."""
    section = ELFFile(io.BytesIO(cubin)).get_section_by_name(".note.nv.tkinfo")
    found = NOTE.search(section.data()) if section else None
    return found[1].decode() if found else None
