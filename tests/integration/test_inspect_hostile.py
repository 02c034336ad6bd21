"""`sartor inspect` on files that lie: one clear error, or a partial result that says what it lacks.

Every file is made here, most of them out of a small real library that nvcc made. Each is read in a
process of its own whose time and memory are bounded and measured.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from measured import measured, peak
from sartor_cli import Sartor, documents, isolated_variables, kept_besides_evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor_cli import Document

REAL = Path(__file__).resolve().parents[1] / "data" / "fatbin"
SECONDS = 30
"""Of processor time; on the clock, `sartor_cli.SECONDS`."""
MOST_MEMORY = 300 << 20
GIBI = 1 << 30
UNREADABLE = 14
METADATA = b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n"
INFO = "pkg-1.0.dist-info/METADATA"
ENTRY, ELF_HEADER = 16, 64
"""Where a container's first entry begins; the size of a 64-bit ELF's header."""


class Case(NamedTuple):
    """A hostile file. ``words`` stand in its one error, or in one of its ``not_checked``."""

    name: str
    make: Callable[[Path], None]
    words: str
    status: int = 0
    arguments: tuple[str, ...] = ()


def real(name: str) -> bytes:
    """One of the small real files."""
    return (REAL / name).read_bytes()


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


def section_at(data: bytes, name: bytes) -> int:
    """Where the header of a 64-bit little-endian ELF's section is."""
    table = struct.unpack_from("<Q", data, 40)[0]
    count, names = struct.unpack_from("<HH", data, 60)
    text = struct.unpack_from("<Q", data, table + 64 * names + 24)[0]
    for at in range(table, table + 64 * count, 64):
        begin = text + struct.unpack_from("<L", data, at)[0]
        if data[begin : data.index(b"\0", begin)] == name:
            return int(at)
    raise AssertionError(name)


def fatbin_at(library: bytes) -> int:
    """Where the library's container is."""
    at = struct.unpack_from("<Q", library, section_at(library, b".nv_fatbin") + 24)[0]
    assert library[at : at + 4] == b"\x50\xed\x55\xba"
    return int(at)


