"""What the map's verdicts are called, the same on the page, in Markdown and in a terminal."""

from __future__ import annotations

import msgspec

from sartor.matrix.model import GRADES, MapGrade


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
ORDER: tuple[MapGrade, ...] = GRADES
CANNOT_LOAD: tuple[MapGrade, ...] = ("missing", "not-applicable", "no-device-code", "unknown")
EVIDENCE = (
    "Every verdict is read from the machine code in the package. Nothing was loaded, launched or "
    "measured for this map: it says what has code for a GPU and a driver, and what cannot run. "
    "What is not listed was not checked."
)
