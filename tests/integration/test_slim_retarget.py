"""PTX compiled ahead of time before judges that are not ours: `fatbinary`, nvcc, ptxas, cuobjdump.

Where nvcc is not installed the tests are skipped, and say so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cuda_judges import kernels
from fatbin_maker import Made
from nvcc import program, told
from sartor.artifact.elf import Elf
from sartor.artifact.fatbin import Container, containers
from sartor.artifact.payload import plain_payload
from sartor.artifact.source import BytesSource, FileSource
from sartor.paths import Places
from sartor.reporter import Silent
from sartor.slim.choice import Wanted
from sartor.slim.library.headers import read_headers
from sartor.slim.library.reduce import slim_library
from sartor.slim.library.regions import find_regions
from sartor.slim.retarget.entries import Compression, compiled_entry, compressed_entry
from sartor.slim.retarget.ptxas import PtxasCompiler
from sartor.verdict.load_rule import architecture
from sartor.verdict.model import Target
from slim_maker import UNITS, library
from slim_wheels import NAME, contents, read_wheel, write_wheel
from slim_wheels import library as unit_library

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor_cli import Sartor

TARGETS = (Target("sm_90", "9.0"), Target("sm_120", "12.0"))
AHEAD = Wanted(TARGETS, retarget=True)
KERNEL = """
.version {isa}
.target sm_75
.address_size 64
.visible .entry kernel_{number}(.param .u64 out) {{
    .reg .b64 %rd<2>; .reg .b32 %r<2>;
    ld.param.u64 %rd1, [out]; mov.u32 %r1, %tid.x; st.global.u32 [%rd1], %r1; ret;
}}
"""
UNIT = """
template <int N> __global__ void fill(float *out, float by) {
    for (int i = 0; i < 32; i++) out[threadIdx.x * N + i] += out[i] * by + N;
}
extern "C" void HOST(float *out) { fill<1><<<1, 1>>>(out, 2); fill<2><<<1, 1>>>(out, 3); }
"""
OPTIONS = [[], ["-Xptxas=-O1"], ["-maxrregcount=24"], ["-fmad=false"], ["-lineinfo"], ["-G"]]
DEBUG = 2
"""The last ones' cubins hold the PTX text, of which a container leaves the tabs out."""


@pytest.fixture
def compiler(tmp_path: Path) -> PtxasCompiler:
    program("ptxas")
    return PtxasCompiler(Places(tmp_path / "sartor"), Silent(), fetch=False)


def images(path: Path) -> list[list[tuple[str, bytes]]]:
    """The images of each unit: architecture and plain bytes."""
    with FileSource(path) as source:
        regions = find_regions(source, read_headers(source, Elf(source)), AHEAD)
        return [
            [(entry.architecture, plain_payload(source, entry)) for entry in container.entries]
            for region in regions
            for container in region.containers
        ]


def code(unit: list[tuple[str, bytes]]) -> list[tuple[str, dict[str, bytes]]]:
    """The instructions of each kernel."""
    return [
        (
            arch,
            {
                section.name: cubin[section.offset :][: section.size]
                for section in Elf(BytesSource(cubin, "cubin")).sections
                if section.name.startswith(".text.")
            },
        )
        for arch, cubin in unit
    ]


def made_by_fatbinary(folder: Path, arch: str, mode: str, *options: str) -> Path:
    """A cubin that ptxas makes, and the PTX, in a container that `fatbinary` makes."""
    text, cubin, made = folder / "in.ptx", folder / "in.cubin", folder / "made.fatbin"
    text.write_text(KERNEL.format(isa="8.0", number=1) + "// rest\n" * 90)
    told(program("ptxas"), f"-arch=sm_{arch}", text, "-o", cubin)
    argv = ["-64", "--compress-all", f"--compress-mode={mode}", f"--create={made}", *options]
    argv += [f"--image3=kind=elf,sm={arch},file={cubin}", f"--image3=kind=ptx,sm=75,file={text}"]
    told(program("fatbinary"), *argv)
    return made


