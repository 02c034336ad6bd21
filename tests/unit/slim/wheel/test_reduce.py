"""Slimmed wheels: what changes in them and what does not, and wheels that are not slimmed."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from typing import TYPE_CHECKING

import jsonschema
import pytest

from sartor.artifact.record import read_record
from sartor.errors import ArtifactUnreadableError, NotSlimmableError, UsageError
from sartor.schemas import schemas
from sartor.slim.choice import Wanted
from sartor.slim.wheel.reduce import WheelRequest, slim_wheel
from sartor.verdict.model import Target
from slim_maker import relocations, sections
from slim_wheels import INFO, NAME, TIMES, contents, library, read_wheel, row, write_wheel

if TYPE_CHECKING:
    from pathlib import Path

AMPERE, HOPPER = Target("sm_80", "8.0"), Target("sm_90", "9.0")
ONE, BOTH = Wanted((HOPPER,)), Wanted((AMPERE, HOPPER))
SLIM = "units-1.0-1sm90-py3-none-manylinux_2_17_x86_64.whl"
SIGNED = f"{INFO}/RECORD.jws"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = write_wheel(tmp_path / NAME)
    os.utime(path, ns=(1_000_000_000, 2_000_000_123))
    return path


def slim(path: Path, wanted: Wanted = ONE, *, copy: bool = False) -> Path:
    folder = path.parent / "out"
    result = slim_wheel(WheelRequest(path, wanted, folder, copy=copy))
    assert result.output is not None
    return folder / os.path.basename(result.output)  # noqa: PTH119


def test_what_changes_and_what_does_not(wheel: Path) -> None:
    source = wheel.read_bytes()
    output = slim(wheel)
    assert output.name == SLIM
    assert wheel.read_bytes() == source
    assert output.stat().st_mtime_ns == 2_000_000_123
    before, after = read_wheel(wheel), read_wheel(output)
    new = {f"{INFO}/sartor.json", f"{INFO}/variant.json"}
    changed = {"units/units.so", f"{INFO}/WHEEL", f"{INFO}/RECORD"}
    assert [*after] == [
        *(n for n in before if n != f"{INFO}/RECORD"),
        *sorted(new),
        f"{INFO}/RECORD",
    ]
    assert {name for name, data in before.items() if after[name] != data} == changed
    assert len(after["units/units.so"]) < len(before["units/units.so"])
    assert after[f"{INFO}/WHEEL"] == before[f"{INFO}/WHEEL"] + b"Build: 1sm90\n"
    rows = after[f"{INFO}/RECORD"].decode().splitlines()
    assert rows == [
        *(row(n, d) for n, d in after.items() if n != f"{INFO}/RECORD"),
        f"{INFO}/RECORD,,",
    ]


def test_members_keep_their_times_and_compressed_bytes(wheel: Path) -> None:
    output = slim(wheel)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(output) as new:
        assert {entry.date_time for entry in new.infolist()} == {TIMES}
        assert new.getinfo("units/units.so").external_attr >> 16 == 0o100755
        for name in ("units/__init__.py", "units/plain.bin", f"{INFO}/METADATA"):
            was, now = old.getinfo(name), new.getinfo(name)
            assert (was.CRC, was.compress_size) == (now.CRC, now.compress_size)
            assert raw(wheel, was) == raw(output, now)


def raw(path: Path, entry: zipfile.ZipInfo) -> bytes:
    data = path.read_bytes()
    at = entry.header_offset
    lengths = (
        int.from_bytes(data[at + 26 : at + 28], "little"),
        int.from_bytes(data[at + 28 : at + 30], "little"),
    )
    start = at + 30 + sum(lengths)
    return data[start : start + entry.compress_size]


def test_where_it_comes_from(wheel: Path) -> None:
    files = read_wheel(slim(wheel))
    said = json.loads(files[f"{INFO}/sartor.json"])
    jsonschema.Draft202012Validator(schemas("slimmed").schemas["sartor.slimmed/1"]).validate(said)
    assert said["source"]["name"] == NAME
    assert said["source"]["size"] == wheel.stat().st_size
    assert said["gpus"] == ["sm_90"]
    (reduced,) = said["libraries"]
    assert reduced["bytes_after"] == len(files["units/units.so"])
    assert reduced["removed"]
    variant = json.loads(files[f"{INFO}/variant.json"])
    assert variant["variants"] == {"sm90": {"nvidia": {"sm_arch": ["90_real"]}}}
    assert variant["default-priorities"] == {"namespace": ["nvidia"]}


def test_the_same_bytes_each_time_on_any_number_of_processors(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for count in (1, 2, 7):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=count: set(range(n)))
        found.add(slim(wheel).read_bytes())
    assert len(found) == 1


def test_fewer_gpus_later_are_the_same_bytes_as_at_once(wheel: Path) -> None:
    both = slim(wheel, BOTH)
    assert both.name == "units-1.0-1sm80.sm90-py3-none-manylinux_2_17_x86_64.whl"
    assert slim(both, ONE).read_bytes() == slim(wheel, ONE).read_bytes()


def test_twice_is_once(wheel: Path) -> None:
    once = slim(wheel)
    result = slim_wheel(WheelRequest(once, ONE, once.parent / "again", copy=True))
    assert not result.changed
    assert (once.parent / "again" / SLIM).read_bytes() == once.read_bytes()


def test_what_is_gone_cannot_be_asked_for(wheel: Path) -> None:
    once = slim(wheel)
    for wanted in (BOTH, Wanted((AMPERE,)), Wanted((HOPPER,), keep_ptx=True)):
        with pytest.raises(NotSlimmableError, match="slimmed before") as raised:
            slim(once, wanted)
        assert NAME in str(raised.value.hint)


def test_a_build_tag_is_gone_on_from(wheel: Path) -> None:
    tagged = shutil.copyfile(wheel, wheel.with_name(NAME.replace("-py3", "-2-py3")))
    assert "-2sm90-" in slim(tagged).name
    assert "-2sm80.sm90.ptx-" in slim(tagged, Wanted((AMPERE, HOPPER), keep_ptx=True)).name


def test_a_dry_run_writes_nothing_and_knows_the_size(wheel: Path) -> None:
    result = slim_wheel(WheelRequest(wheel, ONE))
    assert [path.name for path in wheel.parent.iterdir()] == [NAME]
    assert result.output is None
    assert result.bytes_after == slim(wheel).stat().st_size


def test_without_device_code(tmp_path: Path) -> None:
    files = {name: data for name, data in contents().items() if not name.endswith(".so")}
    path = write_wheel(tmp_path / NAME, files)
    result = slim_wheel(WheelRequest(path, ONE, tmp_path / "out"))
    assert (result.changed, result.output) == (False, None)
    assert not [*(tmp_path / "out").iterdir()]
    assert slim(path, copy=True).read_bytes() == path.read_bytes()


def test_device_code_that_is_not_understood_is_said_with_its_size(tmp_path: Path) -> None:
    """A container of which the second pointer says that it begins in its middle."""
    data = bytearray(library())
    pointer, _, _, address = min(
        one for one in relocations(data) if one[3] == sections(data)[".nv_fatbin"].address
    )
    struct.pack_into("<Q", data, pointer + 16, address + 32)
    path = write_wheel(tmp_path / NAME, contents() | {"units/units.so": bytes(data)})
    result = slim_wheel(WheelRequest(path, ONE, tmp_path / "out"))
    (left,) = result.libraries
    assert result.device_bytes_before == left.device_bytes_before > 0
    assert left.left_alone[0].why in str(result.why)
    assert "of device code are left alone" in str(result.why)


def test_the_input_is_no_output(wheel: Path) -> None:
    with pytest.raises(UsageError, match="never changed"):
        slim_wheel(WheelRequest(wheel, ONE, wheel.parent, NAME))


def test_other_compressions_are_copied_and_said(tmp_path: Path) -> None:
    methods = {
        "units/plain.bin": zipfile.ZIP_LZMA,
        "units/__init__.py": zipfile.ZIP_BZIP2,
        "units/units.so": zipfile.ZIP_STORED,
    }
    path = write_wheel(tmp_path / NAME, methods=methods)
    result = slim_wheel(WheelRequest(path, ONE, tmp_path / "out"))
    assert len(result.notes) == 2
    assert "not looked at" in result.notes[0]
    before, after = read_wheel(path), read_wheel(tmp_path / "out" / SLIM)
    assert after["units/plain.bin"] == before["units/plain.bin"]
    with zipfile.ZipFile(tmp_path / "out" / SLIM) as archive:
        assert archive.getinfo("units/plain.bin").compress_type == zipfile.ZIP_LZMA
        assert archive.getinfo("units/units.so").compress_type == zipfile.ZIP_DEFLATED


def test_a_file_that_record_does_not_have_gets_a_row(tmp_path: Path) -> None:
    files = contents()
    rows = "".join(f"{row(n, d)}\r\n" for n, d in files.items() if not n.endswith(".so"))
    path = write_wheel(tmp_path / NAME, files, record=f"{rows}{INFO}/RECORD,,\r\n".encode())
    record = read_wheel(slim(path))[f"{INFO}/RECORD"]
    assert record.count(b"\r\n") == record.count(b"\n")
    assert "units/units.so" in {one.path for one in read_record(record).files}


@pytest.mark.parametrize(
    "name",
    ["nvidia_cufft-1.0-py3-none-any.whl", "nvidia_nccl_cu12-1.0-py3-none-any.whl"],
)
def test_a_licence_that_forbids_it(tmp_path: Path, name: str) -> None:
    path = write_wheel(tmp_path / name, contents(name.partition("-")[0]))
    with pytest.raises(NotSlimmableError, match="licence"):
        slim(path)


def test_a_library_of_nvidias_that_another_project_carries(tmp_path: Path) -> None:
    carried = "units.libs/libcufft-d0da41ae.so.11.0"
    path = write_wheel(tmp_path / NAME, contents(extra={carried: library()}))
    result = slim_wheel(WheelRequest(path, ONE, tmp_path / "out"))
    left = {one.path: [why.code for why in one.left_alone] for one in result.libraries}
    assert left[carried] == ["licence"]
    assert left["units/units.so"] == []
    assert read_wheel(tmp_path / "out" / SLIM)[carried] == library()


def test_a_licence_by_the_name_in_the_metadata(tmp_path: Path) -> None:
    files = contents()
    files[f"{INFO}/METADATA"] = files[f"{INFO}/METADATA"].replace(b"units", b"nvidia-cufft")
    with pytest.raises(NotSlimmableError, match="licence"):
        slim(write_wheel(tmp_path / NAME, files))


def test_a_signature_and_a_variant(tmp_path: Path) -> None:
    signed = write_wheel(tmp_path / NAME, contents(extra={SIGNED: b"{}"}))
    with pytest.raises(NotSlimmableError, match="signed"):
        slim(signed)
    variant = write_wheel(tmp_path / NAME, contents(extra={f"{INFO}/variant.json": b"{}"}))
    with pytest.raises(NotSlimmableError, match="variant"):
        slim(variant)
    labelled = shutil.copyfile(variant, tmp_path / NAME.replace(".whl", "-cu129.whl"))
    with pytest.raises(NotSlimmableError, match="name"):
        slim(labelled)


def spoiled_stream(path: Path) -> bytes:
    """The wheel with zeros in the middle of its library's compressed bytes."""
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("units/units.so").header_offset + 200
    data = bytearray(path.read_bytes())
    data[at : at + 40] = bytes(40)
    return bytes(data)


