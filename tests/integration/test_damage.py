"""What the GPU ring damages: places and sizes stay, headers and RECORD say what they should."""

from __future__ import annotations

import csv
import os
import struct
from random import Random
from typing import TYPE_CHECKING

import libraries
from fatbin_maker import Made
from gpu.images.fatbins import library_containers
from gpu.verify import damage
from sartor.artifact.payload import plain_payload
from sartor.artifact.source import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.artifact.fatbin import Entry

NAME = "parts/lib.so"


def cubin(code: bytes, arch: int) -> bytes:
    """A 64-bit ELF file with one section of code, after what tells it from others."""
    rows = [(0,) * 10, (0, 1, 6, 0, 64, len(code), 0, 0, 16, 0)]
    header = b"\x7fELF" + bytes(0x28 - 4) + struct.pack("<Q", 64 + len(code))
    header += struct.pack("<IHHHHHH", arch, 64, 0, 0, 64, len(rows), 0)
    return header + code + b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)


def made(sm: str, seed: int, size: int = 4096, immediates: int = 0) -> Made:
    """An image of instructions, some with the immediate that is looked for."""
    code = bytearray(Random(seed).randbytes(size))  # noqa: S311
    for i in range(immediates):
        code[64 * i + 4 : 64 * i + 8] = damage.RIGHT
    code[2000:2004] = damage.RIGHT  # where no instruction has an immediate
    return Made("cubin", sm, cubin(bytes(code), int(sm.rstrip("a"))), compression="zstd")


def environment(folder: Path, units: list[list[Made]]) -> Path:
    """An environment with one library, its RECORD, and another name for the library."""
    site = folder / "lib" / "python3.12" / "site-packages"
    (site / "parts").mkdir(parents=True)
    libraries.with_device_code(site / NAME, units)
    os.link(site / NAME, folder / "another")
    (site / "parts-1.dist-info").mkdir()
    record = site / "parts-1.dist-info" / "RECORD"
    record.write_text(f"{NAME},sha256=old,1\nparts-1.dist-info/RECORD,,\n")
    return site


def entries(path: Path) -> list[Entry]:
    return [entry for found, _ in library_containers(path) for entry in found.entries]


def plain(path: Path, entry: Entry) -> bytes:
    with FileSource(path) as source:
        return plain_payload(source, entry)


def held(folder: Path, site: Path) -> None:
    """What every kind leaves: the other name's file, the sizes, and a RECORD that is right."""
    before, after = entries(folder / "another"), entries(site / NAME)
    assert [(e.offset, e.size) for e in before] == [(e.offset, e.size) for e in after]
    rows = list(csv.reader((site / "parts-1.dist-info" / "RECORD").read_text().splitlines()))
    digest, size = libraries.hash_of(site / NAME), (site / NAME).stat().st_size
    assert rows == [[NAME, digest, str(size)], ["parts-1.dist-info/RECORD", "", ""]]


UNITS = [
    [made("80", 1, 2048), made("90", 2), made("120", 3, 3000)],
    [made("90a", 4), made("100", 5)],
    [made("80", 6, 9000), made("90", 7)],
]


def test_an_image_is_anothers_though_its_header_does_not_say_so(tmp_path: Path) -> None:
    site = environment(tmp_path, UNITS)
    damage.main("payload", str(tmp_path), NAME)
    held(tmp_path, site)
    found = entries(site / NAME)
    assert [e.arch for e in found] == ["80", "90", "120", "90a", "100", "80", "90"]
    contents = [plain(site / NAME, e) for e in found]
    assert contents[1] == contents[0] == UNITS[0][0].payload
    assert contents[3] == contents[4] == UNITS[1][1].payload
    assert contents[6] == UNITS[2][1].payload  # the other has no room there


def test_nothing_is_left_for_the_architecture(tmp_path: Path) -> None:
    site = environment(tmp_path, UNITS)
    damage.main("absent", str(tmp_path), NAME)
    held(tmp_path, site)
    found = entries(site / NAME)
    assert [e.arch for e in found] == ["80", "80", "120", "100", "100", "80", "80"]
    assert not any(damage.loadable(e, 90) for e in found)


def test_a_constant_is_another_where_an_instruction_has_it(tmp_path: Path) -> None:
    units = [[made("80", 1, immediates=9), made("90", 2, immediates=5)], [made("90", 3)]]
    site = environment(tmp_path, units)
    damage.main("constant", str(tmp_path), NAME)
    held(tmp_path, site)
    found = [plain(site / NAME, e) for e in entries(site / NAME)]
    assert found[0] == units[0][0].payload
    assert found[2] == units[1][0].payload
    assert found[1].count(damage.WRONG) == 5
    assert found[1].replace(damage.WRONG, damage.RIGHT) == units[0][1].payload
