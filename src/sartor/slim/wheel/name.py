"""What a slimmed wheel is called: as its source, with a build tag that names the GPUs.

`docs/decisions/0026-slimmed-wheels-have-a-build-tag.md` says why a build tag.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

if TYPE_CHECKING:
    from sartor.slim.choice import Wanted

FIRST = "1"
"""The build number of a wheel that has none: a build tag begins with a digit."""
ENDS_IN_A_DIGIT = re.compile(r"\d+")


class Removal(msgspec.Struct, frozen=True):
    """What is of no use is left out; ``python``: what is of none to that Python (``3.12``)."""

    python: str | None = None


class WheelName(msgspec.Struct, frozen=True):
    """The parts of a wheel's file name, as they are written; ``build`` is empty without one."""

    distribution: str
    version: str
    build: str
    tags: str

    @property
    def text(self) -> str:
        """The file name."""
        parts = [self.distribution, self.version, *([self.build] if self.build else []), self.tags]
        return f"{'-'.join(parts)}.whl"


def parse_name(name: str) -> WheelName:
    """The parts of a file name; raises `ValueError` that says why installers do not take it."""
    try:
        parse_wheel_filename(name)
    except (InvalidWheelFilename, ValueError) as error:
        what = f"`{name}` is not the name of a wheel that installers take: {error}"
        raise ValueError(what) from error
    parts = name.removesuffix(".whl").split("-")
    build = parts[2] if len(parts) == 6 else ""
    return WheelName(parts[0], parts[1], build, "-".join(parts[-3:]))


def gpu_words(wanted: Wanted) -> list[str]:
    """The GPUs as tags and labels have them: ``sm90``, ``sm120``."""
    return [gpu.replace("_", "") for gpu in wanted.gpus]


def tag_words(wanted: Wanted, removal: Removal | None = None) -> str:
    """What the build tag says of what was asked for: ``sm90``, ``sm90.sm120.ptx``, ``sm90.aot``.

    ``ptx``: with PTX for later GPUs; ``aot``: with code compiled ahead of time; ``packed``:
    compressed; ``lean``: without what is of no use, with ``cp312`` to that Python.
    """
    asked = {"ptx": wanted.keep_ptx, "aot": wanted.retarget, "packed": wanted.compress}
    words = [*gpu_words(wanted), *(word for word, is_so in asked.items() if is_so)]
    if removal is not None:
        words.append("lean")
        words += [f"cp{removal.python.replace('.', '')}"] if removal.python is not None else []
    return ".".join(words)


def build_tag(build: str, wanted: Wanted, removal: Removal | None = None) -> str:
    """The build tag that goes on from the source's: ``1sm90``, ``2sm90``, ``2cu.sm90``."""
    dot = "" if ENDS_IN_A_DIGIT.fullmatch(build or FIRST) else "."
    return f"{build or FIRST}{dot}{tag_words(wanted, removal)}"
