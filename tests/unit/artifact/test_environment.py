"""Folders: what is wanted is found, nothing outside is, and nothing that could hang is opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sartor.artifact import environment
from sartor.artifact.environment import (
    FolderMembers,
    RecordAround,
    record_around,
    site_packages,
)
from sartor.artifact.members import matters
from sartor.artifact.model import NotRead
from sartor.artifact.source import FileSource, Invalid

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = b"\x7fELF library"


def put(path: Path, data: bytes = LIBRARY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def walked(members: FolderMembers) -> dict[str, bytes]:
    return {path: source.read(0, source.size) for path, source in members.walk(matters)}


def test_what_matters_is_found(tmp_path: Path) -> None:
    wanted = [
        "torch/lib/libtorch_cuda.so",
        "nvidia/cublas/lib/libcublas.so.13",
        "nvidia/cublas/lib/libcublas.so.13.0.2",
        "vllm/_C.abi3.so",
        "a/kernel.cubin",
        "a/kernel.fatbin",
        "a/kernel.ptx",
        "torch-2.11.0.dist-info/METADATA",
        "torch-2.11.0.dist-info/WHEEL",
        "torch-2.11.0.dist-info/RECORD",
    ]
    for path in [*wanted, "torch/__init__.py", "a/notes.so.txt", "a/.so", "METADATA", "a/libx.sow"]:
        put(tmp_path / path)
    members = FolderMembers(tmp_path)
    assert set(walked(members)) == set(wanted)
    assert members.not_read == []


def test_a_virtual_environment_is_its_site_packages(tmp_path: Path) -> None:
    put(tmp_path / "pyvenv.cfg", b"home = /usr/bin\n")
    put(tmp_path / "lib/python3.12/site-packages/a/a.so")
    put(tmp_path / "share/other/b.so")
    (tmp_path / "lib64").symlink_to("lib")
    assert site_packages(tmp_path) == ["lib/python3.12/site-packages"]
    assert list(walked(FolderMembers(tmp_path))) == ["lib/python3.12/site-packages/a/a.so"]


def test_lib64_of_its_own_is_walked_too(tmp_path: Path) -> None:
    put(tmp_path / "pyvenv.cfg", b"")
    put(tmp_path / "lib/python3.12/site-packages/a.so")
    put(tmp_path / "lib64/python3.12/site-packages/b.so")
    assert len(walked(FolderMembers(tmp_path))) == 2


def test_links_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "env"
    put(root / "libx.so.1")
    (root / "libx.so").symlink_to("libx.so.1")
    (root / "loop").symlink_to(".")
    (root / "up").symlink_to("..")
    (root / "ring.so").symlink_to("ring.so")
    put(tmp_path / "elsewhere/secret.so")
    (root / "out.so").symlink_to("../elsewhere/secret.so")
    (root / "folder").symlink_to("../elsewhere")
    (root / "unwanted.py").symlink_to("../elsewhere/secret.so")
    members = FolderMembers(root)
    assert list(walked(members)) == ["libx.so.1"]
    assert {(n.path, n.why) for n in members.not_read} == {
        ("out.so", "it is a symbolic link out of the folder"),
        ("folder", "it is a symbolic link to a folder elsewhere"),
        ("up", "it is a symbolic link to a folder elsewhere"),
    }


def test_special_files_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.so")
    os.mkfifo(tmp_path / "other.cubin")
    members = FolderMembers(tmp_path)
    assert walked(members) == {}
    assert {n.why for n in members.not_read} == {"it is not a regular file"}
    with pytest.raises(Invalid, match="not a regular file"):
        FileSource(tmp_path / "pipe.so")


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    put(tmp_path / "good.so")
    secret = put(tmp_path / "secret.so")
    closed = put(tmp_path / "closed/a.so").parent
    secret.chmod(0)
    closed.chmod(0)
    try:
        if os.access(secret, os.R_OK):
            pytest.skip("permissions do not bind this user")
        members = FolderMembers(tmp_path)
        assert list(walked(members)) == ["good.so"]
        assert {n.path for n in members.not_read} == {"secret.so", "closed"}
    finally:
        closed.chmod(0o700)


def test_a_name_that_cannot_be_printed_is_named(tmp_path: Path) -> None:
    put(tmp_path / "a\x1b[31m.so")
    (tmp_path / os.fsdecode(b"\xff.so")).write_bytes(LIBRARY)
    members = FolderMembers(tmp_path)
    assert walked(members) == {}
    assert {n.path for n in members.not_read} == {"a\\x1b[31m.so", "\\udcff.so"}


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(20):
        (tmp_path / f"{index}.so").symlink_to("/nowhere")
    monkeypatch.setattr(environment, "MOST_NOT_READ", 5)
    members = FolderMembers(tmp_path)
    assert walked(members) == {}
    assert len(members.not_read) == 6
    monkeypatch.setattr(environment, "MOST_FILES", 10)
    with pytest.raises(Invalid, match="more than 10 files"):
        walked(FolderMembers(tmp_path))


def test_the_order_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("b/z.so", "a/y.so", "c.so", "a/b/x.so"):
        put(tmp_path / name)
    assert list(walked(FolderMembers(tmp_path))) == ["c.so", "a/y.so", "a/b/x.so", "b/z.so"]


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    for name in ("a.so", "b.so"):
        put(tmp_path / name)
    members = FolderMembers(tmp_path)
    found = []
    for path, _ in members.walk(matters):
        found.append(path)
        (tmp_path / "b.so").unlink(missing_ok=True)
    assert found == ["a.so"]
    assert [n.path for n in members.not_read] == ["b.so"]


SITE = "lib/python3.12/site-packages"
RECORD = "sartor-slim/slimmed.json"


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "conda-meta/history"])
def test_the_record_of_an_environment_is_found_from_inside(tmp_path: Path, mark: str) -> None:
    put(tmp_path / mark, b"")
    library = put(tmp_path / SITE / "a/a.so")
    (tmp_path / "lib64").symlink_to("lib")
    assert record_around(tmp_path / SITE) is None
    put(tmp_path / RECORD, b"told")
    found = RecordAround("../../../sartor-slim", SITE, b"told")
    assert record_around(tmp_path / SITE) == found
    assert record_around(tmp_path / SITE.replace("lib", "lib64", 1)) == found
    inside = RecordAround("../../../../sartor-slim", f"{SITE}/a", b"told")
    assert record_around(library.parent) == inside
    assert record_around(tmp_path) is None
    assert record_around(tmp_path.parent) is None


def test_the_record_of_another_environment_is_not_taken(tmp_path: Path) -> None:
    put(tmp_path / "pyvenv.cfg", b"")
    put(tmp_path / RECORD, b"told")
    put(tmp_path / "project/own/pyvenv.cfg", b"")
    put(tmp_path / "project/own" / SITE / "a.so")
    assert record_around(tmp_path / "project/own" / SITE) is None
    assert record_around(tmp_path / "project/own") is None
    assert record_around(tmp_path / "project") is not None


def test_a_record_around_that_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "pyvenv.cfg", b"")
    put(tmp_path / SITE / "a.so")
    put(tmp_path / "elsewhere.json", b"told")
    (tmp_path / "sartor-slim").mkdir()
    (tmp_path / RECORD).symlink_to(tmp_path / "elsewhere.json")
    assert record_around(tmp_path / SITE) is None
    (tmp_path / RECORD).unlink()
    put(tmp_path / RECORD, b"told")
    monkeypatch.setattr(environment, "MOST_TEXT", 3)
    found = record_around(tmp_path / SITE)
    assert found == NotRead("../../../sartor-slim/slimmed.json", "4 bytes of metadata")
