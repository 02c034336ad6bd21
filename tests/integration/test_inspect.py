"""`sartor inspect` on published packages, as a user calls it, against what is known of them.

The facts are those of the packages' issues and documents, and of `cuobjdump`; nothing is taken from
what Sartor printed.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from sartor.artifact.reading import read_evidence
from sartor.facts.packages import facts_about
from sartor.verdict import dispatch
from sartor.verdict.inspection import judge
from sartor.verdict.model import Target
from sartor_cli import Sartor, isolated_variables, kept_besides_evidence
from wheels import wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.facts.packages import PackageFacts
    from sartor_cli import Document

    Published = Callable[[str, str], Document]

NEW, OLD = "580.95", "570.86"
"""Drivers that support CUDA 13.0 and 12.8."""
VLLM, SGL_NEW = "vllm==0.25.1", "sglang-kernel==0.4.10"
SGL, SGL_OLD = "sgl-kernel==0.3.21", "sgl-kernel==0.3.9.post2"
BITSANDBYTES = "bitsandbytes==0.50.2"
GPUS = {"h200": "sm_90", "rtx-5090": "sm_120", "v100": "sm_70"}
GRADES = ("native", "jit", "missing", "not_applicable", "unknown")
FA2, FA3 = "_vllm_fa2_C.abi3.so", "_vllm_fa3_C.abi3.so"


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sartor]:
    """`sartor` with a home of its own: inspecting writes nothing but evidence."""
    folder = tmp_path_factory.mktemp("inspect")
    sartor = Sartor(folder / "home", folder, isolated_variables(folder))
    yield sartor
    assert kept_besides_evidence(sartor.home) == []


@pytest.fixture(scope="module")
def published(quiet: Sartor) -> Published:
    """What is printed of a requirement's wheel for all `GPUS` with one driver; asked once.

    The wheel is read: evidence of it is shipped.
    """

    @cache
    def inspected(requirement: str, driver: str) -> Document:
        asked = [word for gpu in GPUS for word in ("--gpu", gpu)]
        words = (str(wheel(requirement)), *asked, "--driver", driver, "--no-store")
        return quiet.json("inspect", *words)

    return inspected


def library(document: Document, end: str) -> Document:
    """The one library whose path ends so."""
    (found,) = [lib for lib in document["libraries"] if lib["path"].endswith(end)]
    return dict(found)


def grades(document: Document, end: str, gpu: str) -> dict[str, int]:
    """The counts of a library on a GPU that are not zero."""
    (verdict,) = [v for v in library(document, end)["verdicts"] if v["gpu"] == gpu]
    return {grade: verdict[grade] for grade in GRADES if verdict[grade]}


def images(document: Document, end: str) -> dict[tuple[str, str], int]:
    """How many images of each kind and architecture a library has."""
    found: dict[tuple[str, str], int] = {}
    for image in library(document, end)["images"]:
        key = image["kind"], image["arch"]
        found[key] = found.get(key, 0) + image["count"]
    return found


def features(document: Document, name: str) -> dict[str, str]:
    """The verdict of a feature on each GPU."""
    return {f["gpu"]: f["verdict"] for f in document["features"] if f["name"] == name}


def texts(document: Document, code: str) -> str:
    """What all findings of a code say."""
    return "\n".join(f["text"] for f in document["findings"] if f["code"] == code)


@pytest.mark.parametrize("requirement", [VLLM, SGL, SGL_OLD, SGL_NEW, BITSANDBYTES])
def test_counts_add_up_and_every_other_grade_has_its_reason(
    requirement: str, published: Published
) -> None:
    document = published(requirement, NEW)
    assert [gpu["gpu"] for gpu in document["gpus"]] == list(GPUS.values())
    judged = 0
    for lib in document["libraries"]:
        units = sum(unit["count"] for unit in lib["units"])
        assert len(lib["verdicts"]) == (len(GPUS) if units else 0), lib["path"]
        for verdict in lib["verdicts"]:
            judged += 1
            assert verdict["units"] == units
            assert sum(verdict[grade] for grade in GRADES) == units, (lib["path"], verdict)
            named = sum(int(line.partition(" ")[0]) for line in verdict["because"])
            assert named == units - verdict["native"], (lib["path"], verdict)
    assert judged >= 3 * 5
    assert document["sha256"]
    assert document["not_checked"] == []


def test_vllm_with_a_driver_for_cuda_13(published: Published) -> None:
    document = published(VLLM, NEW)
    assert images(document, FA2) == {("cubin", "sm_80"): 52, ("ptx", "compute_80"): 52}
    assert {i["ptx_isa"] for i in library(document, FA2)["images"]} == {None, "9.0"}
    for gpu in ("sm_90", "sm_120"):
        assert grades(document, FA2, gpu) == {"jit": 52}
        (needs,) = [
            v["needs_driver_cuda"] for v in library(document, FA2)["verdicts"] if v["gpu"] == gpu
        ]
        assert needs == "13.0"
    assert grades(document, FA3, "sm_90") == {"native": 192}
    assert grades(document, FA3, "sm_120") == {"not_applicable": 192}
    assert features(document, "FlashAttention 2") == {
        "sm_90": "jit",
        "sm_120": "jit",
        "sm_70": "not-applicable",
    }
    assert features(document, "FlashAttention 3") == {
        "sm_90": "native",
        "sm_120": "not-applicable",
        "sm_70": "not-applicable",
    }
    assert features(document, "core operators")["sm_70"] == "missing"
    assert features(document, "core operators")["sm_120"] == "native"
    assert {lib["cuda_major"] for lib in document["libraries"] if lib["units"]} == {13}


def test_vllm_with_a_driver_for_cuda_12_does_not_start(published: Published) -> None:
    document = published(VLLM, OLD)
    for lib in document["libraries"]:
        for verdict in lib["verdicts"]:
            assert verdict["native"] == verdict["jit"] == 0
            because = " ".join(verdict["because"])
            if verdict["gpu"] == "sm_70":  # which no driver would help
                assert "CUDA 12.8" not in because
            elif verdict["missing"] and verdict["needs_driver_cuda"]:
                assert "made for CUDA 13, which wants driver 580" in because
                assert "this one supports CUDA 12.8" in because
                assert verdict["needs_driver_cuda"] == "13.0"
    assert features(document, "FlashAttention 2")["sm_120"] == "missing"
    assert "wants driver 580" in texts(document, "driver-cuda")
    assert texts(published(VLLM, NEW), "driver-cuda") == ""


def test_not_applicable_takes_a_dispatch_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same evidence without the facts: every such unit is missing, nothing else changes."""
    evidence = read_evidence(wheel(VLLM), lambda path: "one" if "fa" in path else "none")
    targets = [Target("sm_90", "9.0"), Target("sm_120", "12.0"), Target("sm_70", "7.0")]

    def counts() -> dict[tuple[str, str], tuple[int, ...]]:
        return {
            (lib.path, v.gpu): (v.native, v.jit, v.unknown, v.missing, v.not_applicable)
            for lib in judge(evidence, targets).libraries
            for v in lib.verdicts
        }

    def without(name: str) -> PackageFacts | None:
        about = facts_about(name)
        return msgspec.structs.replace(about, dispatch=[]) if about else None

    known = counts()
    monkeypatch.setattr(dispatch, "facts_about", without)
    bare = counts()
    assert {key: (*v[:3], v[3] + v[4], 0) for key, v in known.items()} == bare
    assert known["vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so", "sm_120"] == (0, 0, 0, 0, 192)
    assert bare["vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so", "sm_120"] == (0, 0, 0, 192, 0)


