"""ZIP archives: the listing equals the standard library's, and nothing hostile gets through."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import tracemalloc
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.artifact import zip as zips
from sartor.artifact.source import BytesSource, Invalid, SliceSource
from sartor.artifact.stream import StreamedSource
from sartor.artifact.zip import ZipMembers

if TYPE_CHECKING:
    from collections.abc import Callable

MEBI = 1 << 20
LIBRARY = b"\x7fELF" + bytes(range(256)) * 40


def archive(
    files: dict[str, bytes] | None = None, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as out:
        for name, data in (files or {"a/lib.so": LIBRARY, "b.txt": b"text"}).items():
            out.writestr(name, data)
        out.comment = comment
    return made.getvalue()


def opened(data: bytes) -> ZipMembers:
    return ZipMembers(BytesSource(data, "x.whl"))


def everything(_: str) -> bool:
    return True


def contents(members: ZipMembers) -> dict[str, bytes]:
    return {path: source.read(0, source.size) for path, source in members.walk(everything)}


def reasons(data: bytes) -> dict[str, str]:
    members = opened(data)
    contents(members)
    return {n.path: n.why for n in members.not_read}


def entry_at(data: bytes, index: int = 0) -> int:
    """Where the entry of a member begins in the directory."""
    at = struct.unpack_from("<L", data, data.rfind(zips.END_MAGIC) + 16)[0]
    for _ in range(index):
        at += 46 + sum(struct.unpack_from("<3H", data, at + 28))
    return int(at)


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


names = st.lists(
    st.text("abcäß漢_-. ", min_size=1, max_size=8).filter(lambda n: n not in (".", "..")),
    min_size=1,
    max_size=3,
).map("/".join)


@given(
    st.dictionaries(names, st.binary(max_size=2000), max_size=8),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    st.binary(max_size=60).filter(lambda comment: b"PK" not in comment),  # which zipfile trips over
    st.binary(max_size=60),
)
def test_members_equal_zipfiles(
    files: dict[str, bytes], method: int, comment: bytes, before: bytes
) -> None:
    data = before + archive(files or {"x": b""}, method, comment)
    with zipfile.ZipFile(io.BytesIO(data)) as judge:
        members = opened(data)
        for mine, theirs in zip(members.members, judge.infolist(), strict=True):
            assert (mine.name, mine.size, mine.compressed, mine.crc, mine.method, mine.offset) == (
                theirs.filename,
                theirs.file_size,
                theirs.compress_size,
                theirs.CRC,
                theirs.compress_type,
                theirs.header_offset,
            )
        assert contents(members) == {n: judge.read(n) for n in judge.namelist()}
    assert members.not_read == []


@settings(max_examples=300)
@given(st.data())
def test_any_damage_is_invalid_or_named(draw: st.DataObject) -> None:
    data = bytearray(archive({"a.so": b"\x7fELF" + bytes(90), "b.so": b"B" * 50}))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    end = draw.draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))
    with contextlib.suppress(Invalid):
        for _, source in opened(bytes(data[:end])).walk(everything):
            with contextlib.suppress(Invalid):
                source.read(0, source.size)


def test_folders_are_no_members() -> None:
    data = archive({"a/": b"", "a/lib.so": LIBRARY})
    assert list(contents(opened(data))) == ["a/lib.so"]
    assert opened(data).names() == ["a/lib.so"]


def test_stored_members_are_pieces_and_deflated_ones_stream() -> None:
    for method, kind in ((zipfile.ZIP_STORED, SliceSource), (zipfile.ZIP_DEFLATED, StreamedSource)):
        ((_, source), _) = opened(archive(method=method)).walk(everything)
        assert isinstance(source, kind)


def test_zip64_by_zipfile() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        with out.open("big.so", "w", force_zip64=True) as member:
            member.write(LIBRARY)
        out.writestr("small.so", b"x")
    assert contents(opened(made.getvalue())) == {"big.so": LIBRARY, "small.so": b"x"}


def test_data_descriptors_by_zipfile() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.made = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            assert isinstance(data, bytes | bytearray | memoryview)
            self.made += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.so", LIBRARY)
        out.writestr("b.so", b"")
    assert contents(opened(bytes(pipe.made))) == {"a.so": LIBRARY, "b.so": b""}


def as_zip64(data: bytes, *, extra: bool = True, record_size: int = 44) -> bytes:
    """The same archive of one stored member, every number of which stands in ZIP64 fields."""
    start = entry_at(data)
    entry = bytearray(data[start : data.rfind(zips.END_MAGIC)])
    size, offset = struct.unpack_from("<L", entry, 24)[0], 0
    struct.pack_into("<2L", entry, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    if extra:
        struct.pack_into("<H", entry, 30, 28)
        entry += struct.pack("<2H3Q", 1, 24, size, size, offset)
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", record_size, 45, 45, 0, 0, 1, 1, len(entry), start
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + len(entry), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:start] + bytes(entry) + record + locator + end


def test_zip64_where_every_number_is_full() -> None:
    data = as_zip64(archive({"a.so": LIBRARY}, zipfile.ZIP_STORED))
    assert zipfile.ZipFile(io.BytesIO(data)).read("a.so") == LIBRARY
    assert contents(opened(data)) == {"a.so": LIBRARY}
    assert contents(opened(b"before" + data)) == {"a.so": LIBRARY}


@pytest.mark.parametrize(("extra", "record_size"), [(False, 44), (True, 45)])
def test_zip64_that_lies(extra: bool, record_size: int) -> None:
    plain = archive({"a.so": LIBRARY}, zipfile.ZIP_STORED)
    with pytest.raises(Invalid, match="ZIP64"):
        opened(as_zip64(plain, extra=extra, record_size=record_size))


def test_a_member_beyond_4_gib_is_asked_for_where_it_is() -> None:
    """Nothing is read but the directory and the member: the source has a hole in it."""
    far = 5 << 30
    small = archive({"a.so": LIBRARY}, zipfile.ZIP_STORED)
    inner = as_zip64(small)
    start = entry_at(small)
    entry_and_end = bytearray(inner[start:])
    at = entry_and_end.find(struct.pack("<2H", 1, 24)) + 4
    struct.pack_into("<Q", entry_and_end, at + 16, far)
    record = entry_and_end.find(b"PK\6\6")
    struct.pack_into("<Q", entry_and_end, record + 48, far + start)
    struct.pack_into("<Q", entry_and_end, entry_and_end.find(b"PK\6\7") + 8, far + start + record)
    tail = small[:start] + bytes(entry_and_end)

    class Holed:
        name, size = "big.whl", far + len(tail)

        def read(self, offset: int, length: int) -> bytes:
            assert offset >= far or length < 70_000
            hole = bytes(max(min(far - offset, length), 0))
            return hole + tail[max(offset - far, 0) : max(offset + length - far, 0)]

    members = ZipMembers(Holed())
    assert members.members[0].offset == far
    assert contents(members) == {"a.so": LIBRARY}


WHOLE_FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda d: b"", "no ZIP archive ends here"),
    "no end record": (lambda d: d[:-22], "no ZIP archive ends here"),
    "cut off": (lambda d: d[: len(d) // 2], "no ZIP archive ends here"),
    "bytes after the end": (lambda d: d + b"tail", "no ZIP archive ends here"),
    "beginning is missing": (lambda d: d[len(d) // 2 :], "not in the file"),
    "directory outside": (lambda d: patched(d, len(d) - 6, "<L", 1 << 31), "not in the file"),
    "directory too large": (lambda d: patched(d, len(d) - 10, "<L", 1 << 31), "not in the file"),
    "too many members": (
        lambda d: patched(d, len(d) - 14, "<2H", 3, 3),
        "2 members are listed of 3",
    ),
    "too few members": (lambda d: patched(d, len(d) - 14, "<2H", 1, 1), "more than 1 members"),
    "several parts": (lambda d: patched(d, len(d) - 18, "<2H", 1, 1), "one part of several"),
    "no entry": (lambda d: patched(d, entry_at(d, 1), "<L", 0), "no member of the directory"),
    "long name": (
        lambda d: patched(d, entry_at(d, 1) + 28, "<H", 60_000),
        "reaches out of the directory",
    ),
    "member after the directory": (
        lambda d: patched(d, entry_at(d, 1) + 42, "<L", 1 << 30),
        "not before the directory",
    ),
    "overlap": (lambda d: patched(d, entry_at(d, 1) + 42, "<L", 0), "claims bytes of what follows"),
    "overlap by size": (
        lambda d: patched(d, entry_at(d) + 20, "<L", 1 << 20),
        "claims bytes of what follows",
    ),
}


@pytest.mark.parametrize("case", WHOLE_FAULTS)
def test_an_archive_that_does_not_hold_together(case: str) -> None:
    change, reason = WHOLE_FAULTS[case]
    with pytest.raises(Invalid, match=reason):
        opened(change(archive()))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/lib.so", "absolute"),
        ("C:/lib.so", "absolute"),
        ("../lib.so", r"`\.\.` parts"),
        ("a/../../lib.so", r"`\.\.` parts"),
        ("a//lib.so", "parts"),
        ("./lib.so", "parts"),
        ("a\\lib.so", "backslash"),
        ("a\x1b[2Jlib.so", "cannot be printed"),
        ("a\nlib.so", "cannot be printed"),
    ],
)
def test_a_name_that_leads_elsewhere(name: str, reason: str) -> None:
    (found,) = reasons(archive({name: LIBRARY})).items()
    assert re.search(reason, found[1])
    assert found[0].isprintable()


def test_a_nul_in_a_name_is_named() -> None:
    data = archive({"a.so_b.py": LIBRARY}).replace(b"a.so_b.py", b"a.so\0b.py")
    assert reasons(data) == {"a.so\\x00b.py": "its name has characters that cannot be printed"}


def test_a_name_that_is_no_utf_8_is_named() -> None:
    data = archive({"ä.so": LIBRARY}).replace("ä".encode(), b"\xff\xfe")
    assert list(reasons(data)) == ["\\udcff\\udcfe.so"]


def test_two_members_of_one_name() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as out, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out.writestr("a.so", b"good")
        out.writestr("a.so", b"evil")
        out.writestr("b.so", b"fine")
    members = opened(made.getvalue())
    assert contents(members) == {"b.so": b"fine"}
    assert [n.path for n in members.not_read] == ["a.so", "a.so"]


STORED = archive({"a/lib.so": LIBRARY}, zipfile.ZIP_STORED)
METADATA = archive({"x.dist-info/METADATA": b"Name: x"})
MEMBER_FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "encrypted": (lambda d: patched(d, entry_at(d) + 8, "<H", 1), "encrypted"),
    "headers encrypted": (lambda d: patched(d, entry_at(d) + 8, "<H", 1 << 13), "encrypted"),
    "symbolic link": (lambda d: patched(d, entry_at(d) + 38, "<L", 0o120777 << 16), "link"),
    "two sizes": (lambda _: patched(STORED, entry_at(STORED) + 24, "<L", 9), "two sizes"),
    "enormous": (
        lambda _: patched(METADATA, entry_at(METADATA) + 24, "<L", 1 << 30),
        "more than is read",
    ),
    "no local header": (lambda d: patched(d, 0, "<L", 0), "no member begins here"),
    "other name": (lambda d: d.replace(b"a/lib.so", b"a/bil.so", 1), "another name"),
    "other method": (lambda d: patched(d, 8, "<H", 0), "another method"),
    "encrypted in its own header": (lambda d: patched(d, 6, "<H", 1), "another method"),
    "other size": (lambda d: patched(d, 22, "<L", 7), "other sizes"),
    "other compressed size": (lambda d: patched(d, 18, "<L", 7), "other sizes"),
    "other checksum": (lambda d: patched(d, 14, "<L", 7), "other sizes"),
    "long extra field": (lambda d: patched(d, 28, "<H", 60_000), "reaches into what follows"),
}


@pytest.mark.parametrize("case", MEMBER_FAULTS)
def test_a_member_that_is_not_read(case: str) -> None:
    change, reason = MEMBER_FAULTS[case]
    data = change(archive())
    members = opened(data)
    found = contents(members)
    (fault,) = members.not_read
    assert reason in fault.why
    assert fault.path not in found


def test_another_method_is_named() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_LZMA) as out:
        out.writestr("a.so", LIBRARY)
    assert "(lzma)" in reasons(made.getvalue())["a.so"]


@pytest.mark.parametrize("size", [len(LIBRARY) - 1, len(LIBRARY) + 1])
def test_a_plain_size_that_lies(size: int) -> None:
    data = archive({"a.so": LIBRARY})
    data = patched(patched(data, entry_at(data) + 24, "<L", size), 22, "<L", size)
    ((_, source),) = opened(data).walk(everything)
    with pytest.raises(Invalid, match=r"a\.so"):
        source.read(0, 4)


def test_a_checksum_that_lies() -> None:
    data = archive({"a.so": LIBRARY})
    data = patched(patched(data, entry_at(data) + 16, "<L", 7), 14, "<L", 7)
    ((_, source),) = opened(data).walk(everything)
    with pytest.raises(Invalid, match="CRC-32"):
        source.read(0, 4)


def test_bytes_that_are_no_deflate_stream() -> None:
    data = bytearray(archive({"a.so": LIBRARY}))
    data[38:60] = b"\xff" * 22
    ((_, source),) = opened(bytes(data)).walk(everything)
    with pytest.raises(Invalid, match="cannot be inflated"):
        source.read(0, 4)


def listing(count: int) -> bytes:
    """An archive of empty members."""
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 12, 0)
    entries, members = [], []
    for index in range(count):
        name = b"%012d" % index
        members.append(local + name)
        entries.append(
            zips.ENTRY.pack(b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, index * 42)
            + name
        )
    directory = b"".join(entries)
    start = count * 42
    end = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), start
    )
    end += struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1)
    end += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return b"".join(members) + directory + end


@pytest.mark.parametrize(("count", "accepted"), [(10_000, True), (20_000, False)])
def test_a_directory_of_many_members_is_bounded(
    count: int, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "MOST_MEMBERS", 1 << 14)
    data = listing(count)
    tracemalloc.start()
    if accepted:
        assert len(opened(data).members) == count
    else:
        with pytest.raises(Invalid, match="20000 members"):
            opened(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (10 * MEBI if accepted else MEBI // 4)


def test_all_members_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MOST_PLAIN", len(LIBRARY) + 10)
    members = opened(archive({"a.so": LIBRARY, "b.so": LIBRARY, "c.so": b"small"}))
    assert list(contents(members)) == ["a.so", "c.so"]
    assert "together" in members.not_read[0].why
