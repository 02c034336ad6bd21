"""Slimmed libraries before judges that are not ours: binutils, elfutils, gdb, patchelf, NVIDIA.

Where a judge is not installed its test is skipped, and says so.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cuda_judges import listed
from nvcc import program, told
from sartor.paths import Places
from sartor.reporter import Silent
from sartor.slim.choice import Wanted
from sartor.slim.library.reduce import slim_library
from sartor.slim.retarget.jobs import NO_COMPILER, Compiler
from sartor.slim.retarget.ptxas import PtxasCompiler
from sartor.verdict.model import Target
from slim_maker import DATA, found_units

if TYPE_CHECKING:
    from pathlib import Path

HOPPER = Wanted((Target("sm_90", "9.0"),))
AHEAD = Wanted(HOPPER.targets, retarget=True, compress=True)
EVERYWHERE = Wanted(
    tuple(Target(f"sm_{n}", f"{n // 10}.{n % 10}") for n in (80, 89, 90, 100, 120)), retarget=True
)
LONG = "$ORIGIN/" + "long/" * 60
LARGE = """
template <int N> __global__ void fill(float *out) {
#pragma unroll
    for (int i = 0; i < 256; i++) out[threadIdx.x * N + i] = out[threadIdx.x ^ i] * N + i;
}
extern "C" int HOST(float *out) {
    fill<1><<<1, 1>>>(out);
    fill<2><<<1, 1>>>(out);
    return 3;
}
#ifdef MAIN
int main() { return HOST(nullptr) - 3; }
#endif
"""
LINKED = {
    "default": "-shared",
    "one-segment": "-shared -Wl,-z,noseparate-code",
    "relr": "-shared -Wl,-z,pack-relative-relocs",
    "pages-64k": "-shared -Wl,-z,max-page-size=0x10000",
    "both-hashes": "-shared -Wl,--hash-style=both -Wl,--build-id=none",
    "no-relro": "-shared -Wl,-z,norelro",
    "program": "-no-pie -DMAIN",
    "program-pie": "-pie -DMAIN",
}
COMPILED = {"retargeted": AHEAD, "grown": EVERYWHERE}
"""`units.so` with PTX compiled: at once, and after it was made smaller, so that it grows again."""


class Pair(NamedTuple):
    """A library and what it was slimmed to."""

    before: Path
    after: Path
    is_program: bool = False
    wanted: Wanted = HOPPER
    compiler: Compiler = NO_COMPILER


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runtime") / "runtime.so"
    told(program("gcc"), "-O1", "-shared", "-fPIC", DATA / "runtime.c", "-o", path)
    return path


@pytest.fixture(scope="module", params=["units.so", "linked.so", *LINKED, *COMPILED])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, runtime: Path
) -> Pair:
    """A committed library, or one that nvcc and the linker make here, as it was and slimmed."""
    folder = tmp_path_factory.mktemp("pair")
    before = folder / "before.so"
    if request.param in COMPILED:
        return compiled(folder, before, request.param)
    if request.param in LINKED:
        make(folder, before, LINKED[request.param].split(), runtime)
    else:
        shutil.copyfile(DATA / request.param, before)
        before.chmod(0o755)
    after = folder / "after.so"
    result = slim_library(before, after, HOPPER)
    assert result.changed, result.left_alone
    assert after.stat().st_size < 0.7 * before.stat().st_size
    return Pair(before, after, "program" in request.param)


def compiled(folder: Path, before: Path, name: str) -> Pair:
    program("ptxas")
    wanted, after = COMPILED[name], folder / "after.so"
    compiler = PtxasCompiler(Places(folder / "sartor"), Silent(), fetch=False)
    if name == "grown":
        slim_library(DATA / "units.so", before, HOPPER)
    else:
        shutil.copyfile(DATA / "units.so", before)
        before.chmod(0o755)
    result = slim_library(before, after, wanted, compiler)
    assert result.changed, result.left_alone
    assert result.retargeted
    assert (after.stat().st_size > before.stat().st_size) is (name == "grown")
    return Pair(before, after, wanted=wanted, compiler=compiler)


def make(folder: Path, library: Path, options: list[str], runtime: Path) -> None:
    nvcc, gcc = program("nvcc"), program("gcc")
    (folder / "large.cu").write_text(LARGE)
    own = [option for option in options if option.startswith("-D")]
    gpus = [f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in (80, 90, 120)]
    objects = []
    for name in ("host_1", "host_2"):
        objects.append(folder / f"{name}.o")
        flags = ["-Xcompiler=-fPIC", "--compress-mode=none", f"-DHOST={name}"]
        flags += own if name == "host_1" else []
        told(nvcc, "-c", *flags, *gpus, folder / "large.cu", "-o", objects[-1])
    rest = [option for option in options if option not in own]
    needs = [runtime] if own else ["-Wl,--unresolved-symbols=ignore-all"]
    told(gcc, *objects, *rest, *needs, "-lstdc++", "-o", library)


def complaints(text: str) -> list[str]:
    """Without what names an index or a size, which may be others."""
    return sorted(re.sub(r"\[ *\d+\]|0x[0-9a-f]+|\d+", "#", line) for line in text.splitlines())


def test_readelf_has_no_new_warning(pair: Pair) -> None:
    def warnings(path: Path) -> list[str]:
        text = told(program("readelf"), "-aW", path)
        return [line for line in text.splitlines() if re.match("readelf: (Warning|Error)", line)]

    assert warnings(pair.after) == warnings(pair.before)


def test_elflint_has_no_new_complaint(pair: Pair) -> None:
    lint = program("eu-elflint")
    texts = [told(lint, "--gnu-ld", path, expect=None) for path in pair[:2]]
    assert complaints(texts[1]) == complaints(texts[0])


def started(path: Path, runtime: Path, *, is_program: bool) -> list[str]:
    """What the stand-in is given when the file is loaded or run, and what its functions return."""
    if is_program:
        return told(path, LD_PRELOAD=str(runtime), LD_BIND_NOW="1").splitlines()
    code = (
        "import ctypes, sys; library = ctypes.CDLL(sys.argv[1])\n"
        "names = ['host_%d' % n for n in range(9)]\n"
        "print([(n, getattr(library, n)(None)) for n in names if hasattr(library, n)], flush=True)"
    )
    return told(sys.executable, "-c", code, path, LD_PRELOAD=str(runtime)).splitlines()


def test_the_run_time_is_given_the_same_units(pair: Pair, runtime: Path) -> None:
    before, after = (started(path, runtime, is_program=pair.is_program) for path in pair[:2])
    assert len(before) == len(after) > 2
    units = [line.split() for line in after if line.startswith("unit ")]
    assert units
    for words in units:
        assert words[1:3] == ["466243b1", "ba55ed50"]
    rest = [[line for line in lines if not line.startswith("unit ")] for lines in (before, after)]
    assert rest[0] == rest[1]
    if pair.wanted.retarget:
        return
    sizes = [int(words[3]) for words in units]
    was = [int(line.split()[3]) for line in before if line.startswith("unit ")]
    assert all(now <= old for now, old in zip(sizes, was, strict=True))


@pytest.mark.parametrize("how", ["strip", "patchelf", "patchelf, strip", "strip, patchelf"])
def test_strip_and_patchelf_still_work(pair: Pair, runtime: Path, tmp_path: Path, how: str) -> None:
    path = tmp_path / "again.so"
    shutil.copy(pair.after, path)
    for tool in how.split(", "):
        argv = ["--set-rpath", LONG] if tool == "patchelf" else []
        told(program(tool), *argv, path)
    again, once = (started(p, runtime, is_program=pair.is_program) for p in (path, pair.after))
    assert again == once


def test_gdb_finds_symbols_where_they_are(pair: Pair) -> None:
    gdb = program("gdb")
    name = "host_1" if "host_1" in told(program("readelf"), "-sW", pair.after) else "host_5"

    def address(path: Path) -> str:
        return told(gdb, "-nx", "-batch", "-ex", f"info address {name}", path).splitlines()[-1]

    assert address(pair.after) == address(pair.before)
    assert "0x" in address(pair.after)


def test_nvidias_cuobjdump_lists_what_was_promised(pair: Pair, tmp_path: Path) -> None:
    promised = slim_library(pair.before, tmp_path / "again.so", pair.wanted, pair.compiler)
    counted = Counter[tuple[str, str]]()
    for tally in promised.images:
        counted[tally.kind, tally.arch.rstrip("f")] += tally.kept + tally.new
    assert listed(pair.after) == +counted


def test_twice_is_once(pair: Pair, tmp_path: Path) -> None:
    slim_library(pair.after, tmp_path / "twice.so", pair.wanted, pair.compiler)
    assert (tmp_path / "twice.so").read_bytes() == pair.after.read_bytes()


def test_killed_at_fifty_moments(tmp_path: Path) -> None:
    """Input and output are whole or absent, whenever the process ends."""
    library, output = tmp_path / "in.so", tmp_path / "out.so"
    data = bytearray((DATA / "units.so").read_bytes())
    library.write_bytes(bytes(data) + os.urandom(64 << 20))
    whole = slim_library(library, tmp_path / "whole.so", HOPPER)
    assert whole.changed
    digest = [
        hashlib.sha256(path.read_bytes()).digest() for path in (library, tmp_path / "whole.so")
    ]
    code = (
        "import sys; from pathlib import Path\n"
        "from sartor.slim.library.reduce import slim_library\n"
        "from sartor.slim.choice import Wanted; from sartor.verdict.model import Target\n"
        "print('ready', flush=True)\n"
        "for _ in range(100):\n"
        "    slim_library(Path(sys.argv[1]), Path(sys.argv[2]), Wanted((Target('sm_90', '9.0'),)))"
    )
    moments = random.Random(8)  # noqa: S311
    for _ in range(50):
        output.unlink(missing_ok=True)
        argv = [sys.executable, "-c", code, str(library), str(output)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(moments.random() * 0.15)
            process.send_signal(signal.SIGKILL)
        assert hashlib.sha256(library.read_bytes()).digest() == digest[0]
        if output.exists():
            assert hashlib.sha256(output.read_bytes()).digest() == digest[1]
        for left in tmp_path.glob(".out.so.*"):
            left.unlink()


def test_units_are_found_where_the_loader_puts_them() -> None:
    assert len(found_units((DATA / "units.so").read_bytes())) == 4
