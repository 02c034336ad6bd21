"""What one shared library says of itself, its device code aside: a `Library` of the evidence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from sartor.artifact.abi import called_compilers, python_tag, torch_abi
from sartor.artifact.elf import Elf, Tag
from sartor.artifact.elf_symbols import SymbolTable, highest, version_needs
from sartor.artifact.model import Library, NotRead
from sartor.artifact.source import Invalid
from sartor.facts.linking import cuda_major

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.artifact.elf_symbols import Undefined, VersionNeed
    from sartor.artifact.source import Source

T = TypeVar("T")

LONGEST_FILE_NAME = 255
"""Linux's NAME_MAX: nothing provides a longer need."""
OTHER_DEVICE_CODE = re.compile(
    r"\.hip_fatbin|\.hipFatBinSegment|__CLANG_OFFLOAD_BUNDLE__.{1,200}|\.llvm\.offloading"
)
"""AMD's (in bitsandbytes 0.50.2: rocm), and Clang's for SYCL (its xpu ones) and OpenMP."""
MOST_OTHER = 64

STARTS_PROGRAMS = re.compile(r"system|popen|execv\w*|execl\w*|posix_spawnp?|fork|vfork")
OPENS_LIBRARIES = frozenset({"dlopen", "dlmopen"})
NVCC, NVCC_NAMED = b"nvcc", re.compile(rb"(?<![\w-])nvcc(?:\0| -)")
"""The end of a path or command. Shorter strings are put together in machine code, and missed."""
NVRTC = b"libnvrtc.so"
SEARCHED_WITHIN = 8 << 20
"""Constants are searched where they end here. Streams keep that much: it never costs a pass, and
the evidence does not depend on the source. Of vLLM's and SGLang's libraries all do."""


def elf_library(source: Source, path: str) -> tuple[Library, Elf]:
    """The library at ``path`` (as the evidence calls it), and the file, to read on.

    ``images``, ``units`` and ``toolkits`` are left empty. What one part of the file refuses is a
    `NotRead`, and the rest is read; raises `Invalid` where the file is no ELF that is read at all.
    ``compilers`` are those whose functions it calls, and those that it names in its constants where
    it can start programs (``nvcc``) or open libraries (``libnvrtc.so``). ``other_device_code`` is
    known by names of sections: nothing where these were stripped. ``torch_symbols`` are without
    weak ones, which the loader does without (``_ZTH``: what initialises a ``thread_local``).
    """
    elf = Elf(source)
    parts = _Parts(path)
    needed = parts.read(lambda: elf.needed) or []
    needs = parts.read(lambda: version_needs(elf)) or []
    undefined = parts.read(lambda: _undefined(elf, needs)) or []
    names = [symbol.name for symbol in undefined]
    versions = [need.version for need in needs]
    named = parts.read(lambda: _named_compilers(elf, names)) or []
    abi, torch_symbols = torch_abi(names, needed)
    optional = {symbol.name for symbol in undefined if symbol.weak}
    library = Library(
        path=path,
        size=source.size,
        machine=elf.machine,
        soname=parts.read(lambda: elf.named(Tag.SONAME)),
        needed=needed,
        rpath=parts.read(lambda: elf.named(Tag.RPATH)),
        runpath=parts.read(lambda: elf.named(Tag.RUNPATH)),
        glibc=highest(versions, "GLIBC"),
        glibcxx=highest(versions, "GLIBCXX"),
        cxxabi=highest(versions, "CXXABI"),
        python=python_tag(path, needed),
        cuda_major=_cuda_major(needed),
        torch_abi=abi,
        torch_symbols=[name for name in torch_symbols if name not in optional],
        compilers=list(dict.fromkeys([*called_compilers(names), *named])),
        other_device_code=parts.read(lambda: _other_device_code(elf)) or [],
        not_read=parts.not_read,
    )
    return library, elf


class _Parts:
    """Reads one part after another, and keeps what each could not be read for, once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.not_read: list[NotRead] = []

    def read(self, part: Callable[[], T]) -> T | None:
        try:
            return part()
        except Invalid as fault:
            found = NotRead(self._path, fault.reason, fault.offset)
            if found not in self.not_read:
                self.not_read.append(found)
            return None


def _undefined(elf: Elf, needs: Iterable[VersionNeed]) -> list[Undefined]:
    """A file without a dynamic section (a static program, a cubin) wants nothing of others."""
    return SymbolTable(elf).undefined(needs) if elf.dynamic else []


def _cuda_major(needed: list[str]) -> int | None:
    """The highest that a need names; in a library that can be loaded they are all the same."""
    majors = (cuda_major(soname) for soname in needed if len(soname) <= LONGEST_FILE_NAME)
    return max((major for major in majors if major is not None), default=None)


def _named_compilers(elf: Elf, undefined: list[str]) -> list[str]:
    """Compilers that the constants of a library name, if it has a use for the names."""
    starts = any(map(STARTS_PROGRAMS.fullmatch, undefined))
    opens = not OPENS_LIBRARIES.isdisjoint(undefined)
    constants = elf.section(".rodata") if starts or opens else None
    if constants is None or constants.offset + constants.size > SEARCHED_WITHIN:
        return []
    data = elf.source.read(constants.offset, constants.size)
    found = ["nvrtc"] if opens and NVRTC in data else []
    return [*found, "nvcc"] if starts and _names_nvcc(data) else found


def _names_nvcc(data: bytes) -> bool:
    """Finds the letters first: an expression that looks back takes milliseconds for a megabyte."""
    at = data.find(NVCC)
    while at >= 0 and not NVCC_NAMED.match(data, at):
        at = data.find(NVCC, at + 1)
    return at >= 0


def _other_device_code(elf: Elf) -> list[str]:
    names = [s.name for s in elf.sections if OTHER_DEVICE_CODE.fullmatch(s.name)]
    return list(dict.fromkeys(names))[:MOST_OTHER]
