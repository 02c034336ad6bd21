"""An inspection as people read it, and paste it: plain text in columns, no colour, ASCII alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from sartor.paths import human_bytes
from sartor.report.grid import Column, grid
from sartor.report.inspection_features import feature_lines, why_lines
from sartor.report.inspection_files import with_files_folded
from sartor.report.inspection_gpus import aligned, alternatives, cell, gpu_lines, heads
from sartor.report.inspection_kernels import kernel_lines
from sartor.report.inspection_library import detail_lines, holds
from sartor.report.words import clean, cut, few, short_paths, wrapped
from sartor.verdict.model import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from sartor.artifact.model import Package
    from sartor.verdict.model import InspectedLibrary, Inspection

WIDTH = 100
NARROWEST = 60
MOST_PACKAGES = 12
TORCH = re.compile(r"\s*torch(?![\w.-])", re.IGNORECASE)
LEGEND = (
    "native: machine code that the GPU runs. jit: PTX, which the driver compiles at first use.",
    "missing: neither. n/a: the engine does not call it on this GPU. unknown: not read, or not",
    "settled. CUDA>=x: what the driver must support. Numbers count source files.",
)

NO_LIBRARIES = "no shared library and no file of device code was read in it"


class Layout(msgspec.Struct, frozen=True):
    """How wide it is, and whether the images of every library, and its kernels, are shown."""

    width: int = WIDTH
    detail: bool = False
    kernels: bool = False


def layout_for(stream: TextIO | None, *, detail: bool, kernels: bool) -> Layout:
    """The width of the terminal; where ``stream`` is none, 100 columns."""
    import shutil

    is_terminal = stream is not None and stream.isatty()
    width = shutil.get_terminal_size((WIDTH, 24)).columns if is_terminal else WIDTH
    return Layout(max(width, NARROWEST), detail, kernels)


def report_lines(found: Iterable[Inspection], layout: Layout) -> list[str]:
    """One report for each target, two empty lines between them."""
    lines: list[str] = []
    for inspection in found:
        lines += ["", ""] if lines else []
        lines += inspection_lines(inspection, layout)
    return lines


def inspection_lines(found: Inspection, layout: Layout) -> list[str]:
    """The target, the verdict in tables, what is wrong, and what was not read."""
    width = layout.width
    coded = [lib for lib in found.libraries if has_code(lib)]
    title = [*heading(found, width), *package_lines(found, coded, width)]
    names = kernel_lines(found) if layout.kernels else []
    found = with_files_folded(found)
    coded = [lib for lib in found.libraries if has_code(lib)]
    detailed = layout.detail or len(found.libraries) == 1
    parts = [
        title,
        gpu_lines(found, width),
        library_lines(found, coded, width),
        feature_lines(found, width),
        [] if detailed else why_lines(found, coded, width),
        [] if detailed else holds_lines(coded, width),
        *([detail_lines(lib, found.gpus, width) for lib in found.libraries] if detailed else []),
        *names,
        finding_lines(found, width),
        not_read_lines(found, width),
        legend_lines(width) if found.gpus and coded else [],
    ]
    return [line for part in parts if part for line in (*part, "")][:-1]


def legend_lines(width: int) -> list[str]:
    """What the words mean, in ``width`` characters."""
    return list(LEGEND) if width >= max(map(len, LEGEND)) else wrapped("", " ".join(LEGEND), width)


def has_code(library: InspectedLibrary) -> bool:
    """Whether a library holds device code, or may: it could not be read."""
    return bool(library.images or library.units or library.not_read)


def heading(found: Inspection, width: int) -> list[str]:
    """The target's name, what it is, how big, what of it was fetched, and which one exactly."""
    name = cut(clean(found.target.rstrip("/").rpartition("/")[2] or found.target), width)
    words: list[str] = [found.kind, *([clean(found.platform)] if found.platform else [])]
    words += [human_bytes(found.size)] if found.size is not None else []
    fetched = found.fetched_bytes
    words += [f"{human_bytes(fetched)} fetched"] if fetched is not None else []
    words += [f"sha256 {found.sha256[:16]}"] if found.sha256 else []
    return [name, "=" * len(name), ", ".join(words)]


def package_lines(found: Inspection, coded: list[InspectedLibrary], width: int) -> list[str]:
    """A line for each package with device code, or for the only one; how many more there are."""
    packages = found.packages
    using = {library.path for library in found.libraries if library.torch_abi is not None}
    paths = {library.path for library in coded}
    shown = [package for package in packages if not paths.isdisjoint(package.libraries)]
    shown = (shown or packages[: len(packages) == 1])[:MOST_PACKAGES]
    lines = [
        line
        for package in shown
        for line in package_line(
            package,
            width,
            torch=not using.isdisjoint(package.libraries),
            slimmed=slimmed_to(package, coded),
        )
    ]
    rest = len(packages) - len(shown)
    if not rest:
        return lines
    return [*lines, f"and {rest} more packages" if shown else f"{rest} packages"]


def slimmed_to(package: Package, coded: list[InspectedLibrary]) -> list[str]:
    """The GPUs that libraries of a package were slimmed to, as is written down with them."""
    own = set(package.libraries)
    gpus = (lib.slimmed.gpus for lib in coded if lib.slimmed and lib.path in own)
    return list(dict.fromkeys(gpu for several in gpus for gpu in several))


