"""Make the constructed images: one kernel that stores another number in each of them.

usage: python variants.py FOLDER        (wants nvcc and fatbinary of CUDA 13.0, no GPU)

Writes ``variants.json`` (name → kind, architecture, ISA, number, file), the payloads, containers by
NVIDIA's ``fatbinary`` in both orders, and shared libraries by nvcc in both orders.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

KERNEL = 'extern "C" __global__ void k(int *p) { *p = VALUE; }\n'
CUBINS = (
    *("75", "80", "86", "87", "88", "89", "90", "90a", "100", "100a", "100f", "103", "103a"),
    *("103f", "110", "110a", "110f", "120", "120a", "120f", "121", "121a", "121f"),
)
PTX = ("75", "80", "86", "87", "89", "90", "90a", "100", "100a", "100f", "110", "120", "120f")
LTOIR = ("75", "80", "90", "100", "120")
EDITED = (  # architecture of the .target, .version
    *(("50", "6.3"), ("60", "6.3"), ("70", "6.3"), ("72", "6.3"), ("75", "6.3"), ("80", "7.0")),
    *(("80", "7.8"), ("80", "8.0"), ("80", "8.7"), ("80", "8.8"), ("90", "7.8"), ("90", "8.0")),
    *(("90", "8.6"), ("90", "8.7"), ("90a", "8.0"), ("90", "7.7"), ("90", "9.1"), ("80", "9.1")),
    *(("80", "9.2"), ("80", "9.9"), ("90a", "9.1"), ("80", "10.0"), ("75", "6.2")),
)
"""The last of each architecture's old ones is older than the architecture itself."""
HOST = """
#include <cuda_runtime.h>
__global__ void k(int *p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  *p = 901;
#elif defined(__CUDA_ARCH__)
  *p = __CUDA_ARCH__;
#endif
}
extern "C" int run(int *code) {
  int *p, v = -1;
  cudaMalloc(&p, 4);
  k<<<1, 1>>>(p);
  *code = cudaGetLastError();
  if (!*code) *code = cudaMemcpy(&v, p, 4, cudaMemcpyDeviceToHost);
  return v;
}
"""
LIBRARIES = {
    "sm90": ("90:sm_90", "90a:sm_90a"),
    "sm90_ptx80": ("90:sm_90", "80:compute_80"),
    "ptx80_ptx90": ("80:compute_80", "90:compute_90"),
    "ptx90_ptx90a": ("90:compute_90", "90a:compute_90a"),
    "sm90_ptx90a": ("90:sm_90", "90a:compute_90a"),
    "sm80_ptx80": ("80:sm_80", "80:compute_80"),
}
RELOCATABLE = {
    "rdc_sm80_ptx80": ("80:sm_80", "80:compute_80"),
    "rdc_sm90_ptx90": ("90:sm_90", "90:compute_90"),
    "rdc_sm75_sm80": ("75:sm_75", "80:sm_80"),
    "rdc_ptx75_ptx80": ("75:compute_75", "80:compute_80"),
}
"""Compiled with -rdc=true: images stand in ``__nv_relfatbin``, the linked in ``.nv_fatbin``."""


class Maker:
    """Compiles one variant after another, each with the next number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, dict[str, object]] = {}
        self._number = itertools.count(1001)

    def note(self, name: str, kind: str, arch: str, isa: str, value: int) -> None:
        """One more variant, whose payload lies in the file of its name."""
        self.made[name] = {"kind": kind, "arch": arch, "isa": isa, "value": value}

    def compile(self, name: str, kind: str, arch: str, options: str) -> None:
        """Run nvcc with ``options``; the variant's number is the next one."""
        value, source = next(self._number), self.folder / f"{name}.cu"
        source.write_text(KERNEL, "utf-8")
        out = self.folder / name
        argv = ["nvcc", *options.split(), f"-DVALUE={value}", "-o", str(out), str(source)]
        subprocess.run(argv, check=True)
        source.unlink()
        isa = "0.0"
        if kind == "ptx":
            isa = re.findall(r"^\.version (\S+)", out.read_text("utf-8"), re.MULTILINE)[0]
        self.note(name, kind, arch, isa, value)

    def edit(self, arch: str, isa: str) -> None:
        """PTX for ``arch`` that calls itself of version ``isa``."""
        value, name = next(self._number), f"compute_{arch}-isa{isa}"
        model = self.folder / ("compute_90a" if arch == "90a" else "compute_75")
        text = model.read_text("utf-8")
        text = re.sub(r"^\.version \S+", f".version {isa}", text, flags=re.MULTILINE)
        text = re.sub(r"^\.target \S+", f".target sm_{arch}", text, flags=re.MULTILINE)
        text = re.sub(r"\b10\d\d\b", str(value), text)
        (self.folder / name).write_text(text, "utf-8")
        self.note(name, "ptx", arch, isa, value)


