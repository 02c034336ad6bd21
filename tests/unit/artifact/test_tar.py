"""Tar archives: what is read equals what the standard library reads; the rest is `Invalid`."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tracemalloc
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.artifact import tar
from sartor.artifact.source import BytesSource, Invalid
from sartor.artifact.tar import TarMember, TarReader, tar_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.FIFOTYPE: "other",
}


def written(
    members: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT
) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as out:
        for info, data in members:
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return made.getvalue()


def file(name: str, data: bytes = b"data") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), data


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def read(data: bytes, size: int = 1000) -> list[tuple[TarMember, bytes]]:
    reader = TarReader(cut(data, size), "x.tar")
    return [(m, b"".join(reader.data(m)) if m.kind == "file" else b"") for m in reader.members()]


parts = st.text("ab漢ü. ", min_size=1, max_size=40).filter(lambda p: p not in (".", ".."))
paths = st.lists(parts, min_size=1, max_size=9).map("/".join)


@given(
    st.lists(
        st.tuples(paths, st.sampled_from(list(TYPES)), paths, st.binary(max_size=1200)), max_size=6
    ),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 2000),
)
def test_members_equal_tarfiles(
    wanted: list[tuple[str, bytes, str, bytes]], form: int, size: int
) -> None:
    members = []
    for path, kind, link, data in wanted:
        info = tarfile.TarInfo(path)
        info.type, info.linkname = kind, link if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
        members.append((info, data if kind == tarfile.REGTYPE else b""))
    data = written(members, form)
    with tarfile.open(fileobj=io.BytesIO(data)) as judge:
        theirs = [
            (
                info.name,
                TYPES[info.type],
                info.linkname,
                (judge.extractfile(info) or io.BytesIO()).read() if info.isreg() else b"",
            )
            for info in judge
        ]
    mine = [(m.path.rstrip("/"), m.kind, m.link, content) for m, content in read(data, size)]
    assert mine == theirs


def test_ustar_prefixes() -> None:
    name = "/".join(["folder" * 5] * 6) + "/lib.so"
    (found,) = read(written([file(name)], tarfile.USTAR_FORMAT))
    assert found[0].path == name
    assert found[1] == b"data"


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_sizes_beyond_8_gib(form: Literal[1, 2]) -> None:
    """In pax headers and in binary; nothing of that size is read."""
    size = 9 << 30
    info = tarfile.TarInfo("huge.so")
    info.size = size
    reader = TarReader(iter([info.tobuf(form)]), "x.tar")
    assert next(reader.members()).size == size


def test_what_was_not_read_is_skipped() -> None:
    data = written([file("a.so", b"a" * 5000), file("b.so", b"b" * 700)])
    reader = TarReader(cut(data, 100), "x.tar")
    parts = [next(reader.data(member)) for member in reader.members()]
    assert [part[:1] for part in parts] == [b"a", b"b"]


def test_global_headers_are_no_members() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", pax_headers={"comment": "0" * 40}) as out:
        info, data = file("a.so")
        info.size = len(data)
        out.addfile(info, io.BytesIO(data))
    assert [m.path for m, _ in read(made.getvalue())] == ["a.so"]


def header(data: bytes) -> bytearray:
    return bytearray(data[:512])


def summed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_sparse_files_are_named_and_skipped() -> None:
    block = header(written([file("sparse.so", b"x" * 512)]))
    block[156:157] = b"S"
    block[257:265] = b"ustar  \0"
    block[482:483] = b"\1"
    data = summed(block) + bytes(512) + b"x" * 512 + written([file("next.so")])
    assert [(m.path, m.kind) for m, _ in read(data)] == [
        ("sparse.so", "sparse"),
        ("next.so", "file"),
    ]
    info, content = file("pax-sparse.so")
    info.pax_headers = {"GNU.sparse.major": "1"}
    assert read(written([(info, content)]))[0][0].kind == "sparse"


def with_field(member: tuple[tarfile.TarInfo, bytes], at: int, value: bytes) -> bytes:
    """The member's header with another field, and the checksum to it."""
    block = header(written([member]))
    block[at : at + len(value)] = value
    return summed(block)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "cut off"),
    "noise": (b"noise" * 200, "octal number|no tar member"),
    "cut off in a header": (written([file("a.so")])[:300], "cut off"),
    "cut off in a member": (written([file("a.so", b"x" * 5000)])[:2000], "cut off"),
    "cut off between members": (written([file("a.so", b"x" * 512)])[:1024], "cut off"),
    "another checksum": (b"b" + written([file("a.so")])[1:], "no tar member begins here"),
    "negative size": (
        with_field(file("a.so"), 124, b"\xff" * 12),
        "below zero",
    ),
    "size that is no number": (
        with_field(file("a.so"), 124, b"99999999999\0"),
        "no octal number",
    ),
    "long name that is too long": (
        with_field(file("a.so", b"x" * (2 << 20)), 156, b"L"),
        "extended header of 2097152 bytes",
    ),
    "long names without end": (
        (with_field(file("a.so", b"n"), 156, b"L") + b"n".ljust(512, b"\0")) * 40,
        "too many headers",
    ),
    "pax record without a length": (
        with_field(file("a.so", b"path=b.so\n"), 156, b"x") + b"path=b.so\n".ljust(512, b"\0"),
        "no pax record",
    ),
    "pax record beyond its header": (
        with_field(file("a.so", b"99 path=b.so\n"), 156, b"x")
        + b"99 path=b.so\n".ljust(512, b"\0"),
        "no pax record",
    ),
    "pax size": (
        with_field(file("a.so", b"11 size=-1\n"), 156, b"x") + b"11 size=-1\n".ljust(512, b"\0"),
        "a pax size",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives(case: str) -> None:
    data, reason = HOSTILE[case]
    with pytest.raises(Invalid, match=reason) as found:
        read(data)
    assert found.value.name == "x.tar"


@settings(max_examples=300)
@given(st.data())
def test_any_damage_is_invalid_or_another_member(draw: st.DataObject) -> None:
    data = bytearray(written([file("ü" * 120, b"x" * 600), file("b.so")]))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, 3000))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(Invalid):
        read(bytes(data), 300)


def test_members_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MOST_MEMBERS", 100)
    block = summed(header(written([file("a", b"")])))
    with pytest.raises(Invalid, match="more than 100 members"):
        read(block * 101)


def test_memory_does_not_grow_with_the_members() -> None:
    block = summed(header(written([file("a", b"")])))

    def endless() -> Iterator[bytes]:
        for _ in range(30):
            yield block * 500
        yield bytes(1024)

    tracemalloc.start()
    assert sum(1 for _ in TarReader(endless(), "x").members()) == 15_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_the_files_of_an_outer_tar_by_path() -> None:
    link, hard = tarfile.TarInfo("b/layer.tar"), tarfile.TarInfo("c")
    link.type, link.linkname = tarfile.SYMTYPE, "../a/layer.tar"
    hard.type, hard.linkname = tarfile.LNKTYPE, "./a/layer.tar"
    lost = tarfile.TarInfo("lost")
    lost.type, lost.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members = [file("./a/layer.tar", b"L" * 9000), (link, b""), (hard, b""), (lost, b""), file("d")]
    found = tar_files(BytesSource(written(members), "x"))
    assert set(found) == {"a/layer.tar", "b/layer.tar", "c", "d"}
    assert found["b/layer.tar"].read(8990, 10) == b"L" * 10
    assert found["d"].read(0, 4) == b"data"
    with pytest.raises(Invalid, match="are left"):
        tar_files(BytesSource(written(members)[:5000], "x"))
