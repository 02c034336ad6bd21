"""The published map: the page that is committed says, cell by cell, what the tool says."""

from __future__ import annotations

import json
import random
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sartor.evidence.snapshot import open_snapshot
from sartor.matrix.model import GRADES, MapWheel
from sartor.matrix.shown import Shown, shown
from sartor.matrix.support import map_wheels
from sartor.report.inspection_features import of_any_gpu, reason_texts
from sartor.report.map.markdown import Markdown
from sartor.report.map.pack import runs
from sartor.report.map.page import Page
from sartor.report.map.words import WORDS

DOCS = Path(__file__).parents[3] / "docs"
COMMAND = "to make page and tool agree: python tools/make_docs.py"
SEED = 20261121


@cache
def page() -> str:
    return (DOCS / "map.html").read_text("utf-8")


@cache
def data() -> dict[str, Any]:
    match = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page(), re.DOTALL
    )
    assert match
    found: dict[str, Any] = json.loads(match[1])
    return found


@cache
def what() -> Shown:
    return shown()


@cache
def judged() -> list[MapWheel]:
    """Some wheels, judged now for all GPUs and drivers."""
    snapshot = open_snapshot()
    assert snapshot is not None
    with snapshot:
        rows = list(snapshot.rows())
    some = random.Random(SEED).sample(rows, 10)  # noqa: S311
    return list(map_wheels(some, what().targets))


def at(run: list[int], place: int) -> int:
    """The value for a driver, written anew from what `Packer.tables` says of runs."""
    expanded = [
        value for value, times in zip(run[::2], run[1::2], strict=True) for _ in range(times)
    ]
    assert len(expanded) == what().step
    return expanded[place]


def text(number: int) -> str | None:
    return data()["texts"][number - 1] if number else None


def test_the_page_has_the_wheels_of_the_snapshot() -> None:
    snapshot = open_snapshot()
    assert snapshot is not None
    with snapshot:
        kept = {row.sha256: row for row in snapshot.rows(documents=False) if row.kind == "wheel"}
    listed = {wheel["sha256"]: wheel for wheel in data()["wheels"]}
    assert set(listed) == set(kept), COMMAND
    for sha256, wheel in listed.items():
        row = kept[sha256]
        assert (wheel["file"], wheel["size"], wheel["read"]) == (
            row.name,
            row.size,
            row.read_at[:10],
        ), COMMAND


@pytest.mark.parametrize("number", range(10))
def test_every_cell_of_a_wheel_is_what_the_tool_says(number: int) -> None:
    """On every GPU, with every driver and with none: the wheel's verdict and each part's."""
    wheel, found = judged()[number], data()
    packed = next(one for one in found["wheels"] if one["sha256"] == wheel.sha256)
    for index, verdict in enumerate(wheel.verdicts):
        gpu, driver = divmod(index, what().step)
        target = what().targets[index]
        head, *cells = found["grids"][packed["on"][gpu]]
        grade, why, score, needs = found["heads"][at(found["runs"][head], driver)]
        assert (GRADES[grade], score, needs) == (
            verdict.verdict,
            verdict.score,
            verdict.needs_driver or 0,
        ), COMMAND
        assert text(why) == of_any_gpu(verdict.because, target), COMMAND
        assert len(cells) == len(verdict.parts)
        for place, (cell, part) in enumerate(zip(cells, verdict.parts, strict=True)):
            mine, own_needs, note, *reasons = found["cells"][at(found["runs"][cell], driver)]
            assert packed["parts"][place] == part.name, COMMAND
            assert (GRADES[mine], own_needs) == (part.verdict, part.needs_driver or 0), COMMAND
            assert text(note) == part.note, COMMAND
            said = reason_texts(part, target)
            assert len(said) == len(reasons)
            for whole, short in zip(said, reasons, strict=True):
                assert whole.endswith(str(text(short))), COMMAND


def test_made_anew_it_is_made_the_same() -> None:
    """Page and Markdown depend on nothing but the rows and the facts."""
    made = []
    for _ in range(2):
        own, markdown = Page(what()), Markdown(what())
        for wheel in judged()[:2]:
            own.add(wheel)
            markdown.add(wheel)
        made.append((own.text(), markdown.text()))
    assert made[0] == made[1]


def test_runs() -> None:
    assert runs([]) == ()
    assert runs([7, 7, 9]) == (7, 2, 9, 1)


class Reader(HTMLParser):
    """Tags that are open, addresses, and what the overview's cells are called."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.labels: list[str] = []
        self.columns: set[int] = set()
        self._cells = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.addresses += [str(own[key]) for key in ("src", "href", "action") if key in own]
        if tag not in {"meta", "input", "br", "link"}:
            self.open.append(tag)
        if own.get("role") == "img":
            self.labels.append(str(own.get("aria-label")))
        if tag == "tr":
            self._cells = 0
        if tag == "td":
            self._cells += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "tr" and self._cells:
            self.columns.add(self._cells)


def test_the_page_stands_alone() -> None:
    """It asks nobody for anything, closes what it opens, and is a plain table without a script."""
    reader = Reader()
    reader.feed(page())
    assert reader.open == []
    assert set(reader.addresses) == {"#result", "map.md"}
    assert not re.search(r"https?:|url\(|@import|<link|<img|<iframe", page())
    assert "default-src 'none'" in page()
    assert len(page().encode()) < 1_000_000
    assert reader.columns == {len(what().gpus)}
    assert set(reader.labels) <= {word.name for word in WORDS.values()}
    versions = {(wheel["project"], wheel["version"]) for wheel in data()["wheels"]}
    assert len(reader.labels) == len(versions) * len(what().gpus)


def test_names_of_packages_are_text_alone() -> None:
    """What a wheel is called cannot leave its place in the page."""
    hostile = "</script><script>alert(1)</script><!--data-->%data%"
    wheel = MapWheel(
        project=hostile,
        version=hostile,
        machine=None,
        file=hostile,
        sha256="0" * 64,
        size=1,
        read_at="2026-11-20T00:00:00Z",
        reader=1,
        is_current=True,
        extent="complete",
        is_newest=True,
    )
    own = Page(what())
    own.add(wheel)
    assert own.text().count("</script>") == 2
    assert "<script>alert" not in own.text()


def test_markdown_is_the_same_map() -> None:
    """The rows of *at a glance* are as many as versions, all of one width."""
    markdown = (DOCS / "map.md").read_text("utf-8")
    glance = markdown.partition("## Everything at a glance")[2].partition("## ")[0]
    rows = [line for line in glance.splitlines() if line.startswith("| ")][1:]
    versions = {(wheel["project"], wheel["version"]) for wheel in data()["wheels"]}
    assert len(rows) == len(versions), COMMAND
    assert {line.count("|") for line in rows} == {len(what().gpus) + 2}
