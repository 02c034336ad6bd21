"""Exports: the same rows come out of them, whatever order they went in, and nothing else does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from evidences import evidence, row, rows, sha256_of
from sartor.artifact.model import NotRead
from sartor.artifact.source import Invalid
from sartor.errors import EvidenceFileError, NoSuchTargetError
from sartor.evidence.actions import export, import_file, merged
from sartor.evidence.compare import differences
from sartor.evidence.exchange import read_export, write_export
from sartor.evidence.row import READER_VERSION, Row, row_of
from sartor.evidence.store import Store, open_store
from sartor.paths import Places

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sartor.evidence.model import Outcome

MOST_BYTES = 256 << 20


def made(path: Path, kept: Iterable[Row] = ()) -> Store:
    opened = open_store(path)
    assert opened is not None
    for one in kept:
        opened.put(one)
    return opened


def imported(one: Row) -> Row:
    return msgspec.structs.replace(one, origin="imported")


@settings(max_examples=25)
@given(several=st.lists(rows(), max_size=6, unique_by=lambda r: r.sha256))
def test_round_trip(several: list[Row], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("x")
    ordered = sorted(several, key=lambda r: r.sha256)
    written = write_export(folder / "one", ordered)
    assert list(read_export(folder / "one")) == ordered
    assert (written.rows, written.bytes) == (len(several), (folder / "one").stat().st_size)
    again = write_export(folder / "two", read_export(folder / "one"))
    assert again == written


@settings(max_examples=25)
@given(one=st.lists(rows(), max_size=5), other=st.lists(rows(), max_size=5))
def test_merging_is_idempotent_and_commutative(
    one: list[Row], other: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def kept(name: str, *parts: list[Row]) -> list[Row]:
        with made(tmp_path_factory.mktemp(name) / "s.sqlite") as opened:
            for part in parts:
                for each in part:
                    assert merged(opened, each).outcome != "conflict"
            return [msgspec.structs.replace(r, read_at="") for r in opened.rows()]

    both = kept("a", one, other)
    assert kept("b", other, one) == both
    assert kept("c", one, other, one, other) == both


def test_from_one_machine_to_another(tmp_path: Path) -> None:
    here, there = Places(tmp_path / "here"), Places(tmp_path / "there")
    file = tmp_path / "evidence.jsonl.zst"
    with made(here.evidence, [row(1, "one"), row(2)]):
        pass
    assert export(here, file, None).rows == 2
    assert [r.outcome for r in import_file(there, file).rows] == ["added", "added"]
    assert [r.outcome for r in import_file(there, file).rows] == ["same", "same"]
    assert export(here, file, "one==1.2").rows == 1
    with made(there.evidence) as opened:
        assert {r.origin for r in opened.rows()} == {"imported"}
        assert [r.evidence() for r in opened.rows()] == sorted(
            [evidence(1, "one"), evidence(2)], key=lambda e: e.sha256 or ""
        )


def lies(one: Row, **changes: object) -> Row:
    """A row of the same file that says something else of its library."""
    told = one.evidence()
    library = msgspec.structs.replace(told.libraries[0], **changes)
    made = row_of(msgspec.structs.replace(told, libraries=[library]), one.names)
    return imported(msgspec.structs.replace(made, read_at=one.read_at))


def test_what_speaks_against_the_store_is_said_and_not_taken(tmp_path: Path) -> None:
    foreign: list[tuple[Row, Outcome]] = [
        (imported(row(1)), "same"),
        (imported(row(1, "all")), "replaced"),
        (lies(row(1, "all"), glibc="2.17"), "conflict"),
        (lies(row(1, "all"), images=evidence().libraries[0].images[::-1]), "conflict"),
        (lies(row(1), path="two/_C.so"), "conflict"),
        (lies(row(1, "all"), size=1, not_read=[NotRead("one/_C.so", "it broke off")]), "conflict"),
        (msgspec.structs.replace(imported(row(1, "all")), reader=READER_VERSION + 1), "newer"),
        (imported(row(1)), "same"),
    ]
    with made(tmp_path / "s.sqlite", [row(1)]) as opened:
        for one, expected in foreign:
            found = merged(opened, one)
            before = opened.get(sha256_of(1))
            if expected == "same":
                assert found.outcome in {"same", "kept"}
            else:
                assert found.outcome == expected
            if expected == "conflict":
                assert found.why
                assert before is not None
                assert differences(before.evidence(), evidence(1)) == []


def test_other_names_of_kernels_are_a_disagreement() -> None:
    one, other = evidence(1, "one"), evidence(1, "all")
    assert differences(one, other) == []
    units = [
        msgspec.structs.replace(unit, kernels={"_Z4mulPf": [0, 1]})
        for unit in other.libraries[0].units
    ]
    told = msgspec.structs.replace(
        other, libraries=[msgspec.structs.replace(other.libraries[0], units=units)]
    )
    assert differences(one, told) == ["library one/_C.so: the names of its kernels"]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.jsonl.zst"
    write_export(path, sorted([row(n, "one") for n in range(3)], key=lambda r: r.sha256))
    return path


def test_every_truncation_is_noticed(exported: Path, tmp_path: Path) -> None:
    content = exported.read_bytes()
    cut = tmp_path / "cut"
    for length in range(len(content)):
        cut.write_bytes(content[:length])
        with pytest.raises(Invalid):
            list(read_export(cut))
    cut.write_bytes(content + b"\0")
    with pytest.raises(Invalid, match="follows"):
        list(read_export(cut))
    cut.write_bytes(content + content)
    with pytest.raises(Invalid, match="follows"):
        list(read_export(cut))


def test_nothing_of_a_truncated_file_is_taken(exported: Path, tmp_path: Path) -> None:
    places = Places(tmp_path / "home")
    lines = zstandard.decompress(exported.read_bytes(), max_output_size=MOST_BYTES).splitlines()
    exported.write_bytes(zstandard.compress(b"\n".join(lines[:-1]) + b"\n"))
    with pytest.raises(EvidenceFileError, match="without its last line") as raised:
        import_file(places, exported)
    assert raised.value.hint
    assert not places.evidence.exists()
    with pytest.raises(NoSuchTargetError):
        import_file(places, tmp_path / "nowhere")
    with pytest.raises(EvidenceFileError):
        import_file(places, tmp_path)


def plain_lines(path: Path) -> list[bytes]:
    return zstandard.decompress(path.read_bytes(), max_output_size=MOST_BYTES).splitlines()


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": sha256_of(9)},
        {"sha256": "../../x"},
        {"reader": -1},
        {"reader": 1 << 70},
        {"read_at": "\x1b[2J"},
        {"names": "some"},
        {"names": "none"},
        {"extent": "partial"},
        {"more": 1},
        {"evidence": {}},
        {"evidence": {"schema": "sartor.evidence/2", "target": "x", "kind": "wheel"}},
    ],
    ids=str,
)
def test_rows_that_lie(exported: Path, tmp_path: Path, change: dict[str, object]) -> None:
    header, first, *_ = plain_lines(exported)
    line = json.dumps({**json.loads(first), **change}).encode()
    exported.write_bytes(zstandard.compress(b"\n".join([header, line, b""])))
    with pytest.raises(Invalid) as raised:
        list(read_export(exported))
    assert "without its last line" not in str(raised.value)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("target",), "/home/x/one.whl"),
        (("target",), ".."),
        (("size",), 1 << 63),
        (("kind",), "environment"),
        (("libraries", 0, "units", 0, "images"), [2]),
        (("libraries", 0, "units", 0, "images"), [-1]),
        (("libraries", 0, "units", 0, "kernels"), {"k": [7]}),
        (("libraries", 0, "units", 0, "count"), -5),
    ],
    ids=str,
)
def test_documents_that_lie(exported: Path, where: tuple[str | int, ...], value: object) -> None:
    header, first, *_ = plain_lines(exported)
    line = json.loads(first)
    inside = line["evidence"]
    for step in where[:-1]:
        inside = inside[step]
    inside[where[-1]] = value
    exported.write_bytes(zstandard.compress(b"\n".join([header, json.dumps(line).encode(), b""])))
    with pytest.raises(Invalid) as raised:
        list(read_export(exported))
    assert "without its last line" not in str(raised.value)


def test_bombs(tmp_path: Path) -> None:
    """A line that never ends, a window that is too wide, a nest: each refused in little memory."""
    path = tmp_path / "bomb"
    for content in (b"\0" * (200 << 20), b"[" * (1 << 20) + b"\n"):
        path.write_bytes(zstandard.compress(content))
        with pytest.raises(Invalid):
            list(read_export(path))
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=27, enable_ldm=True)
    path.write_bytes(zstandard.ZstdCompressor(compression_params=wide).compress(bytes(64 << 20)))
    with pytest.raises(Invalid):
        list(read_export(path))


@settings(max_examples=400)
@given(data=st.data())
def test_random_bytes(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the bytes are, and wherever: rows as they were, or `Invalid`."""
    folder = tmp_path_factory.mktemp("x")
    path = folder / "x"
    kept = sorted([row(n, "one") for n in range(2)], key=lambda r: r.sha256)
    write_export(path, kept)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):  # inside the compressed lines, where no checksum helps
        content = bytearray(zstandard.decompress(bytes(content), max_output_size=MOST_BYTES))
    at = data.draw(st.integers(0, len(content) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=40))
    content[at : at + data.draw(st.integers(0, 40))] = junk
    plain = bytes(content)
    path.write_bytes(plain if plain[:4] == b"\x28\xb5\x2f\xfd" else zstandard.compress(plain))
    try:
        found = list(read_export(path))
    except Invalid:
        return
    assert [r.evidence() for r in found] == [r.evidence() for r in kept]


def test_writing_does_not_leave_half_a_file(tmp_path: Path) -> None:
    damaged = msgspec.structs.replace(row(1), document=b"x")
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(Invalid):
        write_export(path, [row(0), damaged])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
