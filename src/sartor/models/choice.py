"""Which GGUF file of several is meant: by the tag that was asked for, else by a fixed order."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from sartor.models.model import ModelFile
from sartor.models.parts import SHARD, all_parts

if TYPE_CHECKING:
    from collections.abc import Iterable


# Without a tag the first of these that is there is taken: quality for its size first, then what
# every engine reads. Where none is there, the smallest file is.
ORDER = ("Q4_K_M", "Q8_0", "Q5_K_M", "Q4_K_S", "Q6_K", "Q5_K_S", "Q4_0", "MXFP4", "IQ4_XS")

_QUANT = re.compile(
    r"(?:^|[-._])(?P<quant>(?:UD-)?(?:I?Q\d[0-9A-Z_]*|TQ\d_\d|MXFP4(?:_MOE)?|BF16|F16|FP16|F32))$",
    re.IGNORECASE,
)
# Files beside a model that are no model: projectors, importance matrices, bare vocabularies.
_COMPANION = re.compile(r"mmproj|imatrix|ggml-vocab", re.IGNORECASE)


class Choice(msgspec.Struct, frozen=True):
    """A GGUF model among others: its files (several where it is split), first part first."""

    quant: str | None
    files: list[ModelFile]

    @property
    def size_bytes(self) -> int | None:
        """All files together; None where a size is not known."""
        sizes = [file.size_bytes for file in self.files if file.size_bytes is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None


def quant_of(name: str) -> str | None:
    """The quantization that the file ``name`` ends with, such as ``Q4_K_M``; None where none."""
    match = _QUANT.search(_stem(name))
    return match["quant"].upper() if match else None


def _stem(name: str) -> str:
    base = PurePosixPath(name).name
    split = SHARD.fullmatch(base)
    return split["stem"] if split else base.removesuffix(".gguf")


def choices(files: Iterable[ModelFile]) -> list[Choice]:
    """The GGUF models among ``files``, by name; parts of a split one together, companions left out.

    A part that is missing is in no list: `missing_parts` tells.
    """
    groups: dict[str, list[ModelFile]] = {}
    for file in sorted(files, key=lambda file: file.name):
        if file.name.endswith(".gguf") and not _COMPANION.search(PurePosixPath(file.name).name):
            folder = PurePosixPath(file.name).parent
            groups.setdefault(str(folder / _stem(file.name)), []).append(file)
    return [Choice(quant_of(group[0].name), group) for group in groups.values()]


def missing_parts(choice: Choice) -> list[str]:
    """The names of parts that a split model should have and has not."""
    folder = PurePosixPath(choice.files[0].name).parent
    names = [PurePosixPath(file.name).name for file in choice.files]
    return [str(folder / name) for name in all_parts(names) if name not in names]


def choose(among: list[Choice], tag: str | None) -> Choice | None:
    """The one that ``tag`` names; without a tag the first by `ORDER`, else the smallest.

    None where ``among`` is empty or nothing matches the tag. Upper and lower case are the same.
    """
    if tag is not None:
        return _tagged(among, tag.upper())
    for quant in ORDER:
        for choice in among:
            if choice.quant == quant:
                return choice
    return min(among, key=lambda choice: choice.size_bytes or 1 << 63, default=None)


def _tagged(among: list[Choice], tag: str) -> Choice | None:
    exact = [choice for choice in among if choice.quant == tag]
    inside = re.compile(rf"(?:^|[-./]){re.escape(tag)}(?:[-./]|$)")
    loose = [choice for choice in among if inside.search(choice.files[0].name.upper())]
    return next(iter(exact or loose), None)


def offered(among: list[Choice]) -> list[str]:
    """The tags that can be asked for, each once, in the order of ``among``."""
    return list(dict.fromkeys(choice.quant for choice in among if choice.quant))
