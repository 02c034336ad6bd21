"""What is read of ELF files, against GNU readelf, c++filt and pyelftools, over published wheels.

Also over the libraries of the machine that the tests run on. Needs binutils.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.hash import ELFHashSection, GNUHashSection
from packaging.version import Version

from sartor.artifact.elf_library import elf_library
from sartor.artifact.elf_symbols import SymbolTable, version_needs
from sartor.artifact.source import FileSource, Invalid
from wheels import members, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.elf import Elf
    from sartor.artifact.model import Library

pytestmark = pytest.mark.skipif(not shutil.which("readelf"), reason="needs binutils")

SYSTEM = Path("/usr/lib/x86_64-linux-gnu")

STABLE, NEW, OLD = "stable", "cxx11", "pre-cxx11"
ABIS: dict[str, dict[str, str | None]] = {
    "vllm==0.25.1": {
        "vllm/_C_stable_libtorch.abi3.so": STABLE,
        "vllm/_moe_C_stable_libtorch.abi3.so": STABLE,
        "vllm/_flashmla_C.abi3.so": NEW,
        "vllm/cumem_allocator.abi3.so": None,
        "vllm/spinloop.abi3.so": None,
    },
    "vllm==0.32.0": {
        "vllm/_C_stable_libtorch.abi3.so": STABLE,
        "vllm/_flashmla_C.abi3.so": STABLE,
        "vllm/third_party/deep_gemm/_C_extension.abi3.so": NEW,
    },
    "sglang-kernel==0.4.10": {
        "sgl_kernel/flash_ops.abi3.so": NEW,
        "sgl_kernel/sm100/common_ops.abi3.so": NEW,
    },
    "sgl-kernel==0.3.9.post2": {"sgl_kernel/common_ops.abi3.so": NEW},
    "sgl-kernel==0.3.21": {"sgl_kernel/flashmla_ops.abi3.so": NEW},
    "torch==2.8.0": {"torch/lib/libtorch_cuda.so": NEW, "torch/lib/libtorch_python.so": NEW},
    "torch==2.11.0": {"torch/lib/libtorch_cuda.so": NEW, "torch/lib/libtorch_python.so": NEW},
    "torchvision==0.20.1": {"torchvision/_C.so": OLD, "torchvision/image.so": OLD},
    "torchvision==0.26.0": {"torchvision/_C.so": NEW, "torchvision/image.so": NEW},
    "bitsandbytes==0.50.2": {
        "bitsandbytes/libbitsandbytes_cuda130.so": None,
        "bitsandbytes/libbitsandbytes_cpu.so": None,
    },
}
"""The ABI of PyTorch that some libraries are for, as their names and releases say."""

DYNAMIC = re.compile(r"\((NEEDED|SONAME|RPATH|RUNPATH)\) +[\w ]+: \[(.*)\]$", re.MULTILINE)
NEED = re.compile(r"^ +0x[0-9a-f]+: +Name: (\S+)  Flags:", re.MULTILINE)
UNDEFINED = re.compile(
    r"^ *[1-9]\d*: [0-9a-f]{16} +\S+ \S+ +(\S+) .* UND (\S*)(?: \(\d+\))?$", re.MULTILINE
)
DEFINED = re.compile(
    r"^ *\d+: [0-9a-f]{16} +\S+ \S+ +(?:GLOBAL|WEAK) .* +\d+ (\S+?)(?:@.*)?$", re.MULTILINE
)
OF_TORCH = re.compile(
    r"(?:(?:vtable|VTT|typeinfo|typeinfo name|guard variable|TLS (?:init|wrapper) function|"
    r"(?:non-)?virtual thunk) (?:for|to) )?(?:at|c10|torch|caffe2)::"
)
OLD_STRING = re.compile(r"std::(?:string|basic_string<char)\b")
LOOKED_UP = 12


class Judged(NamedTuple):
    """What readelf prints."""

    dynamic: dict[str, list[str]]
    versions: list[str]
    undefined: list[tuple[str, str | None, bool]]
    defined: list[str]


def readelf(file: Path) -> Judged:
    command = ["readelf", "-dVW", "--dyn-syms", str(file)]
    text = subprocess.run(command, capture_output=True, check=False, env={"LC_ALL": "C"}).stdout
    printed = text.decode("utf-8", "backslashreplace")
    dynamic: dict[str, list[str]] = {}
    for tag, value in DYNAMIC.findall(printed):
        dynamic.setdefault(tag, []).append(value)
    undefined = [
        (name, version or None, bind == "WEAK")
        for bind, symbol in UNDEFINED.findall(printed)
        for name, _, version in [symbol.partition("@")]
    ]
    return Judged(dynamic, NEED.findall(printed), undefined, DEFINED.findall(printed))


def highest(versions: list[str], kind: str) -> str | None:
    numbers = [v.removeprefix(f"{kind}_") for v in versions if re.fullmatch(rf"{kind}_[\d.]+", v)]
    return max(numbers, key=Version, default=None)


def against_readelf(library: Library, elf: Elf, judged: Judged) -> Iterator[str]:
    """What is not the same, in words."""
    one = {tag: values[0] for tag, values in judged.dynamic.items()}
    pairs: dict[str, tuple[object, object]] = {
        "NEEDED": (library.needed, judged.dynamic.get("NEEDED", [])),
        "SONAME": (library.soname, one.get("SONAME")),
        "RPATH": (library.rpath, one.get("RPATH")),
        "RUNPATH": (library.runpath, one.get("RUNPATH")),
        "GLIBC": (library.glibc, highest(judged.versions, "GLIBC")),
        "GLIBCXX": (library.glibcxx, highest(judged.versions, "GLIBCXX")),
        "CXXABI": (library.cxxabi, highest(judged.versions, "CXXABI")),
        "not read": (library.not_read, []),
    }
    if elf.dynamic:
        found = SymbolTable(elf).undefined(version_needs(elf))
        ours = [(symbol.name, symbol.version, symbol.weak) for symbol in found]
        pairs["undefined"] = (ours, judged.undefined)
    for what, (read, printed) in pairs.items():
        if read != printed:
            yield f"{library.path}: {what}: {str(read)[:200]} and not {str(printed)[:200]}"


def against_pyelftools(path: str, file: Path, elf: Elf, judged: Judged) -> Iterator[str]:
    """Whether names are defined: some that are, some that are wanted, and others."""
    step = max(len(judged.defined) // LOOKED_UP, 1)
    names = judged.defined[::step] + [name for name, *_ in judged.undefined[:LOOKED_UP]]
    with file.open("rb") as stream:
        judge = ELFFile(stream)
        table = judge.get_section_by_name(".gnu.hash") or judge.get_section_by_name(".hash")
        if not isinstance(table, GNUHashSection | ELFHashSection):
            return
        symbols = SymbolTable(elf)
        for name in [*names, "absent", "x" * 300]:
            symbol = table.get_symbol(name)
            theirs = symbol is not None and symbol["st_shndx"] != "SHN_UNDEF"
            if symbols.defines(name) != theirs:
                yield f"{path}: {name} is {'' if theirs else 'not '}defined"


def demangled(names: list[str], *options: str) -> list[str]:
    command = ["c++filt", *options]
    text = "\n".join(names)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def against_cxxfilt(library: Library, judged: Judged) -> Iterator[str]:
    """Which mangled names are PyTorch's, and whether any of those holds the old string."""
    wanted = [name for name, _, weak in judged.undefined if not weak]
    names = [name for name in wanted if name.startswith("_Z")]
    full, bare = demangled(names), demangled(names, "-p")
    theirs = {name for name, scope in zip(names, bare, strict=True) if OF_TORCH.match(scope)}
    ours = {name for name in library.torch_symbols if name.startswith("_Z")}
    if ours != theirs:
        yield f"{library.path}: {sorted(ours ^ theirs)[:5]}"
    texts = [text for name, text in zip(names, full, strict=True) if name in theirs]
    if library.torch_abi == OLD or any(OLD_STRING.search(text) for text in texts):
        new = any("__cxx11" in text for text in texts)
        if new or library.torch_abi != OLD or not any(OLD_STRING.search(text) for text in texts):
            yield f"{library.path}: {library.torch_abi}"


