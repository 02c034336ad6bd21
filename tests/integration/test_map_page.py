"""The published map in a real browser: two clicks, and what then stands there is what the tool says
of the wheels themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browser import NEEDED, Page, find_chromium
from wheels import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs/map.html"
DESKTOP = (1280, 900)
PHONE = (390, 844)
RTX_5090 = 'label:has(input[value="rtx-5090"])'
DRIVER_570 = 'label:has(input[value="570"])'
ANSWER = "document.getElementById('result').hidden === false"
WHEELS = """[...document.querySelectorAll('.wheel')].map(w =>
    [w.dataset.sha256, w.dataset.grade, w.closest('.engine').dataset.project])"""
PARTS = """[...document.querySelectorAll('.wheel[open] [data-part]')].map(p =>
    [p.dataset.part, p.dataset.grade])"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    """A Chromium; without one nothing here was looked at, which is said loudly."""
    program = find_chromium()
    if program is None:
        pytest.skip(f"DID NOT RUN: no Chromium on this machine looks at the map: {NEEDED}")
    with Page(program) as opened:
        yield opened
        assert opened.errors == []
        assert [url for url in opened.requests if not url.startswith(("file:", "about:"))] == []


@cache
def sartor(*words: str) -> Any:
    """What `sartor` prints as JSON where nothing but the snapshot is known."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", "sartor", *words, "--json"],
            capture_output=True,
            check=True,
            env={**os.environ, "SARTOR_HOME": home},
        )
    return json.loads(done.stdout)


def all_shown(tab: Page) -> None:
    """Press every *show all*."""
    tab.ask("document.querySelectorAll('.more').forEach(b => b.click())")


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_two_clicks(tab: Page, width: tuple[int, int]) -> None:
    """GPU and driver are pressed where they stand, and the best of each engine comes first."""
    tab.size(*width, phone=width == PHONE)
    tab.open(FILE)
    assert not tab.ask(ANSWER)
    tab.click(RTX_5090)
    tab.click(DRIVER_570)
    assert tab.ask(ANSWER)
    assert tab.ask("location.hash") == "#gpu=rtx-5090&driver=570"
    assert tab.ask("document.querySelector('#result h2').innerText") == "RTX 5090 with driver 570"
    assert tab.ask("document.scrollingElement.scrollWidth") == width[0]
    seen = tab.ask("document.querySelector('#result h2').getBoundingClientRect().top")
    assert 0 <= seen < width[1]
    all_shown(tab)
    said = sartor("evidence", "map", "--gpu", "rtx-5090", "--driver", "570")
    mine = {
        one["sha256"]: one["verdicts"][0]
        for one in said["wheels"]
        if one["machine"] in {None, "x86_64"}
    }
    found = tab.ask(WHEELS)
    assert {sha256: grade for sha256, grade, _ in found} == {
        sha256: verdict["verdict"] for sha256, verdict in mine.items()
    }
    for project in {project for _, _, project in found}:
        scores = [mine[sha256]["score"] for sha256, _, own in found if own == project]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("requirement", "gpu", "driver"),
    [
        ("bitsandbytes==0.50.2", "rtx-5090", "570"),
        ("bitsandbytes==0.50.2", "gtx-1080-ti", "580"),
        ("vllm==0.25.1", "rtx-5090", "580"),
        ("vllm==0.25.1", "t4", "595"),
        ("vllm==0.25.1", "b300", "570"),
    ],
)
def test_the_page_says_what_inspect_reads_in_the_wheel(
    tab: Page, requirement: str, gpu: str, driver: str
) -> None:
    """Feature by feature, against the wheel's own bytes, read now and not out of any store."""
    file = wheel(requirement)
    read = sartor("inspect", str(file), "--gpu", gpu, "--driver", driver, "--no-store")
    tab.size(*DESKTOP)
    tab.open(FILE, f"gpu={gpu}&driver={driver}")
    all_shown(tab)
    assert tab.ask(f"Boolean(document.querySelector('[data-sha256=\"{read['sha256']}\"]'))")
    tab.click(f'[data-sha256="{read["sha256"]}"] > summary')
    tab.wait("document.querySelector('.wheel[open] .detail') !== null")
    assert dict(tab.ask(PARTS)) == {one["name"]: one["verdict"] for one in read["features"]}


def test_by_keyboard(tab: Page) -> None:
    """Without a mouse: the arrows choose a GPU, Tab leads on to the driver."""
    tab.size(*DESKTOP)
    tab.open(FILE)
    tab.ask("document.querySelector('input[name=gpu]').focus()")
    tab.key(" ", 32)
    tab.key("ArrowRight", 39)
    first, second = tab.ask("[...document.querySelectorAll('[name=gpu]')].map(i => i.value)")[:2]
    assert first != second
    assert tab.ask("document.querySelector('input[name=gpu]:checked').value") == second
    assert tab.ask("location.hash") == f"#gpu={second}"
    tab.key("Tab", 9)
    assert tab.ask("document.activeElement.name") == "driver"


def test_a_link_leads_to_its_answer(tab: Page) -> None:
    """With a state in it; one that is nonsense, or is none of this page, does no harm."""
    tab.size(*DESKTOP)
    tab.open(FILE, "gpu=gb10&driver=580&engine=vllm&newest=1")
    assert tab.ask("document.getElementById('machine').value") == "aarch64"
    assert tab.ask("document.getElementById('machine').disabled")
    found = tab.ask(WHEELS)
    assert found
    assert {project for _, _, project in found} == {"vllm"}
    by_sha = {one["sha256"]: one for one in sartor("evidence", "map", "--gpu", "gb10")["wheels"]}
    assert all(by_sha[sha256]["machine"] == "aarch64" for sha256, _, _ in found)
    assert all(by_sha[sha256]["is_newest"] for sha256, _, _ in found)
    tab.open(FILE, "gpu=%3Cscript%3E&driver=12&engine=..&machine=vax")
    assert not tab.ask(ANSWER)


def test_without_a_script_it_is_a_table(tab: Page) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(FILE)
        shown = "getComputedStyle(document.querySelector('{}')).display"
        assert tab.ask(shown.format("#ask")) == "none"
        assert tab.ask(shown.format(".overview")) == "table"
        assert tab.ask("document.querySelectorAll('.overview tbody tr:not(.project)').length") > 10
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