def test_sgl_kernel_declares_less_than_it_needs(published: Published) -> None:
    document = published(SGL, NEW)
    assert "libnuma.so.1" in texts(document, "library-not-provided")
    assert "cpython-310" in texts(document, "abi3-module")
    assert "manylinux2014" in texts(document, "glibc-tag")
    assert "2.17" in texts(document, "glibc-tag")
    (package,) = document["packages"]
    assert package["requires"] == []
    assert "deep_gemm_cpp.abi3.so" in texts(document, "no-device-code")
    assert "nvrtc" in library(document, "deep_gemm_cpp.abi3.so")["compilers"]


def test_sgl_kernel_for_blackwell_lacks_flash_attention(published: Published) -> None:
    document = published(SGL_OLD, NEW)
    assert images(document, "common_ops.abi3.so")["cubin", "sm_120a"] == 60
    flash = images(document, "flash_ops.abi3.so")
    assert flash
    assert not any("120" in arch for _, arch in flash)
    assert grades(document, "common_ops.abi3.so", "sm_120") == {"native": 60}
    assert "native" not in grades(document, "flash_ops.abi3.so", "sm_120")
    assert grades(document, "common_ops.abi3.so", "sm_70") == {"missing": 60}


def test_sglang_kernel_for_blackwell(published: Published) -> None:
    """By the project's own measurements 15 MB of its 1,052 MB serve 12.0, and none 7.0 or 7.5."""
    document = published(SGL_NEW, NEW)
    used = dict.fromkeys(GPUS.values(), 0)
    for lib in document["libraries"]:
        for verdict in lib["verdicts"]:
            used[verdict["gpu"]] += verdict["native_bytes"] + verdict["jit_bytes"]
    assert 14 << 20 < used["sm_120"] < 17 << 20
    assert used["sm_70"] == 0
    held = sum(i["bytes"] for lib in document["libraries"] for i in lib["images"])
    assert 1040 << 20 < held < 1110 << 20
    assert "torch==2.14.1" in document["packages"][0]["requires"]