def rows_of(files: dict[str, bytes]) -> bytes:
    return "".join(f"{row(name, data)}\n" for name, data in files.items()).encode()


def broken(path: Path, kind: str) -> None:
    """Break one thing of a wheel."""
    files = contents()
    records = {
        "record-hash": rows_of({name: data + b"x" for name, data in files.items()}),
        "record-lists-more": rows_of({**files, "units/lost.py": b""}),
        "record-is-none": b"\xff\xfe\n",
    }
    if kind in records:
        write_wheel(path, files, record=records[kind])
    elif kind == "climbs":
        write_wheel(path, {**files, "../up.py": b""})
    elif kind == "no-metadata":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("units/__init__.py", "")
    else:
        data = path.read_bytes()
        path.write_bytes(
            {
                "cut": data[: len(data) // 2],
                "crc": changed_crc(data, b"units/plain.bin"),
                "library-crc": changed_crc(data, b"units/units.so"),
                "deflate": spoiled_stream(path),
                "text": b"not a wheel at all" * 100,
            }[kind]
        )


def changed_crc(data: bytes, name: bytes) -> bytes:
    """The archive with other checksums for a member, in both of its headers."""
    out = bytearray(data)
    at = data.index(b"PK\3\4")
    while (found := data.find(name, at)) >= 0:
        if data[found - 30 : found - 26] == b"PK\3\4":
            out[found - 16] ^= 0xFF
        elif data[found - 46 : found - 42] == b"PK\1\2":
            out[found - 30] ^= 0xFF
        at = found + 1
    return bytes(out)


@pytest.mark.parametrize(
    "kind",
    [
        "cut",
        "crc",
        "library-crc",
        "deflate",
        "record-hash",
        "record-lists-more",
        "record-is-none",
        "climbs",
        "no-metadata",
        "text",
    ],
)
def test_broken_wheels_are_named_and_nothing_is_written(wheel: Path, kind: str) -> None:
    broken(wheel, kind)
    with pytest.raises(ArtifactUnreadableError, match=NAME):
        slim(wheel)
    out = wheel.parent / "out"
    assert not out.exists() or not [*out.iterdir()]


def test_a_member_that_claims_to_need_a_later_format(wheel: Path) -> None:
    data = bytearray(wheel.read_bytes())
    data[data.index(b"PK\1\2") + 6] = 95
    wheel.write_bytes(data)
    assert read_wheel(slim(wheel))["units/plain.bin"] == contents()["units/plain.bin"]


@pytest.mark.parametrize("size", [40, 200, 5000, -3000])
def test_a_malformed_library_is_copied_and_said(tmp_path: Path, size: int) -> None:
    """RECORD and checksums are right; the library is cut off."""
    bad = library()[:size]
    path = write_wheel(tmp_path / NAME, contents(extra={"units/cut.so": bad}))
    result = slim_wheel(WheelRequest(path, ONE, tmp_path / "out"))
    codes = {one.path: [left.code for left in one.left_alone] for one in result.libraries}
    assert read_wheel(tmp_path / "out" / SLIM)["units/cut.so"] == bad
    assert codes["units/units.so"] == []
    assert size == 40 or codes["units/cut.so"]


def test_a_wheel_that_was_written_wrong_gets_no_name(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that loses bytes: what is written is read again."""
    write = os.pwrite

    def lossy(handle: int, data: memoryview, offset: int) -> int:
        changed = bytearray(data)
        changed[len(changed) // 2] ^= 1
        return write(handle, changed, offset)

    monkeypatch.setattr(os, "pwrite", lossy)
    with pytest.raises(ArtifactUnreadableError):
        slim(wheel)
    assert not [*(wheel.parent / "out").iterdir()]


def test_the_library_is_what_it_is_by_itself(wheel: Path, tmp_path: Path) -> None:
    from sartor.slim.library.reduce import slim_library

    alone = tmp_path / "alone.so"
    alone.write_bytes(library())
    slim_library(alone, tmp_path / "slim.so", ONE)
    inside = read_wheel(slim(wheel))["units/units.so"]
    assert inside == (tmp_path / "slim.so").read_bytes()
