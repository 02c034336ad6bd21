"""Names, RECORD, WHEEL and labels of slimmed wheels, and the pages of an index."""

from __future__ import annotations

import json
import re
from itertools import combinations

import pypi_simple  # noqa: F401 - urllib3 binds a socket where it is imported: not in a test
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.utils import parse_wheel_filename

from sartor.artifact.record import read_record
from sartor.artifact.source import BytesSource
from sartor.artifact.zip import ZipMembers
from sartor.remote.pages import local_page
from sartor.slim.choice import Wanted
from sartor.slim.wheel.archive import Writer, entries, without_zip64
from sartor.slim.wheel.name import build_tag, parse_name
from sartor.slim.wheel.pages import (
    Listed,
    MadeOf,
    ProjectPage,
    json_text,
    project_html,
    read_page,
    with_file,
)
from sartor.slim.wheel.texts import new_record, new_wheel, stored, variant_json, variant_label
from sartor.verdict.model import Target

GPUS = [Target(f"sm_{n}", f"{n // 10}.{n % 10}") for n in (75, 80, 86, 89, 90, 100, 103, 120, 121)]
WORD = st.text("abz019_.", min_size=1, max_size=8).filter(lambda t: t[0] not in "._")


def wanted(*numbers: int, keep_ptx: bool = False) -> Wanted:
    return Wanted(tuple(t for t in GPUS if int(t.gpu[3:]) in numbers), keep_ptx=keep_ptx)


@pytest.mark.parametrize(
    ("build", "asked", "tag"),
    [
        ("", wanted(90), "1sm90"),
        ("", wanted(90, 120), "1sm90.sm120"),
        ("", wanted(90, keep_ptx=True), "1sm90.ptx"),
        ("2", replace(wanted(90), retarget=True, compress=True), "2sm90.aot.packed"),
        ("2", wanted(90), "2sm90"),
        ("0cu129", wanted(90), "0cu129.sm90"),
    ],
)
def test_build_tags(build: str, asked: Wanted, tag: str) -> None:
    assert build_tag(build, asked) == tag


@given(st.lists(st.sampled_from(GPUS), min_size=1, unique=True), st.booleans(), st.booleans())
def test_names_are_those_of_wheels(gpus: list[Target], tagged: bool, keep_ptx: bool) -> None:
    source = f"some_project-1.0+cu130-{'3-' if tagged else ''}cp310-abi3-manylinux_2_28_x86_64.whl"
    parts = parse_name(source)
    tag = build_tag(parts.build, Wanted(tuple(gpus), keep_ptx))
    name = replace(parts, build=tag).text
    before, after = parse_wheel_filename(source), parse_wheel_filename(name)
    assert (before[0], before[1], before[3]) == (after[0], after[1], after[3])
    assert after[2] > before[2]
    assert parse_name(name).text == name


def test_labels_are_short_and_each_its_own() -> None:
    sets = [Wanted(c) for n in (1, 2, 3, 5) for c in combinations(GPUS, n)]
    labels = {variant_label(one) for one in sets}
    assert len(labels) == len(sets)
    assert all(re.fullmatch(r"[0-9a-z_.]{1,16}", label) for label in labels)
    document = json.loads(variant_json(wanted(90, 120)))
    assert document["variants"]["sm90.sm120"]["nvidia"]["sm_arch"] == ["90_real", "120_real"]


RECORD = b'a.py,sha256=x,1\r\n"b,c.so",sha256=y,2\r\nd.so,,\r\nx.dist-info/RECORD,,\r\n'


def test_rows_of_a_record() -> None:
    new = {"b,c.so": stored(b"new"), "x.dist-info/e.json": stored(b"{}")}
    lines = new_record(RECORD, "x.dist-info/RECORD", new).split(b"\r\n")
    assert lines[0] == b"a.py,sha256=x,1"
    assert lines[1].startswith(b'"b,c.so",sha256=')
    assert lines[1].endswith(b",3")
    assert lines[2] == b"d.so,,"
    assert lines[3].startswith(b"x.dist-info/e.json,sha256=")
    assert lines[4:] == [b"x.dist-info/RECORD,,", b""]


def test_a_record_without_its_own_row_or_its_last_newline() -> None:
    new = new_record(b"a.py,,\nb.so,,", "x/RECORD", {"b.so": stored(b"1"), "c": stored(b"2")})
    found = read_record(new)
    assert [one.path for one in found.files] == ["a.py", "b.so", "c"]
    assert not found.faults
    assert new.endswith(b"\n")