def images(maker: Maker) -> None:
    """Every variant that is compiled or edited."""
    for arch in CUBINS:
        maker.compile(f"sm_{arch}", "cubin", arch, f"-cubin -arch=sm_{arch}")
    for name in ("sm_90-second", "sm_90a-second"):
        arch = name.split("-")[0].removeprefix("sm_")
        maker.compile(name, "cubin", arch, f"-cubin -arch=sm_{arch}")
    for arch in PTX:
        maker.compile(f"compute_{arch}", "ptx", arch, f"-ptx -arch=compute_{arch}")
    maker.compile("compute_90-second", "ptx", "90", "-ptx -arch=compute_90")
    for arch in LTOIR:
        maker.compile(f"lto_{arch}", "ltoir", arch, f"-dlto -ltoir -arch=sm_{arch}")
    for arch, isa in EDITED:
        maker.edit(arch, isa)


def by_fatbinary(folder: Path, first: str, second: str) -> None:
    """A container by NVIDIA's tool with two images in that order."""
    argv = ["fatbinary", "--64", f"--create={folder}/tool+{first}+{second}"]
    for name in (first, second):
        kind = "ptx" if name.startswith("compute") else "elf"
        arch = name.split("-")[0].replace("compute", "sm")
        argv.append(f"--image3=kind={kind},sm={arch[3:]},file={folder / name}")
    subprocess.run(argv, check=True)


def by_nvcc(folder: Path, name: str, pair: tuple[str, str], *options: str) -> None:
    """A shared library for two architectures in that order."""
    source = folder / "host.cu"
    source.write_text(HOST, "utf-8")
    codes = [f"-gencode=arch=compute_{p.split(':')[0]},code={p.split(':')[1]}" for p in pair]
    order = "+".join(p.split(":")[1] for p in pair)
    argv = ["nvcc", "-shared", "-Xcompiler=-fPIC", "-cudart=static", *options, *codes]
    subprocess.run([*argv, "-o", f"{folder}/lib+{name}+{order}.so", str(source)], check=True)
    source.unlink()


def half_with_ptx(folder: Path) -> None:
    """Relocatable code of two sources, of which only the one that is called has PTX."""
    sources = {"with": HOST, "without": "__global__ void other(int *p) { *p = 1; }\n"}
    both = ["-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_80,code=compute_80"]
    for name, text in sources.items():
        source = folder / f"{name}.cu"
        source.write_text(text, "utf-8")
        codes = both if name == "with" else both[:1]
        argv = ["nvcc", "-dc", "-Xcompiler=-fPIC", *codes, "-o", f"{folder}/{name}.o", str(source)]
        subprocess.run(argv, check=True)
        source.unlink()
    objects = [folder / f"{name}.o" for name in sources]
    argv = ["nvcc", "-shared", "-Xcompiler=-fPIC", "-cudart=static", "-arch=sm_80"]
    library = folder / "lib+rdc_half+sm_80+compute_80.so"
    subprocess.run([*argv, "-o", str(library), *map(str, objects)], check=True)
    for path in objects:
        path.unlink()


def main() -> None:
    """Make everything."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    maker = Maker(folder)
    images(maker)
    names = ("sm_90", "sm_90a", "sm_90-second", "sm_80", "compute_80", "compute_90", "compute_90a")
    for first, second in itertools.permutations((*names, "compute_90-second", "sm_100f"), 2):
        by_fatbinary(folder, first, second)
    for name, pair in LIBRARIES.items():
        by_nvcc(folder, name, pair)
        by_nvcc(folder, name, (pair[1], pair[0]))
    for name, pair in RELOCATABLE.items():
        by_nvcc(folder, name, pair, "-rdc=true")
    half_with_ptx(folder)
    (folder / "variants.json").write_text(json.dumps(maker.made, indent=1), "utf-8")


if __name__ == "__main__":
    main()
