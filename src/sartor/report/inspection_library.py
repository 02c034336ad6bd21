"""One library in detail: its needs and its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.paths import human_bytes
from sartor.report.grid import Column, grid
from sartor.report.inspection_gpus import aligned, labels
from sartor.report.words import arch_key, archs, clean, cut, few, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import Image
    from sartor.verdict.model import InspectedLibrary, Target

KINDS = {"cubin": "", "ptx": "PTX ", "ltoir": "LTO-IR ", "unknown": "unknown kind "}
ABIS = {
    "stable": "the stable ABI",
    "cxx11": "C++, new std::string",
    "pre-cxx11": "C++, old std::string",
    "c": "C",
}


def holds(images: Sequence[Image], *, packing: bool = True) -> str:
    """The images in one line: ``sm_75 80 90a, PTX 80 (ISA 9.0), zstd``."""
    groups: dict[tuple[str, str | None], list[str]] = {}
    for image in sorted(images, key=lambda image: list(KINDS).index(image.kind)):
        groups.setdefault((image.kind, image.ptx_isa), []).append(image.arch)
    words = []
    for (kind, isa), names in groups.items():
        held = archs(names) if kind in {"cubin", "unknown"} else archs(names, bare=True)
        words.append(f"{KINDS[kind]}{held}{f' (ISA {isa})' if isa else ''}")
    packed = sorted({image.compression or "" for image in images} - {""}) if packing else []
    return ", ".join([*words, *([" and ".join(packed)] if packed else [])])


def detail_lines(library: InspectedLibrary, targets: Sequence[Target], width: int) -> list[str]:
    """What a library is, needs and holds, and the reasons of its verdicts."""
    lines = [cut(clean(library.path), width)]
    for name, text in facts(library):
        lines += wrapped(f"  {name:10}", text, width)
    if library.images:
        lines += ["", *(f"  {line}" for line in image_table(library.images, width - 2))]
    reasons: list[str] = []
    for label, verdict in zip(labels(targets), aligned(targets, library.verdicts), strict=True):
        for text in verdict.because if verdict else []:
            reasons += wrapped(f"  {label}: ", text, width)
    return [*lines, "", *reasons] if reasons else lines


def facts(library: InspectedLibrary) -> list[tuple[str, str]]:
    """What is known of the library itself, by name."""
    symbols = [("GLIBC", library.glibc), ("GLIBCXX", library.glibcxx), ("CXXABI", library.cxxabi)]
    highest = [f"{name}_{version}" for name, version in symbols if version]
    kind = [library.kind, human_bytes(library.size), library.machine, library.python]
    cuda = [f"CUDA {library.cuda_major}"] if library.cuda_major else []
    cuda += [f"ptxas {few(library.toolkits, 4)}"] if library.toolkits else []
    rows = [
        ("is", ", ".join(word for word in kind if word)),
        ("soname", library.soname or ""),
        ("needs", few([*library.needed, *highest], 40)),
        ("rpath", library.rpath or ""),
        ("runpath", library.runpath or ""),
        ("made with", ", ".join(cuda)),
        ("torch", torch_words(library)),
        ("calls", few(library.compilers, 8)),
        ("also holds", few(library.other_device_code, 8)),
    ]
    return [(name, text) for name, text in rows if text]


def torch_words(library: InspectedLibrary) -> str:
    """The ABI of PyTorch that a library is built for, and how much it wants of it."""
    if library.torch_abi is None:
        return ""
    count = len(library.torch_symbols)
    return f"{ABIS[library.torch_abi]}{f', {count} symbols' if count else ''}"


def image_table(images: Sequence[Image], width: int) -> list[str]:
    """Every kind of image, machine code first, by architecture."""
    order = list(KINDS)
    ordered = sorted(images, key=lambda image: (order.index(image.kind), *arch_key(image.arch)))
    left = [
        Column(["image"], [[clean(image.arch)] for image in ordered]),
        Column(["count"], [[str(image.count)] for image in ordered], right=True),
        Column(["in file"], [[human_bytes(image.bytes)] for image in ordered], right=True),
        Column(["plain"], [[human_bytes(image.plain_bytes)] for image in ordered], right=True),
        Column(["packed"], [[image.compression or "-"] for image in ordered]),
    ]
    if any(image.ptx_isa for image in ordered):
        left.append(Column(["PTX ISA"], [[image.ptx_isa or "-"] for image in ordered]))
    if any(image.options for image in ordered):
        options = [[cut(clean(image.options or "-"), 40)] for image in ordered]
        left.append(Column(["ptxas options"], options))
    return grid(left, [], width)
