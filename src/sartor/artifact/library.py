"""One file of a target: a shared library, or device code in a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.artifact import cubin
from sartor.artifact.device_code import DeviceCode, Part, read_device_code
from sartor.artifact.elf import SectionType
from sartor.artifact.elf_library import elf_library
from sartor.artifact.members import file_kind
from sartor.artifact.model import Image, Library, NotRead, Unit
from sartor.artifact.payload import MOST_PLAIN
from sartor.artifact.ptx import read_ptx
from sartor.artifact.source import Invalid

if TYPE_CHECKING:
    from sartor.artifact.device_code import Names
    from sartor.artifact.elf import Elf
    from sartor.artifact.source import Source

FATBIN = ".nv_fatbin"
RELOCATABLE = "__nv_relfatbin"
SCATTERED = {".ldata", ".lrodata", ".cask_resource"}
"""Where cuFFT, cuBLASLt, cuSPARSELt and cuDNN keep containers. Those in the ``.rodata`` of cuSPARSE
and CUPTI are not looked for: every library has such a section."""


def read_library(source: Source, path: str, names: Names) -> Library | None:
    """What a file says; None where its bytes are nothing that holds code (a linker script, say).

    A fault of a part stands in ``not_read``; `Invalid` is raised where nothing could be read.
    """
    match file_kind(source):
        case "elf":
            library, elf = elf_library(source, path)
            return _with_code(library, _device_code(source, path, elf, names))
        case "cubin":
            return _cubin(source, path, names)
        case "fatbin":
            library = Library(path=path, size=source.size, kind="fatbin")
            parts = [Part(0, source.size)]
            return _with_code(library, read_device_code(source, path, parts, names))
        case "ptx":
            return _ptx(source, path, names)
        case None:
            return None


def _with_code(library: Library, code: DeviceCode) -> Library:
    """The library with its device code; where its needs name no CUDA major, ptxas' notes do."""
    releases = {int(release.partition(".")[0]) for release in code.toolkits}
    major = library.cuda_major or (releases.pop() if len(releases) == 1 else None)
    return msgspec.structs.replace(
        library,
        cuda_major=major,
        toolkits=code.toolkits,
        images=code.images,
        units=code.units,
        not_read=[*library.not_read, *code.not_read],
    )


def _device_code(source: Source, path: str, elf: Elf, names: Names) -> DeviceCode:
    parts, faults = parts_of(source, path, elf)
    code = read_device_code(source, path, parts, names)
    return msgspec.structs.replace(code, not_read=[*faults, *code.not_read])


def parts_of(source: Source, path: str, elf: Elf) -> tuple[list[Part], list[NotRead]]:
    """The sections of a library that hold device code, by offset, and what cannot be read of them.

    Where a section begins inside another nothing is read of any.
    """
    try:
        sections = elf.sections
    except Invalid as fault:
        return [], [NotRead(path, fault.reason, fault.offset)]
    if not sections:
        why = "it has no section headers: where its device code is, if any, is not known"
        return [], [NotRead(path, why)]
    names_of = {FATBIN, RELOCATABLE} | SCATTERED
    held = [s for s in sections if s.name in names_of and s.type != SectionType.NOBITS and s.size]
    parts, faults, end = [], [], 0
    for section in sorted(held, key=lambda section: section.offset):
        if section.offset < end:
            why = f"{section.name} begins inside the one before it"
            return [], [NotRead(path, why, section.offset)]
        end = section.offset + section.size
        if section.offset + section.size > source.size:
            why = f"{section.name} claims {section.size} bytes, past the end of the file"
            faults.append(NotRead(path, why, section.offset))
        size = min(section.size, max(source.size - section.offset, 0))
        kind = section.name == RELOCATABLE, section.name in SCATTERED
        parts.append(Part(section.offset, size, *kind))
    return parts, faults


def _cubin(source: Source, path: str, names: Names) -> Library:
    noted = cubin.origin(source)
    image = Image(
        kind="cubin",
        arch=noted.architecture or cubin.architecture(source),
        count=1,
        bytes=source.size,
        plain_bytes=source.size,
    )
    kernels = None if names == "none" else {name: [0] for name in cubin.kernel_names(source)}
    return _single(source, path, image, kernels, [noted.release] if noted.release else [])


def _ptx(source: Source, path: str, names: Names) -> Library:
    if source.size > MOST_PLAIN:
        raise Invalid(source.name, 0, f"a PTX text of {source.size} bytes")
    text = read_ptx(source.read(0, source.size))
    target = (text.target or "").replace("sm_", "compute_")
    image = Image(
        kind="ptx",
        arch=target or "compute_?",
        count=1,
        bytes=source.size,
        plain_bytes=source.size,
        ptx_isa=text.isa,
    )
    kernels = None if names == "none" else {name: [0] for name in text.kernels}
    return _single(source, path, image, kernels, [])


def _single(
    source: Source,
    path: str,
    image: Image,
    kernels: dict[str, list[int]] | None,
    toolkits: list[str],
) -> Library:
    unit = Unit(
        images=[0],
        bytes=image.bytes,
        offset=0,
        kernels=kernels,
        kernels_read=[] if kernels is None else [0],
    )
    return Library(
        path=path,
        size=source.size,
        kind="cubin" if image.kind == "cubin" else "ptx",
        cuda_major=int(toolkits[0].partition(".")[0]) if toolkits else None,
        toolkits=toolkits,
        images=[image],
        units=[unit],
    )