def package_line(
    package: Package, width: int, *, torch: bool, slimmed: Sequence[str] = ()
) -> list[str]:
    """Name, version, tags, what it wants of torch, and what it compiles at run time.

    ``torch``: its libraries use PyTorch, so that it is worth a word where it requires none.
    """
    required = [line for line in package.requires if requires_torch(line)]
    words = [f"{package.name} {package.version}", few(package.file_tags or package.tags, 2)]
    if slimmed:
        words.append(f"slimmed to {few(slimmed, 6)}")
    if required or (torch and package.name != "torch"):
        words.append(f"requires {few(required, 3) or 'no torch'}")
    if package.compilers:
        words.append(f"compiles at run time with {few(package.compilers, 4)}")
    return wrapped("", "; ".join(word for word in words if word), width, hang=2)


def requires_torch(line: str) -> bool:
    """Whether a ``Requires-Dist`` line is about torch itself, without an extra."""
    return TORCH.match(line) is not None and "extra" not in line.partition(";")[2]


def library_lines(found: Inspection, coded: list[InspectedLibrary], width: int) -> list[str]:
    """The table of libraries with device code, and a line on those without."""
    if not found.libraries:
        return [NO_LIBRARIES]
    lines = []
    if coded:
        names = short_paths([lib.path for lib in coded], max(width * 3 // 10, 24))
        verdicts = [aligned(found.gpus, lib.verdicts) for lib in coded]
        either = {found.libraries[i].path for group in alternatives(found) for i in group}
        marks = [" *" if lib.path in either else "" for lib in coded]
        left = [
            Column(["library"], [[n + mark] for n, mark in zip(names, marks, strict=True)]),
            Column(["device", "code"], [[code_size(lib)] for lib in coded], right=True),
            Column(["CUDA"], [[str(lib.cuda_major or "-")] for lib in coded], right=True),
            Column(
                ["units"], [[str(sum(u.count for u in lib.units))] for lib in coded], right=True
            ),
        ]
        columns = [
            Column(head, [cell(row[number], target) for row in verdicts])
            for number, (target, head) in enumerate(zip(found.gpus, heads(found.gpus), strict=True))
        ]
        lines = [*grid(left, columns, width), *alternative_lines(found, width)]
    bare = without_code(found.libraries, width)
    return [*lines, "", *bare] if lines and bare else lines + bare


def alternative_lines(found: Inspection, width: int) -> list[str]:
    """Which of the libraries in the table are alternatives, and which of them is loaded."""
    lines = []
    for group in alternatives(found):
        paths = [found.libraries[index].path for index in group]
        which = f"{len(group)} libraries" if len(group) > 3 else few(short_paths(paths, 40), 3)
        why = found.libraries[group[0]].one_of
        text = f"one of these is loaded, and one is counted above ({which}): {why}"
        lines += wrapped("* ", text, width)
    return lines


def code_size(library: InspectedLibrary) -> str:
    """The device code in the file, with a sign where some of it was not read."""
    size = human_bytes(sum(image.bytes for image in library.images))
    return (f"{size} +?" if library.images else "?") if library.not_read else size


def without_code(libraries: list[InspectedLibrary], width: int) -> list[str]:
    """The libraries without NVIDIA's device code, in one sentence."""
    bare = [lib for lib in libraries if not has_code(lib)]
    if not bare:
        return []
    names = short_paths([lib.path for lib in bare], 40)
    remarks = [
        f"{name} (calls {few(lib.compilers, 3)} at run time)" if lib.compilers else name
        for lib, name in zip(bare, names, strict=True)
    ]
    remarks.sort(key=lambda remark: not remark.endswith(")"))
    return wrapped("without device code: ", few(remarks, 5), width)


def holds_lines(coded: list[InspectedLibrary], width: int) -> list[str]:
    """What each library holds, those that hold the same together."""
    names = short_paths([lib.path for lib in coded], 40)
    alike: dict[str, list[str]] = {}
    for library, name in zip(coded, names, strict=True):
        if library.images:
            alike.setdefault(holds(library.images), []).append(name)
    lines = [
        wrapped("  ", f"{few(names, 6)}: {what}", width, hang=4) for what, names in alike.items()
    ]
    return ["holds", *(line for part in lines for line in part)] if lines else []


def finding_lines(found: Inspection, width: int) -> list[str]:
    """Every finding, errors first."""
    ordered = sorted(found.findings, key=lambda finding: SEVERITIES.index(finding.severity))
    lines = ["findings"] if ordered else []
    for finding in ordered:
        where = f" ({finding.path})" if finding.path and finding.path not in finding.text else ""
        first = f"  {finding.severity}: "
        lines += wrapped(first, f"{finding.text}{where} [{finding.code}]", width)
    return lines


def not_read_lines(found: Inspection, width: int) -> list[str]:
    """What was not read, where, and why."""
    lines = ["not read"] if found.not_checked else []
    for item in found.not_checked:
        at = "" if item.offset is None else f" at {item.offset:#x}"
        lines += wrapped("  ", f"{item.path}{at}: {item.why}", width, hang=4)
    return lines
