"""What distributions declare, as it occurs and as nobody should write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.artifact import metadata
from sartor.artifact.metadata import headers, read_package, recorded_path

if TYPE_CHECKING:
    from sartor.artifact.model import NotRead

METADATA = b"""Metadata-Version: 2.1
Name: SGL_Kernel
Version: 0.3.21
Requires-Dist: torch (==2.9.1)
Requires-Dist: numpy
 >=1.20
Requires-Python: >=3.10

Name: in the description
"""
WHEEL = b"Wheel-Version: 1.0\nTag: cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64\n"
RECORD = b"""sgl_kernel/__init__.py,sha256=x,10
sgl_kernel/ops.abi3.so,sha256=x,10
"sgl_kernel/a,b.so.1",sha256=x,10
../../../bin/tool.so,,
/etc/evil.so,,
sgl_kernel/note.sofa,,
sgl_kernel/k.cubin,,
"""


def test_metadata_wheel_and_record_make_a_package() -> None:
    folder = "lib/python3.12/site-packages/sgl_kernel-0.3.21.dist-info"
    reading = read_package(folder, METADATA, WHEEL, RECORD)
    package = reading.package
    assert (package.name, package.version, package.path) == ("sgl-kernel", "0.3.21", folder)
    assert package.requires == ["torch (==2.9.1)", "numpy >=1.20"]
    assert package.requires_python == ">=3.10"
    assert package.tags == ["cp310-abi3-manylinux_2_17_x86_64", "cp310-abi3-manylinux2014_x86_64"]
    root = "lib/python3.12/site-packages/sgl_kernel"
    own = [f"{root}/ops.abi3.so", f"{root}/a,b.so.1", "bin/tool.so", f"{root}/k.cubin"]
    assert package.libraries == own
    assert reading.not_read == []


def test_a_file_name_has_tags_of_its_own() -> None:
    name = "sgl_kernel-0.3.21-cp310-abi3-manylinux2014_x86_64.whl"
    assert read_package("x.dist-info", METADATA, file_name=name).package.file_tags == [
        "cp310-abi3-manylinux2014_x86_64"
    ]
    odd = read_package("x.dist-info", METADATA, b"", b"", file_name="sgl.whl")
    assert [note.path for note in odd.not_read] == ["sgl.whl"]


def test_the_folder_names_what_the_metadata_does_not() -> None:
    reading = read_package("a/Some_Thing-1.2.dist-info", None, None, b"")
    assert (reading.package.name, reading.package.version) == ("some-thing", "1.2")
    assert [note.why for note in reading.not_read] == ["there is no METADATA in it"]


@pytest.mark.parametrize(
    ("files", "globs", "compiler"),
    [
        (b"vllm/triton_utils/__init__.py,,\n", ["vllm/triton_utils/__init__.py"], "triton"),
        (b"vllm/_C.abi3.so,,\n", [], None),
    ],
)
def test_files_that_facts_speak_of_are_kept(
    files: bytes, globs: list[str], compiler: str | None
) -> None:
    text = b"Name: vllm\nVersion: 0.25.1\n"
    package = read_package("vllm-0.25.1.dist-info", text, WHEEL, files).package
    assert package.fact_files == globs
    assert package.compilers == ([compiler] if compiler else [])


def test_what_cannot_be_used_is_said() -> None:
    reading = read_package("a-1.dist-info", b"Name: a\nVersion: \xff\n", b"Tag: odd\n", None)
    whys = "\n".join(note.why for note in reading.not_read)
    assert "is no version" in whys
    assert "`odd` is no tag" in whys
    assert "no RECORD" in whys


def test_tags_and_headers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    many = b"Tag: " + b".".join(b"py%d" % n for n in range(2000)) + b"-none-any\n"
    reading = read_package("a-1.dist-info", METADATA, many, b"")
    assert reading.package.tags == []
    assert [note.why for note in reading.not_read] == ["more than 1000 tags"]
    monkeypatch.setattr(metadata, "MOST_HEADERS", 2)
    notes: list[NotRead] = []
    assert headers(b"A: 1\nB: 2\nC: 3\n", "here", notes) == {"a": ["1"], "b": ["2"]}
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("a/b.so,sha256=x,1\r\n", "a/b.so"),
        ('"a,b.so",sha256=x,1', "a,b.so"),
        ('"a""b.so",,', 'a"b.so'),
        ("a.so", "a.so"),
        ("", ""),
    ],
)
def test_a_line_of_a_record_begins_with_a_path(line: str, path: str) -> None:
    assert recorded_path(line) == path


@given(st.binary(max_size=400), st.binary(max_size=400), st.binary(max_size=400), st.text())
def test_any_bytes_make_a_package(text: bytes, wheel: bytes, record: bytes, name: str) -> None:
    package = read_package("a-1.dist-info", text, wheel, record, file_name=name).package
    assert not any(path.startswith(("/", "../")) for path in package.libraries)