@pytest.mark.parametrize("requirement", ABIS)
def test_every_library_of_a_wheel(requirement: str, tmp_path: Path) -> None:
    abis: dict[str, str | None] = {}
    problems: list[str] = []
    for file in members(wheel(requirement), ".so", tmp_path):
        path = file.relative_to(tmp_path).as_posix()
        judged = readelf(file)
        with FileSource(file) as source:
            library, elf = elf_library(source, path)
            problems += against_readelf(library, elf, judged)
            problems += against_pyelftools(path, file, elf, judged)
            problems += against_cxxfilt(library, judged)
        abis[path] = library.torch_abi
        file.unlink()
    assert not problems, "\n".join(problems)
    assert {path: abis[path] for path in ABIS[requirement]} == ABIS[requirement]


def test_the_libraries_of_this_machine() -> None:
    files = sorted({file.resolve() for file in SYSTEM.glob("*.so*") if file.is_file()})
    problems: list[str] = []
    read = 0
    for file in files:
        with FileSource(file) as source:
            try:
                library, elf = elf_library(source, str(file))
            except Invalid:
                with file.open("rb") as stream:
                    assert stream.read(4) != b"\x7fELF", file
                continue
            judged = readelf(file)
            problems += against_readelf(library, elf, judged)
            problems += against_pyelftools(str(file), file, elf, judged)
        read += 1
    assert not problems, "\n".join(problems)
    assert read or not files
