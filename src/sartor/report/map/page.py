"""The map as one self-contained HTML page: a plain table, and with a script the answer to
*what runs on this GPU with this driver*."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sartor.matrix.model import GRADES, HAS_CODE
from sartor.report.map.pack import Packer, script_json
from sartor.report.map.words import EVIDENCE, WORDS, read_line, titles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.matrix.model import MapVerdict, MapWheel
    from sartor.matrix.shown import Shown

PLACE = re.compile(r"<!--(\w+)-->|%(\w+)%")
TITLE = "What runs on which GPU"


class Page:
    """The page of wheels that were judged for ``what.targets``, given one after the other."""

    def __init__(self, what: Shown) -> None:
        self._what = what
        self._packer = Packer(what.targets, what.step)
        self._packed: list[dict[str, Any]] = []
        self._rows: list[tuple[str, str]] = []
        self._read: list[tuple[str, int]] = []

    def add(self, wheel: MapWheel) -> None:
        """The next wheel."""
        self._packed.append(self._packer.wheel(wheel))
        self._rows.append((wheel.project, overview_row(wheel, self._what)))
        self._read.append((wheel.read_at[:10], wheel.reader))

    def text(self) -> str:
        """The whole page."""
        script = asset("map.js")
        parts = {
            "title": escape(TITLE),
            "style": asset("map.css"),
            "script": script,
            "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            "evidence": escape(EVIDENCE),
            "overview": overview(self._rows, self._what),
            "legend": legend(),
            "read": escape(read_line(self._read)),
            "data": script_json(self._data()),
        }
        return PLACE.sub(lambda match: parts[match[1] or match[2]], asset("map.html"))

    def _data(self) -> dict[str, Any]:
        what = self._what
        return {
            "grades": [[grade, WORDS[grade].sign, WORDS[grade].name] for grade in GRADES],
            "gpus": [gpu_data(what, number) for number in range(len(what.gpus))],
            "drivers": [[row.branch, row.cuda_max] for row in what.branches],
            "titles": titles(),
            "wheels": self._packed,
            **self._packer.tables(),
        }


def asset(name: str) -> str:
    """A file that lies beside this one."""
    return (resources.files("sartor.report.map") / name).read_text("utf-8")


def gpu_data(what: Shown, number: int) -> dict[str, Any]:
    """A GPU as the script wants it."""
    gpu, target = what.gpus[number], what.target(number)
    return {
        "id": gpu.gpu,
        "label": gpu.label,
        "group": gpu.group,
        "sm": target.gpu,
        "machine": target.machine,
    }


def overview(rows: Sequence[tuple[str, str]], what: Shown) -> str:
    """The table that is there without a script: wheels against GPUs, with any driver.

    ``rows`` are projects, each with the row of one wheel.
    """
    heads = "".join(
        f'<th scope="col" data-gpu="{escape(gpu.gpu)}"><span>{escape(gpu.label)}</span>'
        f"<small>{escape(what.target(number).gpu)}</small></th>"
        for number, gpu in enumerate(what.gpus)
    )
    bodies = []
    for project, group in groupby(rows, key=lambda row: row[0]):
        title = escape(titles().get(project, project))
        bodies.append(
            f'<tbody data-project="{escape(project)}"><tr class="project">'
            f'<th scope="rowgroup" colspan="{len(what.gpus) + 1}"><span>{title}</span></th></tr>'
            f"{''.join(text for _, text in group)}</tbody>"
        )
    return (
        '<table class="overview"><caption>Every wheel of the map on every GPU, with a driver that '
        "is new enough. The number is the oldest driver branch for all that the wheel has for that "
        "GPU.</caption>"
        f'<thead><tr><th scope="col">Wheel</th>{heads}</tr></thead>{"".join(bodies)}</table>'
    )


def overview_row(wheel: MapWheel, what: Shown) -> str:
    """One wheel of the overview."""
    machine = f" <small>{escape(wheel.machine)}</small>" if wheel.machine else ""
    cells = "".join(map(overview_cell, what.undriven(wheel)))
    newest = ' class="newest"' if wheel.is_newest else ""
    return (
        f'<tr{newest} data-machine="{wheel.machine or "any"}">'
        f'<th scope="row">{escape(wheel.version)}{machine}</th>{cells}</tr>'
    )


def overview_cell(verdict: MapVerdict) -> str:
    """A sign with its name for who does not see it, and the driver."""
    word = WORDS[verdict.verdict]
    driver = verdict.needs_driver if verdict.verdict in HAS_CODE else None
    small = f"<small>{driver}</small>" if driver else ""
    why = escape(f"{word.name}: {verdict.because}", quote=True)
    return (
        f'<td class="g {verdict.verdict}" title="{why}"><span aria-hidden="true">{word.sign}</span>'
        f'<span class="sr">{escape(word.name)}{", driver" if driver else ""}</span>{small}</td>'
    )


def legend() -> str:
    """What the signs mean."""
    return "".join(
        f'<div><dt><span class="pill {grade}"><span aria-hidden="true">{word.sign}</span> '
        f"{escape(word.name)}</span></dt><dd>{escape(word.meaning)}</dd></div>"
        for grade, word in WORDS.items()
    )