@pytest.mark.parametrize("debug", [(), ("-g", "--ident=unit.cu"), ("-g", "--ident=units.cu")])
@pytest.mark.parametrize(("mode", "how"), [("none", None), ("size", "zstd"), ("speed", "lz4")])
@pytest.mark.parametrize("arch", ["75", "80", "90", "90a", "100", "100f", "120"])
def test_entries_are_those_of_fatbinary(
    tmp_path: Path, arch: str, mode: str, how: Compression | None, debug: tuple[str, ...]
) -> None:
    made = made_by_fatbinary(tmp_path, arch, mode, *debug)
    plain = tmp_path / "plain.fatbin"
    with FileSource(made) as source:
        (container,) = containers(source, 0, source.size)
        assert isinstance(container, Container)
        theirs, ptx = container.entries
        code, cubin = architecture(f"sm_{arch}"), (tmp_path / "in.cubin").read_bytes()
        assert code is not None
        ours = compiled_entry(source, ptx, 0, cubin, code, how)
        data = source.read(theirs.offset, theirs.header_size + theirs.size)
    shutil.move(made_by_fatbinary(tmp_path, arch, "none", *debug), plain)
    if how is not None:
        with FileSource(plain) as source:
            (container,) = containers(source, 0, source.size)
            assert isinstance(container, Container)
            again = compressed_entry(source, container.entries[0], 0, how)
        assert again is not None
        assert again.data == ours.data
    if how != "lz4":
        assert ours.data == data
        return
    header = slice(20, 56)  # other programs make other blocks of LZ4, of other sizes
    assert ours.data[header] == data[header]
    assert ours.data[64 : ours.entry.header_size] == data[64 : theirs.header_size]
    assert ours.entry.plain == theirs.plain


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A library of units with options of their own: with PTX, and as nvcc compiles it for 9.0."""
    nvcc, folder = program("nvcc"), tmp_path_factory.mktemp("units")
    (folder / "unit.cu").write_text(UNIT)
    found = {}
    for name, code in {"ptx": "sm_80,compute_80", "native": "sm_90"}.items():
        objects = []
        for number, options in enumerate(OPTIONS):
            objects.append(folder / f"{number}.o")
            flags = [f"-gencode=arch=compute_80,code=[{code}]", f"-DHOST=host_{number}"]
            flags += ["--frandom-seed=1", "-Xcompiler=-fPIC", *options]
            told(nvcc, "-c", *flags, folder / "unit.cu", "-o", objects[-1])
        found[name] = folder / f"{name}.so"
        told(nvcc, "-shared", "-cudart=none", *objects, "-o", found[name])
    return found


def test_it_is_the_machine_code_of_nvcc(
    units: dict[str, Path], compiler: PtxasCompiler, tmp_path: Path
) -> None:
    hopper, after = Wanted(TARGETS[:1], retarget=True), tmp_path / "after.so"
    result = slim_library(units["ptx"], after, hopper, compiler)
    (row,) = result.retargeted
    assert (row.units, row.ptx, row.arch) == (len(OPTIONS), "compute_80", "sm_90")
    ours, theirs = images(after), images(units["native"])
    assert ours[:-DEBUG] == theirs[:-DEBUG]
    assert [code(unit) for unit in ours] == [code(unit) for unit in theirs]
    assert result.left_alone == []


def test_every_kernel_of_the_text_is_there(
    units: dict[str, Path], compiler: PtxasCompiler, tmp_path: Path
) -> None:
    after = tmp_path / "after.so"
    slim_library(units["ptx"], after, AHEAD, compiler)
    before = [names for header, names in kernels(units["ptx"]) if header.kind == "ptx"]
    found = [(header.arch, names) for header, names in kernels(after)]
    assert len(found) == 2 * len(OPTIONS)
    for arch in ("sm_90", "sm_120"):
        assert sorted(map(sorted, before)) == sorted(sorted(n) for a, n in found if a == arch)


def test_a_text_that_ptxas_refuses_stays(compiler: PtxasCompiler, tmp_path: Path) -> None:
    texts = [KERNEL.format(isa="8.0", number=n) for n in range(UNITS)]
    texts[1] = texts[1].replace("st.global", "st.nowhere")
    texts[2] = texts[2].replace("sm_75", "sm_90a")
    data = library([[Made("ptx", "75", text.encode() + b"\0", "8.0")] for text in texts])
    (tmp_path / "in.so").write_bytes(data)
    wanted = Wanted(TARGETS[:1], retarget=True, driver_cuda="13.0", driver="580.65.06")
    result = slim_library(tmp_path / "in.so", tmp_path / "out.so", wanted, compiler)
    assert [row.units for row in result.retargeted] == [2]
    told_of = [(left.code, left.units) for left in result.left_alone]
    assert told_of == [("not-compiled", 1)] * 2
    assert all("ptxas" in left.why for left in result.left_alone)
    assert any("nowhere" in left.why or "error" in left.why for left in result.left_alone)
    found = [[arch for arch, _ in unit] for unit in images(tmp_path / "out.so")]
    assert found == [["sm_90"], ["compute_75"], ["compute_75"], ["sm_90"]]


def test_a_ptxas_of_its_own_cuda_is_taken_from_its_wheel(tmp_path: Path) -> None:
    """PTX of CUDA 12 becomes code that drivers of CUDA 12 load, whatever ptxas is here."""
    data = library(
        [[Made("ptx", "75", KERNEL.format(isa="8.8", number=n).encode(), "8.8")] for n in range(4)]
    )
    (tmp_path / "in.so").write_bytes(data)
    compiler = PtxasCompiler(Places(tmp_path / "sartor"), Silent())
    for name in ("once.so", "again.so"):
        result = slim_library(tmp_path / "in.so", tmp_path / name, AHEAD, compiler)
        assert {row.arch for row in result.retargeted} == {"sm_90", "sm_120"}
        assert all(
            version.startswith("12.9.") for row in result.retargeted for version in row.ptxas
        )
    assert (tmp_path / "once.so").read_bytes() == (tmp_path / "again.so").read_bytes()
    (kept,) = (tmp_path / "sartor").glob("caches/ptxas/bin/12.9.*/ptxas")
    assert re.search(r"V12\.9\.", told(kept, "--version"))
    assert [path.name for path in kept.parent.parent.iterdir()] == [kept.parent.name]


SLOW = """#!/bin/bash
[ "$1" = --version ] && exec {ptxas} --version
echo $$ >> {folder}/begun
{ptxas} "$@" || exit
[ $(wc -l < {folder}/begun) -lt 3 ] || sleep 30
"""


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Path]:
    """A folder with a ptxas that compiles two texts and does not come to an end with the third."""
    folder = tmp_path / "slow"
    folder.mkdir()
    wrapper = folder / "ptxas"
    wrapper.write_text(SLOW.format(ptxas=program("ptxas"), folder=folder))
    wrapper.chmod(0o755)
    yield folder
    assert not alive(folder)


def alive(folder: Path) -> list[int]:
    """Those of the slow programs that still run."""
    begun = [int(line) for line in (folder / "begun").read_text().split()]
    return [pid for pid in begun if os.path.exists(f"/proc/{pid}")]  # noqa: PTH110


def slimmed(path: Path, output: Path, home: Path, tools: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "sartor", "slim", str(path), "--gpu", "sm_90", "--retarget"]
    environment = {**os.environ, "PATH": tools, "SARTOR_HOME": str(home)}
    environment.pop("CUDA_HOME", None)
    return subprocess.Popen(
        [*argv, "-o", str(output)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("kind", ["library", "wheel"])
def test_a_run_that_is_ended_goes_on_where_it_was(
    units: dict[str, Path], slow: Path, tmp_path: Path, kind: str
) -> None:
    output, home = tmp_path / "out" / NAME, tmp_path / "home"
    path, source = f"{slow}:{os.environ['PATH']}", units["ptx"]
    if kind == "wheel":
        files = {**contents(), "units/units.so": source.read_bytes()}
        source = write_wheel(tmp_path / NAME, files)
    with slimmed(source, output, home, path) as process:
        for _ in range(600):
            begun = slow / "begun"
            if begun.is_file() and len(begun.read_text().split()) >= 4:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert b"Traceback" not in said
    assert not output.exists()
    assert not alive(slow)
    kept = len(list((home / "caches/ptxas/cubins").iterdir()))
    assert 1 <= kept < len(OPTIONS)
    counting = Path(str(tmp_path / "counting"))
    counting.mkdir()
    (counting / "ptxas").write_text(
        SLOW.format(ptxas=program("ptxas"), folder=counting).replace("sleep 60", "true")
    )
    (counting / "ptxas").chmod(0o755)
    with slimmed(source, output, home, f"{counting}:{os.environ['PATH']}") as process:
        _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert len((counting / "begun").read_text().split()) == len(OPTIONS) - kept
    if kind == "wheel":
        (tmp_path / "made.so").write_bytes(read_wheel(output)["units/units.so"])
        output = tmp_path / "made.so"
    assert images(output)[:-DEBUG] == images(units["native"])[:-DEBUG]


def test_a_wheel_with_code_compiled_ahead_of_time(plain: Sartor, tmp_path: Path) -> None:
    """What it is called, what it says of itself, and that its library is that of the library."""
    program("ptxas")
    wheel = write_wheel(tmp_path / NAME)
    (tmp_path / "units.so").write_bytes(unit_library())
    asked = ("--gpu=sm_90", "--gpu=sm_120", "--retarget")
    done = plain.run("slim", str(wheel), *asked, "-o", f"{tmp_path}/out/").succeeded()
    assert "1 unit of compute_80" in done.stdout
    (made,) = (tmp_path / "out").iterdir()
    assert "-1sm90.sm120.aot-" in made.name
    plain.run("slim", f"{tmp_path}/units.so", *asked, "-o", f"{tmp_path}/alone.so").succeeded()
    files = read_wheel(made)
    (member,) = (name for name in files if name.endswith("units.so"))
    assert files[member] == (tmp_path / "alone.so").read_bytes()
    (said,) = (json.loads(files[name]) for name in files if name.endswith("/sartor.json"))
    assert (said["retarget"], said["compress"]) == (True, False)
    assert ("sm_90", 1) in [(row["arch"], row["units"]) for row in said["libraries"][0]["compiled"]]
    plain.run("slim", str(made), "--gpu=sm_90", "-o", f"{tmp_path}/less/").succeeded()
    plain.run("slim", str(wheel), *asked[0::2], "-o", f"{tmp_path}/once/").succeeded()
    (less,), (once,) = ((tmp_path / name).iterdir() for name in ("less", "once"))
    assert "-1sm90.aot-" in less.name
    assert less.name == once.name
    assert read_wheel(less) == read_wheel(once)
