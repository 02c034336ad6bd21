"""The names of GPUs: as people write them, as NVML reports them, as the facts know them."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from sartor import facts
from sartor.errors import closest

if TYPE_CHECKING:
    from sartor.facts import GpuFact

BRAND = "nvidia"
ALIKE = 0.75  # names of GPUs are short, and half of every one is the same
OTHER_MAKERS = re.compile(
    r"\b(?:amd|ati|radeon|instinct|firepro|vega|rx(?:\d{3,4}\w*)?|mi\d{2,3}[a-z]?|w[67]\d00"
    r"|intel|arc|iris|uhd|gaudi\d?|a(?:3[157]0|380|550|580|730|750|770)m?|b5[78]0)\b"
)
BEFORE_PASCAL = re.compile(
    r"\b(?:fermi|kepler|maxwell|k\d{1,4}[a-z]?|m(?:6|10|40|60)|m\d{3,4}m?"
    r"|gt[xs]?-?[2-9]\d\d(?:m|mx|ti)?|9[1-9]0(?:m|mx|ti)?|gtx-titan.*|titan-(?:black|z)"
    r"|jetson-(?:nano(?!-super)|tx1|tk1)|tegra-(?:k1|x1))\b"
)


def slug(text: str) -> str:
    """``text`` in the spelling of the facts' ids: ``NVIDIA RTX_5090`` is ``rtx-5090``.

    Lower case; every run of anything but letters and digits is one hyphen; a leading ``nvidia``
    goes unless it is all there is. Idempotent.
    """
    words = re.findall(r"[a-z0-9]+", text.lower())
    while len(words) > 1 and words[0] == BRAND:
        words.pop(0)
    return "-".join(words)


def spellings(row: GpuFact) -> list[str]:
    """Every slug that means this product."""
    return [row.id, *row.aliases, slug(row.name)]


def gpu_fact(name: str, memory_bytes: int | None = None) -> GpuFact | None:
    """The facts' row for a name; None where there is none.

    A name exactly as NVML reports it comes first; several products may share one (memory sizes,
    laptop parts): the one nearest to ``memory_bytes``, else the first. Then ids and aliases, then
    the same without regard to hyphens (``rtx5090``). A size can pick the product, too: ``a100``
    with 40 GiB is what ``a100-40gb`` means.
    """
    exact = [row for row in facts.gpus() if row.name == name]
    if exact:
        return nearest_by_memory(exact, memory_bytes)
    wanted = slug(name)
    sized = f"{wanted}-{memory_bytes / 2**30:.0f}gb" if memory_bytes else wanted
    return by_spelling(sized) or by_spelling(wanted) or by_letters(wanted)


def nearest_by_memory(rows: list[GpuFact], memory_bytes: int | None) -> GpuFact:
    """The row whose memory comes nearest to ``memory_bytes``; the first where that is unknown."""
    if memory_bytes is None:
        return rows[0]
    gib = memory_bytes / 2**30
    return min(rows, key=lambda row: abs(row.memory_gb - gib))


def by_spelling(wanted: str) -> GpuFact | None:
    """The row with this id or alias; failing that, with this name."""
    return rows_by_spelling().get(wanted)


def by_letters(wanted: str) -> GpuFact | None:
    """The row one of whose spellings has the same letters and digits."""
    return rows_by_letters().get(wanted.replace("-", ""))


@cache
def rows_by_spelling() -> dict[str, GpuFact]:
    """Id, alias or slug of a name → its row; an id comes before a name, an earlier row first."""
    rows = facts.gpus()
    by_id = {text: row for row in reversed(rows) for text in (row.id, *row.aliases)}
    return {slug(row.name): row for row in reversed(rows)} | by_id


@cache
def rows_by_letters() -> dict[str, GpuFact]:
    """A spelling without its hyphens → the first row that has it."""
    rows = reversed(facts.gpus())
    return {text.replace("-", ""): row for row in rows for text in spellings(row)}


def closest_gpus(name: str) -> list[str]:
    """The ids that ``name`` was probably meant to be, best first."""
    by_spelling = {s: row.id for row in reversed(facts.gpus()) for s in spellings(row)}
    near = closest(slug(name), by_spelling, most=6, cutoff=ALIKE)
    return list(dict.fromkeys(by_spelling[s] for s in near))[:3]


def why_unknown(name: str) -> str | None:
    """Why a name that the facts do not hold is none of theirs; None where it may be a slip."""
    wanted = slug(name)
    if OTHER_MAKERS.search(wanted):
        return "Sartor knows NVIDIA GPUs only"
    if BEFORE_PASCAL.search(wanted):
        return "older than Pascal"
    return None
