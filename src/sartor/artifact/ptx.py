"""PTX text: its version, its target and its kernels. Linear in the text, whatever it holds."""

from __future__ import annotations

import re

import msgspec

from sartor.artifact.source import Invalid

# Comments and strings are alternatives of their own, which swallow what stands in them; each
# takes in its whole rest where it is not closed, so that no byte is looked at twice.
TOKEN = re.compile(
    rb"//[^\n]*"
    rb"|/\*[^*]*(?:\*(?!/)[^*]*)*(?:\*/)?"
    rb'|"[^"\n]*"?'
    rb"|\.version[ \t]{1,64}(\d{1,4}\.\d{1,4})"
    rb"|\.target[ \t]{1,64}((?:sm|compute)_\d{1,6}[af]?)"
    rb"|\.entry\s+([A-Za-z_$%][\w$]*)"
)
BEGINNING = re.compile(rb"(?>\s++|//[^\n]*+\n|/\*(?>[^*]|\*(?!/))*+\*/)*+\.version\s+\d")
MOST_KERNELS = 1 << 18
"""Of one text; they are held at once. Whole libraries have some 60,000."""
SNIFFED = 64 << 10
"""Comments at the top of a PTX file are some hundred bytes."""


class Ptx(msgspec.Struct, frozen=True):
    """What a text says of itself: ``.version``, ``.target`` (``sm_90a``), ``.entry`` names."""

    isa: str | None
    target: str | None
    kernels: list[str]


def looks_like_ptx(beginning: bytes) -> bool:
    """Whether a file that begins so is PTX: its first directive must be ``.version``."""
    return BEGINNING.match(beginning[:SNIFFED]) is not None


def read_ptx(text: bytes) -> Ptx:
    """The version, the target and the kernels of a PTX text; None and none where it has none.

    Raises `Invalid` where there are more than `MOST_KERNELS`.
    """
    isa, target, kernels = None, None, dict[str, None]()
    for token in TOKEN.finditer(text):
        match token.lastindex:
            case 1:
                isa = isa or token[1].decode()
            case 2:
                target = target or token[2].decode()
            case 3:
                if len(kernels) == MOST_KERNELS:
                    raise Invalid("PTX", token.start(), f"more than {MOST_KERNELS} kernels")
                kernels[token[3].decode("ascii", "backslashreplace")] = None
    return Ptx(isa, target, list(kernels))
