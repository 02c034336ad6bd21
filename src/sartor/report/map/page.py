"""The map as one self-contained HTML page: a plain table, and with a script the answer to
*what runs on this GPU with this driver*."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from sartor import facts
from sartor.matrix.support import map_target
from sartor.report.map.pack import Packer, script_json
from sartor.report.map.words import EVIDENCE, ORDER, WORDS
from sartor.verdict.targets import Asked, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sartor.facts import DriverBranchFact, ShownGpu
    from sartor.host.model import Host
    from sartor.matrix.model import MapTarget, MapVerdict, MapWheel

PLACE = re.compile(r"<!--(\w+)-->|%(\w+)%")
TITLE = "What runs on which GPU"


class Shown(NamedTuple):
    """What a map shows: GPUs, driver branches, and a target for each GPU without a driver stated
    and with each branch."""

    gpus: list[ShownGpu]
    branches: list[DriverBranchFact]
    targets: list[MapTarget]

    @property
    def step(self) -> int:
        """How many targets each GPU has."""
        return 1 + len(self.branches)

    def target(self, gpu: int) -> MapTarget:
        """A GPU without a driver."""
        return self.targets[gpu * self.step]

    def stated(self, wheel: MapWheel) -> list[MapVerdict]:
        """A wheel's verdicts for GPUs without a driver."""
        return wheel.verdicts[:: self.step]


def shown() -> Shown:
    """What the published map shows, by `facts.map_choice`."""
    choice = facts.map_choice()
    branches = [b for b in facts.driver_branches() if b.branch >= choice.first_driver_branch]
    targets = [
        map_target(target)
        for gpu in choice.gpu
        for driver in (None, *branches)
        for target in resolve(
            Asked(gpus=[gpu.gpu], driver=str(driver.branch) if driver else None), _no_machine
        ).gpus
    ]
    return Shown(choice.gpu, branches, targets)


def _no_machine() -> Host:
    raise AssertionError("every GPU of the map is named")


def map_page(wheels: Iterable[MapWheel], what: Shown) -> str:
    """The page for wheels that were judged for ``what.targets``."""
    packer = Packer(what.targets, what.step)
    packed, rows, dates = [], [], []
    for wheel in wheels:
        packed.append(packer.wheel(wheel))
        rows.append((wheel, overview_row(wheel, what)))
        dates.append((wheel.read_at[:10], wheel.reader))
    titles = {shown.name: shown.title for shown in facts.map_choice().project}
    data = {
        "grades": [[grade, WORDS[grade].sign, WORDS[grade].name] for grade in ORDER],
        "gpus": [gpu_data(what, number) for number in range(len(what.gpus))],
        "drivers": [[row.branch, row.cuda_max] for row in what.branches],
        "titles": titles,
        "wheels": packed,
        **packer.tables(),
    }
    script = asset("map.js")
    parts = {
        "title": escape(TITLE),
        "style": asset("map.css"),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "evidence": escape(EVIDENCE),
        "overview": overview(rows, what, titles),
        "legend": legend(),
        "read": escape(dates_line(dates)),
        "data": script_json(data),
    }
    return PLACE.sub(lambda match: parts[match[1] or match[2]], asset("map.html"))


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


def overview(rows: Sequence[tuple[MapWheel, str]], what: Shown, titles: dict[str, str]) -> str:
    """The table that is there without a script: wheels against GPUs, with any driver."""
    heads = "".join(
        f'<th scope="col" data-gpu="{escape(gpu.gpu)}"><span>{escape(gpu.label)}</span>'
        f"<small>{escape(what.target(number).gpu)}</small></th>"
        for number, gpu in enumerate(what.gpus)
    )
    bodies = []
    for project, group in groupby(rows, key=lambda row: row[0].project):
        title = escape(titles.get(project, project))
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
    cells = "".join(map(overview_cell, what.stated(wheel)))
    newest = ' class="newest"' if wheel.is_newest else ""
    return (
        f'<tr{newest} data-machine="{wheel.machine or "any"}">'
        f'<th scope="row">{escape(wheel.version)}{machine}</th>{cells}</tr>'
    )


def overview_cell(verdict: MapVerdict) -> str:
    """A sign with its name for who does not see it, and the driver."""
    word = WORDS[verdict.verdict]
    driver = verdict.needs_driver if verdict.verdict in {"native", "jit", "partial"} else None
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


def dates_line(dates: Sequence[tuple[str, int]]) -> str:
    """When the wheels were read, and by which version of the readers."""
    if not dates:
        return "no wheel was read"
    days = sorted({day for day, _ in dates})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    readers = ", ".join(str(n) for n in sorted({reader for _, reader in dates}))
    return f"{len(dates)} wheels, read {when} by Sartor's readers, version {readers}"