def bytes_of(make: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(make())

    return write


def of_library(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return bytes_of(lambda: change(real("library.so")))


def of_fatbin(name: str, at: int, form: str, *values: int) -> Callable[[Path], None]:
    return bytes_of(lambda: patched(real(name), at, form, *values))


def wheel_of(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A wheel; what has to be wrong with it is patched afterwards."""
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", method) as out:
        warnings.simplefilter("ignore")  # zipfile warns of names that are there already
        out.writestr(INFO, METADATA)
        for name, data in files:
            out.writestr(zipfile.ZipInfo(name), data, method)
    return made.getvalue()


def of_wheel(
    change: Callable[[bytes], bytes], *names: str, method: int = zipfile.ZIP_DEFLATED
) -> Callable[[Path], None]:
    def make() -> bytes:
        return change(wheel_of([(n, real("library.so")) for n in names or ("pkg/_C.so",)], method))

    return bytes_of(make)


def entry_of(data: bytes, name: bytes) -> int:
    """Where the ZIP directory's entry for a name begins."""
    return data.rindex(name) - 46


def bomb(path: Path, plain: int, claimed: int | None = None, name: str = "pkg/_C.so") -> None:
    """A member that begins as a library and inflates to ``plain`` bytes of zeros."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    step = 16 << 20
    header = patched(real("library.so")[:ELF_HEADER], 40, "<Q", plain - 4096)
    start = machine.compress(header) + machine.flush(zlib.Z_FULL_FLUSH)
    block = machine.compress(bytes(step)) + machine.flush(zlib.Z_FULL_FLUSH)
    body = start + block * (plain // step) + machine.flush()
    size = claimed or ELF_HEADER + plain // step * step
    path.write_bytes(one_member(name.encode(), body, size))


def one_member(name: bytes, body: bytes, size: int) -> bytes:
    """A ZIP file of one deflated member, whose plain size is written as ``size``."""
    wide = struct.pack("<HHQQ", 1, 16, size, len(body))
    local = struct.pack(
        "<4s5H3L2H", b"PK\3\4", 45, 0, 8, 0, 0, 0, 2**32 - 1, 2**32 - 1, len(name), len(wide)
    )
    entry = struct.pack(
        "<4s6H3L5H2L",
        *(b"PK\1\2", 45, 45, 0, 8, 0, 0, 0, 2**32 - 1, 2**32 - 1, len(name), len(wide)),
        *(0, 0, 0, 0, 0),
    )
    members = local + name + wide + body
    directory = entry + name + wide
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(members), 0)
    return members + directory + end


def many_members(path: Path) -> None:
    """A ZIP64 archive of 200,000 empty members."""
    count = 200_000
    local, directory = bytearray(), bytearray()
    for number in range(count):
        name = b"pkg/%06d.so" % number
        fields = (0, 0, 0, 0, 0, 0, 0, len(name), 0)
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, *fields, 0, 0, 0, 0, len(local))
        directory += name
        local += struct.pack("<4s5H3L2H", b"PK\3\4", 20, *fields) + name
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(local)
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(local) + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *[2**16 - 1] * 2, *[2**32 - 1] * 2, 0)
    path.write_bytes(local + directory + record + locator + end)


def far_away(path: Path) -> None:
    """A wheel whose library lies beyond 4 GiB, after a hole, with a cut-off one behind it."""
    with path.open("wb") as file, zipfile.ZipFile(file, "w", allowZip64=True) as out:
        out.writestr(INFO, METADATA)
        file.seek(4 * GIBI + 4096)
        out.start_dir = file.tell()
        out.writestr("pkg/_C.so", real("library.so"))
        out.writestr("pkg/_D.so", real("library.so")[:9000])


def section_field(at: int, value: int) -> Callable[[bytes], bytes]:
    """A field of the header of the section with device code: 24 is its offset, 32 its size."""

    def change(library: bytes) -> bytes:
        return patched(library, section_at(library, b".nv_fatbin") + at, "<Q", value)

    return change


def entry_field(at: int, form: str, value: int) -> Callable[[bytes], bytes]:
    def change(library: bytes) -> bytes:
        return patched(library, fatbin_at(library) + at, form, value)

    return change


def encrypted(data: bytes) -> bytes:
    at = entry_of(data, b"pkg/_C.so")
    return patched(patched(data, at + 8, "<H", 1), data.index(b"pkg/_C.so") - 24, "<H", 1)


def overlapping(data: bytes) -> bytes:
    """The second library's entry points at the first's bytes."""
    first = struct.unpack_from("<L", data, entry_of(data, b"pkg/_C.so") + 42)[0]
    return patched(data, entry_of(data, b"pkg/_D.so") + 42, "<L", first)


def payload_damaged(name: str) -> Callable[[Path], None]:
    """The first packed payload is noise from its fifth byte on; every size stays as it was."""

    def make() -> bytes:
        data = bytearray(real(name))
        header, packed = struct.unpack_from("<L", data, ENTRY + 4)[0], 16
        size = struct.unpack_from("<L", data, ENTRY + packed)[0]
        assert size
        start = ENTRY + header
        data[start + 4 : start + size] = bytes(0xA5 ^ n & 0xFF for n in range(size - 4))
        return bytes(data)

    return bytes_of(make)


def entry_bomb(path: Path) -> None:
    """200,000 entries in one container; then one whose size lies."""
    entry = bytearray(64)
    struct.pack_into("<HHLQ", entry, 0, 2, 0x0101, 64, 8)
    struct.pack_into("<L", entry, 28, 90)
    bad = bytearray(entry)
    struct.pack_into("<Q", bad, 8, 2**62)
    body = (bytes(entry) + bytes(8)) * 200_000 + bytes(bad)
    path.write_bytes(struct.pack("<LHHQ", 0xBA55ED50, 1, 16, len(body)) + body)


def big_endian(_: bytes) -> bytes:
    """An ELF header for s390x."""
    ident = b"\x7fELF\x02\x02\x01" + bytes(9)
    return ident + struct.pack(">HHLQQQLHHHHHH", 3, 22, 1, 0, 0, 64, 0, 64, 0, 0, 64, 0, 0)


def of_32_bits(_: bytes) -> bytes:
    """An ELF header for i386."""
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    return ident + struct.pack("<HHLLLLLHHHHHH", 3, 3, 1, 0, 0, 52, 0, 52, 0, 0, 40, 0, 0)


def many_sections(library: bytes) -> bytes:
    """Says that it has 2**32 sections, in the way in which a file may say that."""
    table = struct.unpack_from("<Q", library, 40)[0]
    return patched(patched(library, 60, "<H", 0), table + 32, "<Q", 2**32)


KERNELS = ("--kernels",)
CASES = [
    Case("cut.whl", of_wheel(lambda d: d[: len(d) // 2]), "no ZIP archive ends here", UNREADABLE),
    Case("cut.so", of_library(lambda d: d[: len(d) // 2]), "are wanted and 0 are left"),
    Case("cut-header.so", of_library(lambda d: d[:40]), "40 are left", UNREADABLE),
    Case("cut.fatbin", bytes_of(lambda: real("plain.fatbin")[:-100]), "claims 3592 bytes of 3492"),
    Case("container.fatbin", of_fatbin("plain.fatbin", 8, "<Q", 2**63), "container claims"),
    Case(
        "container-0.fatbin",
        of_fatbin("plain.fatbin", 8, "<Q", 0),
        "no fatbin container begins here",
    ),
    Case("entry.fatbin", of_fatbin("plain.fatbin", ENTRY + 8, "<Q", 2**63), "image claims"),
    Case("entry-header.fatbin", of_fatbin("plain.fatbin", ENTRY + 4, "<L", 0), "image header of 0"),
    Case(
        "entry-header-2.fatbin",
        of_fatbin("plain.fatbin", ENTRY + 4, "<L", 2**31),
        "image header of 2147483648",
    ),
    Case("container.so", of_library(entry_field(8, "<Q", 2**64 - 1)), "container claims"),
    Case("entry.so", of_library(entry_field(ENTRY + 8, "<Q", 2**40)), "image claims"),
    Case("entries.fatbin", entry_bomb, "more than"),
    Case("section.so", of_library(section_field(32, 2**62)), "past the end of the file"),
    Case("section-beyond.so", of_library(section_field(24, 5 * GIBI)), "past the end of the file"),
    Case("sections.so", of_library(many_sections), "4294967296 section headers"),
    Case("s390x.so", of_library(big_endian), "big-endian", UNREADABLE),
    Case("i386.so", of_library(of_32_bits), "32-bit", UNREADABLE),
    Case("lz4.fatbin", payload_damaged("lz4.fatbin"), "LZ4", 0, KERNELS),
    Case("zstd.fatbin", payload_damaged("zstd.fatbin"), "zstd", 0, KERNELS),
    Case(
        "lz4-size.fatbin", of_fatbin("lz4.fatbin", ENTRY + 56, "<Q", 2**50), "more than", 0, KERNELS
    ),
    Case(
        "zstd-size.fatbin",
        of_fatbin("zstd.fatbin", ENTRY + 56, "<Q", 2**50),
        "more than",
        0,
        KERNELS,
    ),
    Case(
        "zstd-packed.fatbin",
        of_fatbin("zstd.fatbin", ENTRY + 16, "<L", 2**31),
        "compressed bytes",
        0,
        KERNELS,
    ),
    Case("bomb.whl", lambda path: bomb(path, 2 * GIBI), "CRC-32"),
    Case("bomb-20.whl", lambda path: bomb(path, GIBI, 20 * GIBI), "more than is read"),
    Case("bomb-lie.whl", lambda path: bomb(path, GIBI, 5000), "more bytes than its size says"),
    Case("bomb-text.whl", lambda path: bomb(path, GIBI, name=INFO), "more than is read"),
    Case("absolute.whl", of_wheel(bytes, "/etc/_C.so"), "absolute"),
    Case("dots.whl", of_wheel(bytes, "../../_C.so"), "`..`"),
    Case("twice.whl", of_wheel(bytes, "pkg/_C.so", "pkg/_C.so"), "several members"),
    Case("encrypted.whl", of_wheel(encrypted), "encrypted"),
    Case(
        "overlap.whl",
        of_wheel(overlapping, "pkg/_C.so", "pkg/_D.so"),
        "what follows it",
        UNREADABLE,
    ),
    Case("members.whl", many_members, "200000 members", UNREADABLE),
    Case("far.whl", far_away, "are wanted and 0 are left"),
]


@pytest.fixture(scope="module")
def sartor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sartor]:
    """`sartor` with a home of its own: inspecting writes nothing but evidence."""
    folder = tmp_path_factory.mktemp("hostile")
    sartor = Sartor(folder / "home", folder, isolated_variables(folder))
    yield sartor
    assert kept_besides_evidence(sartor.home) == []


def inspected(sartor: Sartor, path: Path, *arguments: str) -> tuple[int, Document]:
    """The status and the one document, within the bounds and without a traceback."""
    note = path.parent / "memory"
    done = sartor.run(
        *("inspect", str(path), "--gpu", "h200", "--driver", "580.95", "--json", *arguments),
        prefix=measured(note, SECONDS),
    )
    assert "Traceback" not in done.stderr, done.stderr
    (document,) = documents(done.stdout)
    assert peak(note) < MOST_MEMORY, f"{peak(note) >> 20} MiB"
    return done.status, document


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_file_that_lies(case: Case, sartor: Sartor, tmp_path: Path) -> None:
    path = tmp_path / case.name
    case.make(path)
    before = path.stat()
    status, document = inspected(sartor, path, *case.arguments)
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert status == case.status, document
    if status:
        assert document["code"] == "artifact-unreadable"
        assert case.words in document["message"]
        (found,) = document["found"]
        assert found.startswith(f"{case.name}: at offset 0x")
    else:
        faults = document["not_checked"]
        assert faults, document
        assert all(fault["path"] and fault["why"] for fault in faults)
        assert any(case.words in fault["why"] for fault in faults), faults
        assert any(fault["offset"] is not None for fault in faults), faults


def test_a_library_beyond_4_gib_is_read(sartor: Sartor, tmp_path: Path) -> None:
    path = tmp_path / "pkg-1.0-py3-none-any.whl"
    far_away(path)
    status, document = inspected(sartor, path)
    whole, cut = document["libraries"]
    assert (status, whole["path"], cut["path"]) == (0, "pkg/_C.so", "pkg/_D.so")
    assert {image["arch"] for image in whole["images"]} == {"sm_90", "compute_90"}
    assert whole["verdicts"][0]["native"] == 1
    assert {fault["path"] for fault in document["not_checked"]} >= {"pkg/_D.so"}


def test_zip64_without_need_is_as_good(sartor: Sartor, tmp_path: Path) -> None:
    plain, wide = tmp_path / "plain.whl", tmp_path / "wide.whl"
    plain.write_bytes(wheel_of([("pkg/_C.so", real("library.so"))]))
    with zipfile.ZipFile(wide, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(INFO, METADATA)
        with out.open("pkg/_C.so", "w", force_zip64=True) as member:
            member.write(real("library.so"))
    libraries = [inspected(sartor, path)[1]["libraries"] for path in (plain, wide)]
    assert libraries[0] == libraries[1] != []


def test_a_folder_of_traps(sartor: Sartor, tmp_path: Path) -> None:
    """A pipe that nobody writes to, links in circles and out, names that would move a cursor."""
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "good.so").write_bytes(real("library.so"))
    os.mkfifo(folder / "pipe.so")
    (folder / "circle.so").symlink_to("circle.so")
    (folder / "deep" / "up").symlink_to("..")
    (folder / "out.so").symlink_to(REAL / "library.so")
    (folder / "red\x1b[31m.so").write_bytes(real("library.so"))
    (folder / "claims.so").write_text("INPUT(-lgood)\n", "utf-8")
    status, document = inspected(sartor, folder)
    assert status == 0
    assert [library["path"] for library in document["libraries"]] == ["good.so"]
    reasons = {fault["path"]: fault["why"] for fault in document["not_checked"]}
    assert reasons["pipe.so"] == "it is not a regular file"
    assert "out of the folder" in reasons["out.so"]
    assert "printed" in reasons[r"red\x1b[31m.so"]
