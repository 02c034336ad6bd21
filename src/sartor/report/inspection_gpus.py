"""The GPUs of an inspection: what they are called, what each gets, and their verdicts in words."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Protocol, TypeVar

from sartor.facts.versions import numbers
from sartor.paths import human_bytes
from sartor.report.grid import Column, grid
from sartor.report.words import clean, cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sartor.verdict.model import Inspection, Target, Verdict

MAKER = re.compile(r"\b(?:NVIDIA|GeForce|Tesla)\s+")
HEAD_WIDTH = 16
NAME_WIDTH = 18
MOST_LETTERS = 48


class ForTarget(Protocol):
    """A value that is for one of the GPUs."""

    @property
    def target(self) -> int:
        """The index of the GPU."""


Item = TypeVar("Item", bound=ForTarget)


def aligned(targets: Sequence[Target], items: Iterable[Item]) -> list[Item | None]:
    """The item for each target; None where there is none."""
    by_target = {item.target: item for item in items}
    return [by_target.get(number) for number in range(len(targets))]


def labels(targets: Sequence[Target]) -> list[str]:
    """What each GPU is called in a sentence: its name, with as much as tells it from the others."""
    names = [short_name(target) for target in targets]
    alike = Counter(names)
    return [
        f"{name} ({driver_words(target)})" if alike[name] > 1 else name
        for name, target in zip(names, targets, strict=True)
    ]


def short_name(target: Target) -> str:
    """The product without its maker, or the architecture."""
    return cut(MAKER.sub("", clean(target.name)), MOST_LETTERS) if target.name else target.gpu


def heads(targets: Sequence[Target]) -> list[list[str]]:
    """The head of each GPU's column: name, architecture, and the driver where that tells more."""
    alike = Counter(short_name(target) for target in targets)
    found = []
    for target in targets:
        name = short_name(target)
        words = textwrap.wrap(name, HEAD_WIDTH) or [name]
        words += [target.gpu] if target.name else []
        words += textwrap.wrap(driver_words(target), HEAD_WIDTH) if alike[name] > 1 else []
        found.append(words)
    return found


def driver_words(target: Target) -> str:
    """The driver, as far as it is known."""
    if target.driver:
        return f"driver {target.driver}"
    return f"CUDA {target.driver_cuda}" if target.driver_cuda else "any driver"


def cell(verdict: Verdict | None, target: Target) -> list[str]:
    """A library's verdict: the units of each grade, and what the driver must be where unknown."""
    if verdict is None or not verdict.units:
        return ["unknown" if verdict is None else "-"]
    words = []
    for count, word in counts(verdict):
        words.append(f"{word} {count}")
        if word == "jit":
            words += wanted(verdict.needs_driver_cuda, target)
    return words


def counts(verdict: Verdict) -> list[tuple[int, str]]:
    """How many units have each grade that one has."""
    every = [
        (verdict.native, "native"),
        (verdict.jit, "jit"),
        (verdict.missing, "missing"),
        (verdict.not_applicable, "n/a"),
        (verdict.unknown, "unknown"),
    ]
    return [(count, word) for count, word in every if count]


def wanted(cuda: str | None, target: Target) -> list[str]:
    """What the driver must support, where it is not known what it does."""
    return [f"(CUDA>={cuda})"] if cuda and target.driver_cuda is None else []


def gpu_lines(found: Inspection, width: int) -> list[str]:
    """One row for each GPU: its driver, and what all libraries together have for it."""
    if not found.gpus:
        return []
    sums = [of_gpu(found, number) for number in range(len(found.gpus))]
    device = sum(image.bytes for lib in found.libraries for image in lib.images)
    counted = any(units for units, _ in sums)
    left = [Column(["GPU"], [counted_name(target) for target in found.gpus], stacked=True)]
    if any(target.name for target in found.gpus):
        left.append(Column([""], [[t.gpu if t.name else ""] for t in found.gpus]))
    drivers = [[driver_cell(target)] for target in found.gpus]
    columns = [Column(["driver", "(CUDA)"], drivers)]
    if counted:
        for word in ("native", "jit", "missing", "n/a", "unknown"):
            if any(units[word] for units, _ in sums):
                cells = [[str(units[word] or "-")] for units, _ in sums]
                columns.append(Column([word], cells, right=True))
        used = [[human_bytes(size)] for _, size in sums]
        columns.append(Column(["uses, of", human_bytes(device)], used, right=True))
        columns.append(Column(["needs", "CUDA"], [[needs(found, n)] for n in range(len(sums))]))
    return grid(left, columns, width)


def counted_name(target: Target) -> list[str]:
    """``2 x H200``, in lines."""
    name = short_name(target)
    return textwrap.wrap(f"{target.count} x {name}" if target.count > 1 else name, NAME_WIDTH)


def of_gpu(found: Inspection, number: int) -> tuple[Counter[str], int]:
    """The units by grade, and the bytes that are used, of the libraries that count on a GPU."""
    units: Counter[str] = Counter()
    size = 0
    for verdict in counting(found, number):
        units.update({word: count for count, word in counts(verdict)})
        size += verdict.native_bytes + verdict.jit_bytes
    return units, size


def counting(found: Inspection, number: int) -> list[Verdict]:
    """The verdicts that add up on a GPU: of alternatives the best, as one of them is loaded."""
    every = [aligned(found.gpus, library.verdicts)[number] for library in found.libraries]
    groups = alternatives(found)
    grouped = {index for group in groups for index in group}
    verdicts = [v for index, v in enumerate(every) if v is not None and index not in grouped]
    for group in groups:
        among = [v for index in group if (v := every[index]) is not None]
        verdicts += [min(among, key=_shortcomings)] if among else []
    return verdicts


def _shortcomings(verdict: Verdict) -> tuple[bool, int, int, tuple[int, ...]]:
    """By which of alternatives the best is the least; of equals the one that takes less."""
    lacking = verdict.units - verdict.native - verdict.jit
    return not verdict.called, lacking, verdict.jit, numbers(verdict.needs_driver_cuda or "")


def alternatives(found: Inspection) -> list[list[int]]:
    """The indices of libraries with units of which a package loads one, where they are several."""
    owners = {path: package.path for package in found.packages for path in package.libraries}
    groups: dict[tuple[str, str], list[int]] = {}
    for index, library in enumerate(found.libraries):
        if library.one_of is not None and library.units:
            key = (owners.get(library.path, ""), library.one_of)
            groups.setdefault(key, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def driver_cell(target: Target) -> str:
    """The driver's version and what it supports."""
    if target.driver:
        return f"{target.driver} ({target.driver_cuda or '?'})"
    return f"CUDA {target.driver_cuda}" if target.driver_cuda else "not stated"


def needs(found: Inspection, number: int) -> str:
    """What a driver must support for all that a GPU has code for."""
    every = [v.needs_driver_cuda for v in counting(found, number) if v.needs_driver_cuda]
    return max(every, key=numbers) if every else "-"
