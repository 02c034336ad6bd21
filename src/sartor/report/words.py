"""Words for tables: names cut short, lines wrapped, what a terminal would obey left out."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_LETTERS = 2000
"""Of one text from a package; a name there can have any length."""


MODULE_TAG = re.compile(r"\.(?:abi3|cpython-[0-9]{2,3}[a-z]*(?:-[0-9a-z_-]{1,40})?)\.so$")


def clean(text: str) -> str:
    """One line of at most `MOST_LETTERS`, without what a terminal would obey."""
    text = cut(" ".join(text.split()), MOST_LETTERS)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def cut(text: str, most: int) -> str:
    """At most ``most`` characters, with ``...`` at the end of what was cut."""
    return text if len(text) <= most else f"{text[: max(most - 3, 0)]}..."


def cut_middle(text: str, most: int) -> str:
    """At most ``most`` characters; the end says more than the beginning."""
    if len(text) <= most:
        return text
    tail = (most - 3) * 2 // 3
    return f"{text[: most - 3 - tail]}...{text[-tail:]}"


def wrapped(first: str, text: str, width: int, *, hang: int | None = None) -> list[str]:
    """``text`` after ``first``; its further lines are below it, or ``hang`` from the left."""
    lines = textwrap.wrap(
        clean(text),
        max(width, len(first) + 20),
        initial_indent=first,
        subsequent_indent=" " * (len(first) if hang is None else hang),
        break_on_hyphens=False,
    )
    return lines or [first.rstrip()]


def few(words: Sequence[str], most: int) -> str:
    """The first words, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return f"{', '.join(words[:most])}{more}"


def short_paths(paths: Sequence[str], most: int) -> list[str]:
    """Each path by as many of its last parts as tell it from the others.

    What only says which interpreter loads a module is left out (``_C.abi3.so`` is ``_C.so``),
    unless that alone tells it from another.
    """
    whole = [clean(path) for path in paths]
    plain = [MODULE_TAG.sub(".so", path) for path in whole]
    times = Counter(plain)
    parts = [(p if times[p] == 1 else w).split("/") for p, w in zip(plain, whole, strict=True)]
    depth = [1] * len(parts)
    for level in range(1, max(map(len, parts), default=1)):
        tails = [tuple(p[-d:]) for p, d in zip(parts, depth, strict=True)]
        seen = Counter(tails)
        twice = [n for n, tail in enumerate(tails) if seen[tail] > 1 and len(parts[n]) > level]
        if not twice:
            break
        for number in twice:
            depth[number] = level + 1
    short = [cut_middle("/".join(p[-d:]), most) for p, d in zip(parts, depth, strict=True)]
    alike = Counter(short)
    return [f"{s} #{n + 1}" if alike[s] > 1 else s for n, s in enumerate(short)]


def archs(names: Iterable[str], *, bare: bool = False) -> str:
    """Architectures of one kind, in order, the prefix once or not at all: ``sm_75 80 90a``."""
    ordered = sorted(dict.fromkeys(names), key=arch_key)
    words = [name.partition("_")[2] or name for name in ordered]
    return " ".join(map(clean, words if bare else [ordered[0], *words[1:]]))


def arch_key(name: str) -> tuple[str, int, str]:
    """The order of architectures: by number, then by suffix."""
    match = re.fullmatch(r"(\D*)([0-9]{1,9})(.*)", name)
    return (match[1], int(match[2]), match[3]) if match else (name, 0, "")