@given(st.dictionaries(WORD, st.binary(max_size=9), min_size=1), st.data())
def test_what_a_record_says(files: dict[str, bytes], data: st.DataObject) -> None:
    rows = "".join(f"{name},{stored(b'old' + what).row}\n" for name, what in files.items())
    chosen = data.draw(st.lists(st.sampled_from(sorted(files)), unique=True))
    changed = {name: stored(files[name]) for name in chosen}
    before = read_record(f"{rows}i/RECORD,,\n".encode())
    after = read_record(new_record(f"{rows}i/RECORD,,\n".encode(), "i/RECORD", changed))
    assert [one.path for one in after.files] == [one.path for one in before.files]
    for was, now in zip(before.files, after.files, strict=True):
        what = changed.get(was.path)
        assert (now.digest, now.size) == (
            (what.sha256, what.size) if what else (was.digest, was.size)
        )


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_build_line(end: bytes) -> None:
    wheel = end.join([b"Wheel-Version: 1.0", b"Tag: a", b"Tag: b", b""])
    once = new_wheel(wheel, "1sm80.sm90")
    assert once == wheel + b"Build: 1sm80.sm90" + end
    assert new_wheel(once, "1sm90") == wheel + b"Build: 1sm90" + end
    assert new_wheel(b"Tag: a", "1") == b"Tag: a\nBuild: 1\n"
    assert new_wheel(b"Generator: x\n", "1") == b"Generator: x\nBuild: 1\n"


def test_a_large_number_gets_its_zip64_field() -> None:
    """The headers alone: nobody writes 5 GB in a test."""

    class Sink:
        size = 5 << 30
        data = b""

        def write(self, data: bytes) -> None:
            self.data += data
            self.size += len(data)

        def patch(self, offset: int, data: bytes) -> None:
            at = offset - (5 << 30)
            self.data = self.data[:at] + data + self.data[at + len(data) :]

    import io
    import zipfile

    small = io.BytesIO()
    with zipfile.ZipFile(small, "w") as archive:
        archive.writestr("a.txt", b"text")
    source = BytesSource(small.getvalue(), "small")
    members, sink = ZipMembers(source), Sink()
    (entry,) = entries(source, members)
    writer = Writer(sink)
    writer.copy(entry, source, members)
    writer.add(entry, 6 << 30, [b"\0"], lambda: 7)
    writer.finish()

    class Far:
        name, size = "far", sink.size

        def read(self, offset: int, length: int) -> bytes:
            at = offset - (5 << 30)
            return sink.data[max(at, 0) : at + length].rjust(length, b"\0")

    first, second = ZipMembers(Far()).members
    assert (first.offset, first.size) == (5 << 30, 4)
    assert (second.size, second.compressed, second.crc) == (6 << 30, 1, 7)
    assert ZipMembers(Far()).data_at(second) > second.offset
    assert without_zip64(b"\1\0\2\0ab\x55\x54\1\0x") == b"\x55\x54\1\0x"


def listed(name: str, **more: object) -> Listed:
    return Listed(filename=name, url=name, hashes={"sha256": "0" * 64}, size=3, **more)  # type: ignore[arg-type]


def test_pages_say_the_same_in_html_and_json(tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = MadeOf(source="a", sha256="b", gpus=["sm_90"], keep_ptx=False, sartor="1")
    page = ProjectPage(name="some-project")
    first = "some_project-1.0-1sm90-py3-none-any.whl"
    second = "some_project-0.9-py3-none-any.whl"
    page = with_file(
        page,
        listed(
            first,
            requires_python=">=3.10,<4",
            yanked='broken <"x">',
            upload_time="2026-01-02T03:04:05Z",
            core_metadata={"sha256": "1" * 64},
            dist_info_metadata={"sha256": "1" * 64},
            made_of=made,
        ),
        "1.0",
    )
    page = with_file(page, listed(second), "0.9")
    assert with_file(page, page.files[1], "1.0") == page
    assert read_page(json_text(page)) == page
    assert page.versions == ["0.9", "1.0"]
    html = tmp_path / "index.html"
    html.write_bytes(project_html(page))
    old, new = local_page(html, "http://x/simple/some-project/", "some-project")
    assert (old.name, old.yanked, old.requires_python) == (second, None, None)
    assert (new.name, new.sha256, new.metadata_sha256) == (first, "0" * 64, "1" * 64)
    assert (new.yanked, new.requires_python) == ('broken <"x">', ">=3.10,<4")
    assert new.uploaded == "2026-01-02T03:04:05Z"
    assert json.loads(json_text(page))["files"][1]["_sartor"]["source"] == "a"
