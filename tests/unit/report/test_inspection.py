"""Inspections as people see them: whole reports held against files, and the rules of the tables."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.artifact.model import Image, NotRead, Package, Unit
from sartor.report.document import print_lines
from sartor.report.grid import Column, grid
from sartor.report.inspection import (
    Layout,
    inspection_lines,
    layout_for,
    package_line,
    requires_torch,
)
from sartor.report.inspection_features import reason_texts
from sartor.report.inspection_gpus import aligned, labels, needs, of_gpu
from sartor.report.inspection_kernels import kernel_lines, shortened
from sartor.report.words import archs, clean, short_paths
from sartor.verdict.feature import sentence
from sartor.verdict.model import (
    Feature,
    FeatureGrade,
    Finding,
    InspectedLibrary,
    Inspection,
    Reason,
    Target,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

GOLDEN = Path(__file__).parent / "golden"
REWRITE = "python tests/unit/report/test_inspection.py"
MIB = 1 << 20

RTX_5090 = Target("sm_120", "12.0", "NVIDIA GeForce RTX 5090", "575.57", "12.9")
H200 = Target("sm_90", "9.0", "NVIDIA H200", "580.95", "13.0", count=2)
B200 = Target("sm_100", "10.0", "NVIDIA B200")
WORKSTATION = Target(
    "sm_120", "12.0", "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "580.95", "13.0"
)
V100 = Target("sm_70", "7.0", "Tesla V100-SXM2-32GB", "570.86", "12.8")
NAMELESS = Target("sm_89", "8.9", driver_cuda="12.4")


def image(arch: str, count: int, size: int, isa: str | None = None) -> Image:
    """``count`` images of ``size`` MiB together, PTX where the architecture is virtual."""
    return Image(
        kind="ptx" if isa else "cubin",
        arch=arch,
        count=count,
        bytes=size * MIB,
        plain_bytes=4 * size * MIB,
        ptx_isa=isa,
        compression="zstd",
    )


def one_gpu() -> Inspection:
    """A wheel of kernels alone, of which no features are known, for one GPU."""
    images = [image("sm_80", 372, 400), image("sm_90a", 372, 586)]
    flash = InspectedLibrary(
        path="sgl_kernel/flash_ops.abi3.so",
        size=1000 * MIB,
        cuda_major=12,
        images=images,
        units=[Unit(images=[0, 1], count=372, bytes=986 * MIB)],
        verdicts=[
            Verdict(
                gpu="sm_120",
                units=372,
                missing=372,
                reasons=[Reason("missing", 372, "holds sm_80, sm_90a: nothing for sm_120")],
            )
        ],
    )
    common = [
        InspectedLibrary(
            path=f"sgl_kernel/{part}/common_ops.abi3.so",
            size=9 * MIB,
            cuda_major=12,
            images=[image("sm_90a", 35, 3), image("sm_120a", 35, 5)],
            torch_abi="cxx11",
            one_of="it loads sm90/common_ops on 9.0 and sm100/common_ops elsewhere",
            units=[Unit(images=[0, 1], count=35, bytes=8 * MIB)],
            verdicts=[Verdict(gpu="sm_120", units=35, native=35, native_bytes=5 * MIB)],
        )
        for part in ("sm90", "sm100")
    ]
    return Inspection(
        target="wheels/sgl_kernel-0.3.21-cp310-abi3-manylinux2014_x86_64.whl",
        kind="wheel",
        size=345 * MIB,
        sha256="e2d59f2789b2d118" * 4,
        gpus=[RTX_5090],
        packages=[
            Package(
                name="sgl-kernel",
                version="0.3.21",
                path="sgl_kernel-0.3.21.dist-info",
                file_tags=["cp310-abi3-manylinux2014_x86_64"],
                requires=["torch-c-dlpack-ext", "torchvision; extra == 'all'"],
                libraries=[library.path for library in (flash, *common)],
            )
        ],
        libraries=[flash, *common],
        findings=[
            Finding(
                code="glibc-above-tag",
                severity="warning",
                text="the tag promises glibc 2.17 and the library needs 2.34",
                path="sgl_kernel/flash_ops.abi3.so",
            )
        ],
    )


SIX = [RTX_5090, H200, B200, WORKSTATION, V100, NAMELESS]
OLD = "made for CUDA 13; this one supports CUDA 12.9"
ATTENTION = "the host code calls them on 9.0 alone"


def six_gpus() -> Inspection:
    """A wheel of an engine whose features are known, for six GPUs."""
    images = [
        image("sm_80", 60, 12),
        image("sm_120f", 50, 9),
        image("compute_80", 60, 3, "9.0"),
    ]
    core = InspectedLibrary(
        path="vllm/_C_stable_libtorch.abi3.so",
        size=80 * MIB,
        cuda_major=13,
        toolkits=["13.0"],
        torch_abi="stable",
        images=images,
        units=[Unit(images=[0, 2], count=60), Unit(images=[1], count=50)],
        verdicts=[
            Verdict(gpu="sm_120", units=110, missing=110, reasons=[Reason("missing", 110, OLD)]),
            Verdict(gpu="sm_90", target=1, units=110, jit=60, missing=50, needs_driver_cuda="13.0"),
            Verdict(
                gpu="sm_100", target=2, units=110, jit=60, missing=50, needs_driver_cuda="13.0"
            ),
            Verdict(gpu="sm_120", target=3, units=110, native=50, jit=60, needs_driver_cuda="13.0"),
            Verdict(gpu="sm_70", target=4, units=110, missing=110),
            Verdict(gpu="sm_89", target=5, units=110, native=60, missing=49, unknown=1),
        ],
    )
    grades = [("missing", 192), ("native", 192), *[("not_applicable", 192)] * 4]
    attention = InspectedLibrary(
        path="vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so",
        size=130 * MIB,
        cuda_major=13,
        images=[msgspec.structs.replace(image("sm_90a", 192, 127), compression=None)],
        units=[Unit(images=[0], count=192)],
        verdicts=[
            Verdict(
                gpu=target.gpu,
                target=number,
                units=192,
                native=count if grade == "native" else 0,
                missing=count if grade == "missing" else 0,
                not_applicable=count if grade == "not_applicable" else 0,
                native_bytes=127 * MIB if grade == "native" else 0,
                reasons=[Reason("missing", count, OLD)] if grade == "missing" else [],
            )
            for number, (target, (grade, count)) in enumerate(zip(SIX, grades, strict=True))
        ],
    )
    bare = InspectedLibrary(path="vllm/spinloop.abi3.so", size=MIB, compilers=["nvrtc"])
    return Inspection(
        target="vllm-0.32.0-cp38-abi3-manylinux_2_28_x86_64.whl",
        kind="wheel",
        size=311 * MIB,
        sha256="7bef4d95c399740d" * 4,
        gpus=SIX,
        packages=[
            Package(
                name="vllm",
                version="0.32.0",
                path="vllm-0.32.0.dist-info",
                file_tags=["cp38-abi3-manylinux_2_28_x86_64"],
                requires=["torch==2.13.0", "torchaudio==2.13.0"],
                libraries=[core.path, attention.path, bare.path],
                compilers=["triton"],
            )
        ],
        libraries=[core, attention, bare],
        features=[*core_features(), *attention_features()],
    )


def feature(
    name: str, number: int, verdict: FeatureGrade, *reasons: Reason, needs: str | None = None
) -> Feature:
    """A feature on one of the six GPUs."""
    return Feature(
        name=name,
        gpu=SIX[number].gpu,
        target=number,
        verdict=verdict,
        because=sentence(reasons),
        reasons=list(reasons),
        needs_driver_cuda=needs,
    )


def core_features() -> list[Feature]:
    """One feature on six GPUs: too old a driver, PTX, machine code, both, neither, unknown."""
    name = "core operators"
    jit = Reason("jit", 60, "compute_80 PTX (ISA 9.0) is compiled at first use")
    unread = "the kernels of vllm/_C_stable_libtorch.abi3.so were not read"
    some = [
        Reason("missing", 50, f"holds sm_120f: nothing for {gpu}") for gpu in ("sm_90", "sm_100")
    ]
    native = Reason("native", 50, "machine code for sm_120f")
    none = Reason("missing", 110, "holds sm_80, compute_80: nothing for sm_70")
    return [
        feature(name, 0, "missing", Reason("missing", 110, OLD)),
        feature(name, 1, "partial", some[0], jit, needs="13.0"),
        feature(name, 2, "partial", some[1], jit, needs="13.0"),
        feature(name, 3, "jit", jit, native, needs="13.0"),
        feature(name, 4, "missing", none),
        feature(name, 5, "unknown", Reason("unknown", 110, unread)),
    ]


def attention_features() -> list[Feature]:
    """A feature of one GPU, which the others do without."""
    name = "FlashAttention 3"
    elsewhere = Reason("not-applicable", 192, ATTENTION)
    return [
        feature(name, 1, "native", Reason("native", 192, "machine code for sm_90a"))
        if target is H200
        else feature(name, number, "not-applicable", elsewhere)
        for number, target in enumerate(SIX)
    ]


def hostile() -> Inspection:
    """A folder of files that lie, with names that a terminal would obey."""
    lying = InspectedLibrary(
        path="lib/\x1b[31mred\n.so",
        size=1 << 40,
        images=[
            Image(kind="unknown", arch="\x07kind 0x7f", count=2**32, bytes=2**62, plain_bytes=0),
            image("sm_9999999999999x", 1, 1),
        ],
        units=[Unit(images=[0, 1], count=3)],
        verdicts=[
            Verdict(
                gpu="sm_120",
                units=3,
                unknown=3,
                because=["3 unknown: kind\t0x7f"],
                reasons=[Reason("unknown", 3, "kind\t0x7f")],
            )
        ],
        not_read=[NotRead("lib/\x1b[31mred\n.so", "LZ4: offset 9 before the start", 0x1234)],
    )
    truncated = InspectedLibrary(
        path="lib/" + "deep/" * 60 + "truncated.so",
        size=64,
        not_read=[NotRead("lib/truncated.so", "the section headers end at 0x40", 0x40)],
    )
    return Inspection(
        target="somewhere/évil\u202e/",
        kind="environment",
        gpus=[msgspec.structs.replace(RTX_5090, driver=None, driver_cuda=None)],
        packages=[Package(name="n" * 300, version="0\x1b]0;title\x07", path="x.dist-info")],
        libraries=[lying, truncated],
        findings=[
            Finding(code="no-code", severity="note", text="nothing\r\nhere"),
            Finding(code="mixed", severity="error", text="two CUDA majors", path="a\x1b[2J"),
        ],
        not_checked=[
            NotRead("lib/\x1b[31mred\n.so", "LZ4: offset 9 before the start", 0x1234),
            *truncated.not_read,
            NotRead("../../etc/passwd", "the name leads out of the archive"),
        ],
    )


CASES = {"one_gpu": one_gpu, "six_gpus": six_gpus, "hostile": hostile}


def written(case: str) -> str:
    """The whole report of a case in 100 columns."""
    return "".join(f"{line}\n" for line in inspection_lines(CASES[case](), Layout()))


@pytest.mark.parametrize("case", CASES)
def test_the_whole_report(case: str) -> None:
    held = (GOLDEN / f"{case}.txt").read_text("utf-8")
    assert written(case) == held, f"if it should look like this now: {REWRITE}"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("detail", [False, True])
def test_no_line_is_wider_and_none_is_obeyed(case: str, *, detail: bool) -> None:
    lines = inspection_lines(CASES[case](), Layout(detail=detail))
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
    assert lines == [line.rstrip() for line in lines]


def test_fifteen_gpus_come_in_blocks() -> None:
    found = six_gpus()
    many = [
        msgspec.structs.replace(H200, name=f"NVIDIA GPU number {n}", driver=f"580.{n}")
        for n in range(15)
    ]
    libraries = [
        msgspec.structs.replace(
            library,
            verdicts=[
                msgspec.structs.replace(verdict, target=n)
                for verdict in library.verdicts[1:2]
                for n in range(15)
            ],
        )
        for library in found.libraries
    ]
    lines = inspection_lines(
        msgspec.structs.replace(found, gpus=many, libraries=libraries, features=[]), Layout()
    )
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    assert all(text.count(f"number {n}") >= 1 for n in range(15))
    assert text.count("_vllm_fa3_C.so  ") >= 4


def test_no_gpu_asked_for_no_verdicts_shown() -> None:
    bare = msgspec.structs.replace(six_gpus(), gpus=[], features=[])
    for library in bare.libraries:
        library.verdicts.clear()
    text = "\n".join(inspection_lines(bare, Layout()))
    assert "_C_stable_libtorch.so" in text
    assert "sm_80 120f, PTX 80 (ISA 9.0), zstd" in text
    assert "native" not in text
    assert "missing" not in text


def test_one_library_is_shown_whole() -> None:
    found = six_gpus()
    alone = msgspec.structs.replace(found, libraries=found.libraries[:1], packages=[])
    lines = inspection_lines(alone, Layout())
    assert any(line.split()[:3] == ["compute_80", "60", "3.0"] for line in lines)
    assert any("the stable ABI" in line for line in lines)


def test_an_environment_names_the_packages_with_device_code() -> None:
    found = six_gpus()
    others = [Package(name=f"p{n}", version="1", path=f"p{n}.dist-info") for n in range(30)]
    env = msgspec.structs.replace(found, kind="environment", packages=[*others, *found.packages])
    lines = inspection_lines(env, Layout())
    assert lines[3].startswith("vllm 0.32.0; ")
    assert "and 30 more packages" in lines
    bare = msgspec.structs.replace(env, libraries=found.libraries[2:], features=[])
    assert "31 packages" in inspection_lines(bare, Layout())


def test_torch_itself_requires_none() -> None:
    of_torch = Package(name="torch", version="2.11.0", path="torch-2.11.0.dist-info")
    assert package_line(of_torch, 100, torch=True) == ["torch 2.11.0"]
    other = Package(name="numba-cuda", version="1", path="x.dist-info")
    assert package_line(other, 100, torch=True) == ["numba-cuda 1; requires no torch"]
    assert package_line(other, 100, torch=False) == ["numba-cuda 1"]
    assert [
        requires_torch(r) for r in ("torch", "torch<3,>=2.4", "Torch ; python_version>'3'")
    ] == [True] * 3
    assert not any(map(requires_torch, ["torchvision", "torch-memory-saver", "torch; extra=='x'"]))


def test_many_features_native_everywhere_share_a_line() -> None:
    found = six_gpus()
    many = [
        Feature(
            name=f"feature {n}", gpu=target.gpu, target=number, verdict="native", because="code"
        )
        for n in range(20)
        for number, target in enumerate(SIX)
    ]
    text = "\n".join(
        inspection_lines(
            msgspec.structs.replace(found, features=[*found.features, *many]), Layout()
        )
    )
    assert "native on all of them: feature 0, feature 1, " in text
    assert text.count("feature 19") == 1
    assert "\ncore operators " in text


def test_an_encoding_without_the_letters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    print_lines(*inspection_lines(hostile(), Layout()))
    assert raw.getvalue().isascii()
    assert b"?vil" in raw.getvalue()
    assert not capsys.readouterr().err


def test_a_pipe_is_as_wide_as_an_issue() -> None:
    assert layout_for(io.StringIO(), detail=True, kernels=False) == Layout(100, detail=True)


# --- kernels ---------------------------------------------------------------------------------


def plain(names: Iterable[str]) -> dict[str, str]:
    """Two names as a demangler gives them; the third is none."""
    known = {"_Z3addPf": "add(float*)", "_Z3mulPf": f"mul<{'a, ' * 200}last>(float*)"}
    return {name: known[name] for name in names if name in known}


def with_kernels() -> Inspection:
    """One unit with names in two images, and one that nobody read."""
    unit = Unit(
        images=[0, 1],
        offset=0x1A40,
        kernels={"_Z3mulPf": [0, 1], "_Z3addPf": [1], "plain_c": [1]},
        kernels_read=[0, 1],
    )
    library = InspectedLibrary(
        path="a/b.so",
        size=MIB,
        cuda_major=12,
        images=[image("sm_120", 2, 1), image("sm_90", 2, 1)],
        units=[unit, Unit(images=[0], count=7)],
    )
    return Inspection(target="b.so", kind="library", gpus=[RTX_5090, H200], libraries=[library])


def test_kernels_by_what_holds_them_and_who_lacks_them() -> None:
    [lines] = kernel_lines(with_kernels(), plain)
    assert lines[:7] == [
        "kernels of b.so: 3",
        "  RTX 5090 lacks 2 of 3",
        "  H200 lacks 0 of 3",
        "  unit at 0x1a40, 3 kernels",
        "    in sm_90 - LACKED BY RTX 5090:",
        "      add(float*)",
        "      plain_c",
    ]
    assert lines[7] == "    in sm_90 120:"
    assert lines[8].startswith("      mul<a, a, ")
    assert lines[8].endswith("last>(...)")
    assert len(lines[8]) == 160
    assert lines[9:] == ["  7 units whose names were not read"]


def test_the_image_that_is_taken_was_not_read() -> None:
    found = with_kernels()
    unit = msgspec.structs.replace(
        found.libraries[0].units[0], kernels={"k": [1]}, kernels_read=[1]
    )
    library = msgspec.structs.replace(found.libraries[0], units=[unit])
    [lines] = kernel_lines(msgspec.structs.replace(found, libraries=[library]), plain)
    assert lines[1] == "  RTX 5090 lacks 0 of 1, of 1 it is not known"
    assert lines[4] == "    in sm_90 - not known for RTX 5090:"


def test_parameters_go_before_the_arguments_of_templates() -> None:
    assert shortened("void f<1>(int, g<2>(*)(int), " + "float, " * 30 + "int)", 40) == (
        "void f<1>(...)"
    )
    assert shortened("f(int)", 40) == "f(int)"
    assert shortened(")" * 50, 40) == ")" * 18 + "..." + ")" * 19


# --- parts -----------------------------------------------------------------------------------


def test_short_paths_are_unambiguous() -> None:
    assert short_paths(["a/x/_C.abi3.so", "b/x/_C.abi3.so", "b/y.so"], 40) == [
        "a/x/_C.so",
        "b/x/_C.so",
        "y.so",
    ]
    assert short_paths(["_C.cpython-312-x86_64-linux-gnu.so"], 40) == ["_C.so"]
    of_two_pythons = ["_C.cpython-311.so", "_C.cpython-312.so"]
    assert short_paths(of_two_pythons, 40) == of_two_pythons


@given(st.lists(st.text(st.sampled_from("ab/."), max_size=12), unique=True, max_size=8))
def test_no_two_short_paths_are_the_same(paths: list[str]) -> None:
    short = short_paths(paths, 10)
    assert len(set(short)) == len(paths)


@given(st.text(max_size=200))
def test_clean_is_one_printable_line(text: str) -> None:
    assert clean(text).isprintable()


def test_architectures_in_order() -> None:
    assert archs(["sm_120f", "sm_90a", "sm_90", "sm_75", "odd"]) == "odd 75 90 90a 120f"
    assert archs(["compute_90", "compute_80"], bare=True) == "80 90"


def test_two_drivers_of_one_gpu_are_told_apart() -> None:
    other = msgspec.structs.replace(RTX_5090, driver="580.95")
    assert labels([RTX_5090, other, H200]) == [
        "RTX 5090 (driver 575.57)",
        "RTX 5090 (driver 580.95)",
        "H200",
    ]
    verdicts = [
        Verdict(gpu="sm_120", target=2, units=1, native=1),
        Verdict(gpu="sm_120", target=0, units=1, jit=1),
    ]
    assert aligned([RTX_5090, H200, other], verdicts) == [verdicts[1], None, verdicts[0]]


def test_reasons_leave_out_what_works_and_counts_of_all() -> None:
    none = Reason("missing", 2, "holds sm_80: nothing for sm_120; not even PTX")
    away = Reason("not-applicable", 3, "on 9.0 alone")
    some = feature("x", 0, "partial", none, Reason("native", 1, "sm_90"), away)
    assert reason_texts(some, RTX_5090) == [
        "2 of 6 units missing: holds sm_80: nothing for this GPU; not even PTX"
    ]
    assert reason_texts(feature("x", 0, "jit", Reason("jit", 3, "PTX")), RTX_5090) == ["jit: PTX"]
    elsewhere = feature("x", 0, "not-applicable", away)
    assert reason_texts(elsewhere, RTX_5090) == ["n/a: on 9.0 alone"]


def test_a_cell_counts_the_reasons_beyond_the_first() -> None:
    reasons = [Reason("missing", 1, f"reason {n}") for n in range(7)]
    found = msgspec.structs.replace(
        six_gpus(), gpus=[RTX_5090], features=[feature("x", 0, "missing", *reasons)]
    )
    noted = [msgspec.structs.replace(found.features[0], note="elsewhere: X")]
    text = "\n".join(inspection_lines(msgspec.structs.replace(found, features=noted), Layout()))
    assert "missing [1 2 3 +4 4]" in text
    assert "[4] elsewhere: X" in text


# --- alternatives ----------------------------------------------------------------------------


def alternative(path: str, verdict: Verdict, one_of: str | None = "by CUDA version") -> Inspection:
    """One of several libraries, with its verdict."""
    library = InspectedLibrary(
        path=path,
        size=MIB,
        images=[image("sm_90", verdict.units, 1)],
        units=[Unit(images=[0], count=verdict.units)],
        verdicts=[verdict],
        one_of=one_of,
    )
    return Inspection(target="w", kind="wheel", gpus=[RTX_5090], libraries=[library])


def summed(*verdicts: Verdict) -> Inspection:
    """An inspection of alternatives, and of one library that is always loaded."""
    always = Verdict(gpu="sm_120", units=5, native=5, native_bytes=5, needs_driver_cuda="11.0")
    every = [alternative("core.so", always, None)]
    every += [alternative(f"alt{n}.so", verdict) for n, verdict in enumerate(verdicts)]
    return msgspec.structs.replace(every[0], libraries=[one.libraries[0] for one in every])


def test_of_alternatives_the_best_one_counts() -> None:
    found = summed(
        Verdict(gpu="sm_120", units=10, missing=10),
        Verdict(gpu="sm_120", units=10, native=10, native_bytes=7, needs_driver_cuda="13.0"),
        Verdict(gpu="sm_120", units=10, native=10, native_bytes=8, needs_driver_cuda="12.8"),
    )
    assert of_gpu(found, 0) == ({"native": 15}, 13)
    assert needs(found, 0) == "12.8"


def test_an_alternative_that_is_not_called_does_not_count() -> None:
    found = summed(
        Verdict(gpu="sm_120", units=10, native=10, native_bytes=7, called=False),
        Verdict(gpu="sm_120", units=10, native=9, missing=1, native_bytes=8),
    )
    assert of_gpu(found, 0) == ({"native": 14, "missing": 1}, 13)


def test_alternatives_are_marked_and_one_alone_is_none() -> None:
    verdict = Verdict(gpu="sm_120", units=1, native=1)
    text = "\n".join(inspection_lines(summed(verdict, verdict), Layout()))
    assert text.count("alt0.so *") == text.count("alt1.so *") == 1
    assert "core.so *" not in text
    assert "* one of these is loaded, and one is counted above (alt0.so, alt1.so): by CUDA" in text
    assert " *" not in "\n".join(inspection_lines(summed(verdict), Layout()))


def test_libraries_with_one_reason_share_a_line() -> None:
    old = Verdict(gpu="sm_120", units=10, missing=10, reasons=[Reason("missing", 10, OLD)])
    lines = inspection_lines(summed(*[old] * 9), Layout())
    assert [line for line in lines if OLD in line] == [
        f"  alt0.so, alt1.so, alt2.so and 6 more: 90 missing: {OLD}"
    ]


# --- grids -----------------------------------------------------------------------------------


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="ascii", categories=["L"]), max_size=30), max_size=3),
        min_size=1,
        max_size=12,
    ),
    st.integers(20, 120),
)
def test_every_cell_is_in_the_grid(cells: list[list[str]], width: int) -> None:
    columns = [Column([str(number)], [cell]) for number, cell in enumerate(cells)]
    text = "\n".join(grid([Column(["row"], [["name"]])], columns, width))
    assert all(word in text for cell in cells for word in cell)
    widest = max(column.width(broken=True) for column in columns)
    assert max(map(len, text.splitlines())) <= max(width, 4 + 2 + widest)


if __name__ == "__main__":
    for one in CASES:
        (GOLDEN / f"{one}.txt").write_text(written(one), "utf-8")
