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

OTHER_DEVICE_CODE = re.compile(
    r"\.hip_fatbin|\.hipFatBinSegment|__CLANG_OFFLOAD_BUNDLE__.{1,200}|\.llvm\.offloading"
)
"""AMD's, and what Clang's offloading packs for SYCL and OpenMP: as in bitsandbytes 0.50.2's files."""
MOST_OTHER = 64

STARTS_PROGRAMS = re.compile(r"system|popen|execv\w*|execl\w*|posix_spawnp?|fork|vfork")
OPENS_LIBRARIES = frozenset({"dlopen", "dlmopen"})
NVCC = re.compile(rb"(?<![\w-])nvcc(?:\0| -)")
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
    known by names of sections: nothing where these were stripped.
    """
    elf = Elf(source)
    parts = _Parts(path)
    needed = parts.read(lambda: elf.needed, [])
    needs = parts.read(lambda: version_needs(elf), [])
    undefined = parts.read(lambda: _undefined(elf, needs), [])
    names = [symbol.name for symbol in undefined]
    versions = [need.version for need in needs]
    abi, torch_symbols = torch_abi(names, needed)
    library = Library(
        path=path,
        size=source.size,
        machine=elf.machine,
        soname=parts.read(lambda: elf.named(Tag.SONAME), None),
        needed=needed,
        rpath=parts.read(lambda: elf.named(Tag.RPATH), None),
        runpath=parts.read(lambda: elf.named(Tag.RUNPATH), None),
        glibc=highest(versions, "GLIBC"),
        glibcxx=highest(versions, "GLIBCXX"),
        cxxabi=highest(versions, "CXXABI"),
        python=python_tag(path, needed),
        cuda_major=max(filter(None, map(cuda_major, needed)), default=None),
        torch_abi=abi,
        torch_symbols=torch_symbols,
        compilers=called_compilers(names) + parts.read(lambda: _named_compilers(elf, names), []),
        other_device_code=parts.read(lambda: _other_device_code(elf), []),
        not_read=parts.not_read,
    )
    return library, elf


class _Parts:
    """Reads one part after another, and keeps what each could not be read for, once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.not_read: list[NotRead] = []

    def read(self, part: Callable[[], T], otherwise: T) -> T:
        try:
            return part()
        except Invalid as fault:
            found = NotRead(self._path, fault.reason, fault.offset)
            if found not in self.not_read:
                self.not_read.append(found)
            return otherwise


def _undefined(elf: Elf, needs: Iterable[VersionNeed]) -> list[Undefined]:
    """A file without a dynamic section (a static program, a cubin) wants nothing of others."""
    return SymbolTable(elf).undefined(needs) if elf.dynamic else []


def _named_compilers(elf: Elf, undefined: list[str]) -> list[str]:
    """Compilers that the constants of a library name, if it has a use for the names."""
    starts = any(STARTS_PROGRAMS.fullmatch(name) for name in undefined)
    opens = not OPENS_LIBRARIES.isdisjoint(undefined)
    constants = elf.section(".rodata") if starts or opens else None
    if constants is None or constants.offset + constants.size > SEARCHED_WITHIN:
        return []
    data = elf.source.read(constants.offset, constants.size)
    found = ["nvrtc"] if opens and NVRTC in data else []
    return [*found, "nvcc"] if starts and NVCC.search(data) else found


def _other_device_code(elf: Elf) -> list[str]:
    names = [s.name for s in elf.sections if OTHER_DEVICE_CODE.fullmatch(s.name)]
    return list(dict.fromkeys(names))[:MOST_OTHER]
