"""What the map's verdicts are called, the same on the page, in Markdown and in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor import facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.matrix.model import MapGrade


class Word(msgspec.Struct, frozen=True):
    """A verdict's sign, its name, what it means."""

    sign: str
    name: str
    meaning: str


WORDS: dict[MapGrade, Word] = {
    "native": Word("✓", "native", "machine code for this GPU, for all that its engine uses there"),
    "jit": Word(
        "↻", "compiled at first use", "nothing is missing; the driver compiles some PTX first"
    ),
    "partial": Word(
        "±", "in part", "the core has code for this GPU; some parts lack it, or were not checked"
    ),
    "unknown": Word("?", "not checked", "it could not be read, or how drivers treat it is open"),
    "missing": Word(
        "✕", "missing", "no code that this GPU and driver run, for the core or for all"
    ),
    "not-applicable": Word(
        "·", "not for it", "made for another processor, or its engine calls none of it there"
    ),
    "no-device-code": Word("∅", "no device code", "nothing in it runs on a GPU as it stands"),
}
GLANCE = (
    "Every version on every GPU, with a driver that is new enough: of each version the wheel for "
    "the processors beside that GPU. The number is the oldest driver branch for all that it has."
)
EVIDENCE = (
    "Every verdict is read from the machine code in the package. Nothing was loaded, launched or "
    "measured for this map: it says what has code for a GPU and a driver, and what cannot run. "
    "What is not listed was not checked."
)


def titles() -> dict[str, str]:
    """What distributions are called."""
    return {shown.name: shown.title for shown in facts.map_choice().project}


def read_line(read: Sequence[tuple[str, int]]) -> str:
    """When the wheels were read, and by which version of the readers; a day and that for each."""
    if not read:
        return "no wheel was read"
    days = sorted({day for day, _ in read})
    when = f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"
    readers = ", ".join(str(number) for number in sorted({reader for _, reader in read}))
    return f"{len(read)} wheels, read {when} by Sartor's readers, version {readers}"