def test_alternatives_are_no_mixture(published: Published) -> None:
    """One library for each CUDA version, of which one is loaded."""
    document = published(BITSANDBYTES, NEW)
    assert {lib["cuda_major"] for lib in document["libraries"]} == {None, 11, 12, 13}
    codes = {finding["code"] for finding in document["findings"]}
    assert not {code for code in codes if "cuda" in code or "major" in code}, codes
    assert grades(document, "cuda130.so", "sm_120") == {"native": 7}
    assert "native" not in grades(document, "cuda130.so", "sm_70")
    assert grades(document, "cuda118.so", "sm_70") == {"native": 7}


def test_the_same_target_twice_is_the_same_twice(quiet: Sartor) -> None:
    words = ("inspect", str(wheel(BITSANDBYTES)), "--gpu", "h200", "--driver", NEW, "--no-store")
    shown = [quiet.run(*words, "--json").succeeded().stdout for _ in range(2)]
    assert shown[0] == shown[1]
    both = quiet.json("inspect", words[1], *words[1:])
    assert both["schema"] == "sartor.inspections/1"
    first, second = both["inspections"]
    assert first == second


def test_kernels_of_a_small_library(quiet: Sartor, tmp_path: Path) -> None:
    """The 8-bit optimizers of bitsandbytes are public: their names are known."""
    with zipfile.ZipFile(wheel(BITSANDBYTES)) as archive:
        path = Path(archive.extract("bitsandbytes/libbitsandbytes_cuda130.so", tmp_path))
    words = ("inspect", str(path), "--gpu", "rtx-5090", "--gpu", "v100", "--driver", NEW)
    document = quiet.json(*words, "--kernels")
    (lib,) = document["libraries"]
    assert len(lib["units"]) == 7
    named = [unit for unit in lib["units"] if unit["kernels"]]
    assert any("kQuantizeBlockwise" in name for unit in named for name in unit["kernels"])
    text = quiet.run(*words, "--kernels").succeeded().stdout
    assert "kQuantizeBlockwise<float" in text
    assert "_Z" not in text
    (count,) = {len(unit["kernels"]) for unit in named if not unit["relocatable"]}
    assert f"RTX 5090 lacks 0 of {count}" in text
    assert f"V100-SXM2-16GB lacks {count} of {count}" in text


def shown_in_the_readme() -> list[tuple[list[str], list[str]]]:
    """Each `$ sartor inspect` of the README: its words, and the lines that it shows."""
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    found = []
    for block in text.split("```")[1::2]:
        command, _, output = block.strip("\n").partition("\n")
        if command.startswith("$ sartor inspect "):
            found.append((shlex.split(command)[2:], output.splitlines()))
    return found


@pytest.mark.parametrize(("words", "lines"), shown_in_the_readme())
def test_the_readme_shows_what_is_printed(
    words: list[str], lines: list[str], quiet: Sartor, tmp_path: Path
) -> None:
    """Line by line, what `...` stands for left out."""
    name, *options = words[1:]
    requirement = next(r for r in (VLLM, SGL, BITSANDBYTES) if r[:3] == name[:3])
    file = wheel(requirement)
    if name.endswith(".so"):
        with zipfile.ZipFile(file) as archive:
            file = Path(archive.extract(name, tmp_path))
    printed = iter(quiet.run("inspect", str(file), *options).succeeded().stdout.splitlines())
    assert len(lines) > 5
    lost = [line for line in lines if line != "..." and line not in printed]
    assert lost == [], "the README shows another output: run the command and copy it anew"


def test_cufft_keeps_its_code_among_other_data(quiet: Sartor) -> None:
    """23,983 containers in `.ldata`: on an H200 it works, so little of it may be called missing."""
    document = quiet.json("inspect", str(wheel("nvidia-cufft==12.0.0.61")), "--gpu", "h200")
    lib = next(lib for lib in document["libraries"] if lib["path"].endswith("libcufft.so.12"))
    assert sum(unit["count"] for unit in lib["units"] if unit["scattered"]) == 23_983
    (verdict,) = lib["verdicts"]
    assert verdict["native"] == 393
    assert verdict["jit"] > 0
    assert verdict["missing"] <= 1  # the one unit outside


def test_inspecting_a_folder_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """Each of these takes about a hundredth of a second, and a folder is read in ten of them."""
    script = (
        "import sys; sys.argv = ['sartor', 'inspect', '.', '--json', '--no-store']\n"
        "from sartor.__main__ import main; main(); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"inspect", "logging", "shutil", "sqlite3", "subprocess", "packaging.tags", "requests"}
    assert not heavy & set(done.stderr.split())
