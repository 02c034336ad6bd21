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

from sartor import facts
from sartor.matrix.model import GRADES, HAS_CODE
from sartor.report.map.glance import Version
from sartor.report.map.pack import Packer, script_json
from sartor.report.map.words import EVIDENCE, GLANCE, WORDS, read_line, titles

if TYPE_CHECKING:
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
        self._versions: dict[tuple[str, str], Version] = {}
        self._read: list[tuple[str, int]] = []

    def add(self, wheel: MapWheel) -> None:
        """The next wheel."""
        self._packed.append(self._packer.wheel(wheel))
        key = wheel.project, wheel.version
        self._versions.setdefault(key, Version(self._what)).add(wheel)
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
            "overview": overview(self._versions, self._what),
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
            "machine": facts.map_choice().usual_machine,
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


def overview(versions: dict[tuple[str, str], Version], what: Shown) -> str:
    """The table that is there without a script: versions against GPUs, with any driver."""
    heads = "".join(
        f'<th scope="col"><span>{escape(gpu.label)}</span>'
        f"<small>{escape(what.target(number).gpu)}</small></th>"
        for number, gpu in enumerate(what.gpus)
    )
    bodies = []
    for project, group in groupby(versions, key=lambda key: key[0]):
        title = escape(titles().get(project, project))
        rows = "".join(overview_row(key[1], versions[key]) for key in group)
        bodies.append(
            f'<tbody data-project="{escape(project)}"><tr class="project">'
            f'<th scope="rowgroup" colspan="{len(what.gpus) + 1}"><span>{title}</span></th></tr>'
            f"{rows}</tbody>"
        )
    return (
        f'<table class="overview"><caption>{escape(GLANCE)}</caption>'
        f'<thead><tr><th scope="col">Version</th>{heads}</tr></thead>{"".join(bodies)}</table>'
    )


def overview_row(version: str, row: Version) -> str:
    """One version in the overview."""
    newest = ' class="newest"' if row.is_newest else ""
    cells = "".join(map(overview_cell, row.verdicts))
    return f'<tr{newest}><th scope="row">{escape(version)}</th>{cells}</tr>'


def overview_cell(verdict: MapVerdict | None) -> str:
    """A sign with its name for who does not see it, and the driver."""
    word = WORDS[verdict.verdict if verdict else "not-applicable"]
    sign = f'<span role="img" aria-label="{escape(word.name)}">{word.sign}</span>'
    needed = verdict.needs_driver if verdict and verdict.verdict in HAS_CODE else None
    small = f"<small>{needed}</small>" if needed else ""
    return f'<td class="{verdict.verdict if verdict else ""}">{sign}{small}</td>'


def legend() -> str:
    """What the signs mean."""
    return "".join(
        f'<div><dt><span class="pill {grade}"><span aria-hidden="true">{word.sign}</span> '
        f"{escape(word.name)}</span></dt><dd>{escape(word.meaning)}</dd></div>"
        for grade, word in WORDS.items()
    )
