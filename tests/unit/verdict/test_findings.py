"""Rules that judge a package by itself: what each names, and what it keeps silent on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from sartor.artifact.model import Evidence, Image, Library, NotRead, Package, TargetKind
from sartor.host.model import Host, NotChecked, System, Tool
from sartor.verdict.case import Case
from sartor.verdict.findings import RULES, code_of, findings, summary_of
from sartor.verdict.model import SEVERITIES, Target

if TYPE_CHECKING:
    from sartor.verdict.model import Finding

CUBIN = Image(kind="cubin", arch="sm_90", count=1, bytes=1, plain_bytes=1)


def library(path: str, *needed: str) -> Library:
    return Library(path=path, size=1, machine="x86_64", needed=list(needed))


def package(name: str, version: str = "1.0", *requires: str, tags: tuple[str, ...] = ()) -> Package:
    path = f"{name.replace('-', '_')}-{version}.dist-info"
    return Package(name=name, version=version, path=path, requires=list(requires), tags=list(tags))


def evidence(kind: TargetKind, packages: list[Package], libraries: list[Library]) -> Evidence:
    return Evidence(target="here", kind=kind, packages=packages, libraries=libraries)


def wheel(of: Package, *libraries: Library) -> Case:
    return Case(evidence("wheel", [of], list(libraries)))


def said(case: Case, code: str) -> list[Finding]:
    """The findings of one rule."""
    return [finding for finding in findings(case)[0] if finding.code == code]


def one(case: Case, code: str) -> Finding:
    (found,) = said(case, code)
    return found


def on(case: Case, host: Host) -> Case:
    return Case(case.evidence, host)


def test_every_rule_has_a_code_of_its_own_and_a_summary() -> None:
    codes = [code_of(rule) for rule in RULES]
    assert len(set(codes)) == len(codes)
    assert all(summary_of(rule).endswith(".") for rule in RULES)


def test_the_gravest_come_first_and_codes_are_those_of_the_rules() -> None:
    case = wheel(
        package("w", "1", "nvidia-cublas-cu12", tags=("cp310-abi3-manylinux2014_x86_64",)),
        library("w/a.cpython-310-x86_64-linux-gnu.so", "libcudart.so.13", "libodd.so.1"),
    )
    found = findings(case)[0]
    order = [SEVERITIES.index(finding.severity) for finding in found]
    assert order == sorted(order)
    assert {f.code for f in found} == {"cuda-major-pins", "library-not-provided"}
    assert {f.code for f in found} <= {code_of(rule) for rule in RULES}


def test_nothing_is_said_of_nothing() -> None:
    kinds: list[TargetKind] = ["wheel", "library", "environment", "image", "zip", "cubin"]
    for kind in kinds:
        assert findings(Case(evidence(kind, [], []))) == ([], [])


NUMA = library("sgl_kernel/ops.abi3.so", "libnuma.so.1", "libc.so.6", "libcuda.so.1")


def test_a_library_that_nothing_declares_is_a_warning_where_no_host_is_known() -> None:
    found = one(wheel(package("sgl-kernel", "0.3.21"), NUMA), "library-not-provided")
    assert found.severity == "warning"
    assert found.path == NUMA.path
    assert "`libnuma.so.1`" in found.text
    assert "`libnuma1` on Debian" in found.text
    assert "libc.so.6" not in found.text
    assert "libcuda.so.1" not in found.text


@pytest.mark.parametrize("kind", ["wheel", "environment"])
def test_a_host_without_the_library_makes_it_an_error_with_its_own_remedy(kind: TargetKind) -> None:
    host = Host(libraries={"libnuma.so.1": None}, system=System(distribution="fedora 42"))
    case = Case(evidence(kind, [package("sgl-kernel")], [NUMA]), host)
    found = one(case, "library-not-provided")
    assert found.severity == "error"
    assert "`dnf install numactl-libs`" in found.text


def test_a_host_with_the_library_is_enough_for_what_is_installed_and_a_note_for_a_wheel() -> None:
    host = Host(libraries={"libnuma.so.1": "/lib/libnuma.so.1"})
    installed = Case(evidence("environment", [package("sgl-kernel")], [NUMA]), host)
    assert said(installed, "library-not-provided") == []
    of_wheel = one(on(wheel(package("sgl-kernel"), NUMA), host), "library-not-provided")
    assert of_wheel.severity == "note"


def test_where_the_loader_can_be_asked_it_is() -> None:
    case = evidence("environment", [package("sgl-kernel")], [NUMA])
    assert said(Case(case, find_library=lambda _: "found"), "library-not-provided") == []
    missing = Case(case, find_library=lambda _: "missing")
    assert one(missing, "library-not-provided").severity == "error"


def test_an_image_has_its_system_inside() -> None:
    owned = Package(name="k", version="1", path="s/k-1.dist-info", libraries=["s/ops.so"])
    ops = library("s/ops.so", "libnuma.so.1")
    assert one(Case(evidence("image", [owned], [ops])), "library-not-provided").severity == "error"
    numa = library("usr/lib/libnuma.so.1.0.0", "libwhatever.so.7")
    there = Library(path=numa.path, size=1, soname="libnuma.so.1", needed=numa.needed)
    assert said(Case(evidence("image", [owned], [ops, there])), "library-not-provided") == []


@pytest.mark.parametrize(
    ("requires", "declared"),
    [
        (["torch==2.8.0"], True),
        (["nvidia-cuda-runtime-cu12"], True),
        (["nvidia-cuda-runtime"], True),
        (["cuda-toolkit[cudart]==13.*"], True),
        (['torch; extra == "gpu"'], False),
        (["numpy"], False),
        (["not a requirement !"], False),
    ],
)
def test_a_dependency_that_is_declared_brings_its_libraries(
    requires: list[str], declared: bool
) -> None:
    case = wheel(package("w", "1", *requires), library("w/a.so", "libcudart.so.12"))
    assert (said(case, "library-not-provided") == []) is declared


def test_a_library_of_the_wheel_itself_is_found_by_its_file_or_by_its_soname() -> None:
    user = library("w/a.so", "libcudart-0123abcd.so.12", "libmine.so.3")
    own = library("w.libs/libcudart-0123abcd.so.12")
    named = Library(path="w/libmine.so", size=1, soname="libmine.so.3")
    assert said(wheel(package("w"), user, own, named), "library-not-provided") == []


def test_what_packages_hold_is_one_finding_and_what_none_holds_another() -> None:
    needs = ("libc10.so", "libtorch.so", "libcudart.so.12", "libnuma.so.1")
    found = said(wheel(package("w"), library("w/a.so", *needs)), "library-not-provided")
    assert ["libnuma" in finding.text for finding in found] in ([True, False], [False, True])
    assert any("`torch` and `nvidia-cuda-runtime` would" in finding.text for finding in found)


def test_of_alternatives_the_one_that_lacks_least_counts() -> None:
    def libraries(*needed: str) -> list[Library]:
        folder = "bitsandbytes/libbitsandbytes_"
        rocm = library(f"{folder}rocm71.so", "libamdhip64.so.7")
        return [rocm, library(f"{folder}cuda128.so", *needed)]

    of = package("bitsandbytes", "0.50.2", "torch")
    assert said(wheel(of, *libraries("libcudart.so.12")), "library-not-provided") == []
    lacking = libraries("libodd.so.1", "libodder.so.1")
    assert "libamdhip64" in one(wheel(of, *lacking), "library-not-provided").text


def tagged(tag: str) -> Package:
    return package("w", "1", tags=(f"cp312-cp312-{tag}",))


@pytest.mark.parametrize(
    ("tag", "promises"),
    [
        ("manylinux_2_28_x86_64", "2.28"),
        ("manylinux2014_x86_64", "2.17"),
        ("manylinux1_x86_64", "2.5"),
        ("linux_x86_64", None),
        ("any", None),
        ("musllinux_1_2_x86_64", None),
    ],
)
def test_a_platform_tag_promises_a_glibc(tag: str, promises: str | None) -> None:
    needs = Library(path="w/a.so", size=1, glibc="2.34")
    found = said(wheel(tagged(tag), needs), "glibc-tag")
    assert [f"glibc {promises} " in f.text for f in found] == ([True] if promises else [])
    if promises:
        kept = Library(path="w/a.so", size=1, glibc=promises)
        assert said(wheel(tagged(tag), kept), "glibc-tag") == []


def test_versions_are_compared_as_numbers() -> None:
    old = Library(path="w/a.so", size=1, glibc="2.4")
    assert said(wheel(tagged("manylinux_2_28_x86_64"), old), "glibc-tag") == []


def test_a_libstdcxx_newer_than_the_tag_promises_is_named_unless_it_is_inside() -> None:
    needs = Library(path="w/a.so", size=1, glibcxx="3.4.30")
    case = wheel(tagged("manylinux_2_28_x86_64"), needs)
    assert "GLIBCXX_3.4.30" in one(case, "glibc-tag").text
    own = library("w.libs/libstdc++.so.6")
    assert said(wheel(tagged("manylinux_2_28_x86_64"), needs, own), "glibc-tag") == []


@pytest.mark.parametrize(("glibc", "severity"), [("2.31", "error"), ("2.39", "note")])
def test_the_hosts_glibc_says_how_grave_the_tag_is(glibc: str, severity: str) -> None:
    needs = Library(path="w/a.so", size=1, glibc="2.34")
    installed = Package(
        name="w",
        version="1",
        path="w-1.dist-info",
        libraries=["w/a.so"],
        tags=["py3-none-manylinux1_x86_64"],
    )
    case = Case(evidence("environment", [installed], [needs]), Host(glibc=glibc))
    assert one(case, "glibc-tag").severity == severity


def module(name: str, python: str | None) -> Library:
    return Library(path=f"w/{name}", size=1, python=python)


ABI3 = package("w", "1", tags=("cp38-abi3-manylinux_2_28_x86_64",))


def test_an_abi3_wheel_with_a_module_of_one_python_is_named() -> None:
    case = wheel(ABI3, module("a.abi3.so", "abi3"), module("b.cpython-310-x.so", "cp310"))
    found = one(case, "abi3-module")
    assert (found.severity, found.path) == ("warning", "w/b.cpython-310-x.so")
    assert "Python 3.10 alone" in found.text


@pytest.mark.parametrize(
    "modules",
    [
        [module("b.cpython-310-x.so", "cp310"), module("b.cpython-311-x.so", "cp311")],
        [module("b.cpython-310-x.so", "cp310"), module("b.abi3.so", "abi3")],
        [module("libb.so", None)],
    ],
)
def test_a_module_that_several_pythons_import_is_none_of_it(modules: list[Library]) -> None:
    assert said(wheel(ABI3, *modules), "abi3-module") == []


def test_a_wheel_for_one_python_may_hold_its_modules() -> None:
    of = package("w", "1", tags=("cp310-cp310-linux_x86_64",))
    assert said(wheel(of, module("b.cpython-310-x.so", "cp310")), "abi3-module") == []


@pytest.mark.parametrize(("python", "severity"), [("3.10", "note"), ("3.12", "error")])
def test_the_environments_python_says_how_grave_that_is(python: str, severity: str) -> None:
    root = f"lib/python{python}/site-packages"
    of = Package(
        name="w",
        version="1",
        path=f"{root}/w-1.dist-info",
        tags=ABI3.tags,
        libraries=[f"{root}/w/b.cpython-310-x.so"],
    )
    held = Library(path=of.libraries[0], size=1, python="cp310")
    case = Case(evidence("environment", [of], [held]))
    assert one(case, "abi3-module").severity == severity


def test_a_library_of_another_cuda_major_than_the_pins_is_named() -> None:
    of = package("w", "1", "nvidia-cuda-runtime-cu12")
    found = one(wheel(of, library("w/a.so", "libcudart.so.13")), "cuda-major-pins")
    assert "`nvidia-cuda-runtime-cu12`" in found.text
    assert "`libcudart.so.13`" in found.text
    assert said(wheel(of, library("w/a.so", "libcudart.so.12")), "cuda-major-pins") == []
    assert said(wheel(of, library("w/a.so", "libcufft.so.11")), "cuda-major-pins") == []


def test_device_code_of_other_makers_is_noted_as_not_read() -> None:
    hip = Library(path="w/a.so", size=1, other_device_code=[".hip_fatbin"])
    found = one(wheel(package("w"), hip), "other-device-code")
    assert found.severity == "note"
    assert "`.hip_fatbin`" in found.text


def test_a_package_for_cuda_without_device_code_is_noted() -> None:
    plain = library("w/a.so", "libcudart.so.12")
    assert one(wheel(package("w", "1.0+cu128"), plain), "no-device-code").severity == "note"
    assert said(wheel(package("w"), plain), "no-device-code") == []
    assert said(wheel(package("nvidia-cuda-runtime-cu12"), plain), "no-device-code") == []
    full = Library(path="w/a.so", size=1, images=[CUBIN], needed=plain.needed)
    assert said(wheel(package("w", "1.0+cu128"), full), "no-device-code") == []
    jit = wheel(package("deep-gemm", "2.0"), plain)
    assert "Kernels are compiled when it runs." in one(jit, "no-device-code").text


def test_where_device_code_could_not_be_read_its_absence_is_not_claimed() -> None:
    torn = Library(path="w/a.so", size=1, not_read=[NotRead("w/a.so", "torn")])
    assert said(wheel(package("w", "1.0+cu128"), torn), "no-device-code") == []


NVCC = Tool("nvcc", "/usr/local/cuda/bin/nvcc", "13.0")
TILELANG = package("tilelang", "0.1.12")


@pytest.mark.parametrize(
    ("host", "severity"),
    [
        (None, "note"),
        (Host(), "warning"),
        (Host(cuda_toolkits=[NVCC]), "note"),
        (Host(not_checked=[NotChecked("cuda_toolkits", "not stated")]), "note"),
    ],
)
def test_a_package_that_compiles_wants_its_compiler(host: Host | None, severity: str) -> None:
    found = one(Case(evidence("environment", [TILELANG], []), host), "runtime-compiler")
    assert found.severity == severity
    assert "`nvcc` at the first call of each kernel" in found.text


def test_a_compiler_that_a_package_brings_is_there() -> None:
    brought = [TILELANG, package("nvidia-cuda-nvcc")]
    case = Case(evidence("environment", brought, []), Host())
    assert one(case, "runtime-compiler").severity == "note"
    required = package("tilelang", "0.1.12", "nvidia-cuda-nvcc")
    assert one(on(wheel(required), Host()), "runtime-compiler").severity == "note"


def test_of_two_compilers_one_is_enough() -> None:
    deep_gemm, nvrtc = package("deep-gemm", "2.0"), package("nvidia-cuda-nvrtc-cu12")
    without = Case(evidence("environment", [deep_gemm], []), Host())
    assert "not there: `nvcc` and `nvrtc`" in one(without, "runtime-compiler").text
    case = Case(evidence("environment", [deep_gemm, nvrtc], []), Host())
    assert one(case, "runtime-compiler").severity == "note"


def test_triton_wants_a_c_compiler_in_turn() -> None:
    packages = [package("helion", "1.4.0"), package("triton", "3.6.0")]
    case = Case(evidence("environment", packages, []), Host())
    lacking = [f for f in said(case, "runtime-compiler") if f.severity == "warning"]
    assert any("`helion`" in finding.text for finding in lacking)
    gcc = Host(compilers=[Tool("gcc", "/usr/bin/gcc", "12.2")])
    assert {f.severity for f in said(on(case, gcc), "runtime-compiler")} == {"note"}


def test_a_row_about_files_holds_where_they_are() -> None:
    vllm = package("vllm", "0.25.1")
    assert said(wheel(vllm), "runtime-compiler") == []
    with_files = Package(
        name="vllm", version="0.25.1", path=vllm.path, fact_files=["vllm/triton_utils/__init__.py"]
    )
    assert "first use of a Triton kernel" in one(wheel(with_files), "runtime-compiler").text


def test_odd_versions_and_requirements_are_judged_without_a_fault() -> None:
    odd = package("torch", "no version", "torch==", "nvidia-x; python_version ~= 'z'", tags=("x",))
    other = package("vllm", "9" * 5000, "torch==2.11.0", tags=("cp38-abi3-manylinux_9_x",))
    for kind in ("wheel", "environment", "image"):
        for packages in ([odd], [odd, other]):
            findings(Case(evidence(kind, packages, [NUMA])))


ASKED = Target("sm_120", "12.0")


def lone(path: str) -> Case:
    """A library by itself, with device code, for one GPU."""
    found = replace(library(path), images=[CUBIN])
    return Case(evidence("library", [], [found]), gpus=[ASKED])


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("_moe_C.abi3.so", "`vllm`"),
        ("flash_ops.abi3.so", "`sglang-kernel` or `sgl-kernel`"),
    ],
)
def test_a_lone_library_of_a_known_package_gets_no_dispatch_facts(name: str, of: str) -> None:
    found = one(lone(f"somewhere/{name}"), "package-not-known")
    assert found.severity == "note"
    assert f"`{name}` is named like a library of {of}, and" in found.text
    assert "no dispatch fact was applied" in found.text


def test_a_library_whose_package_is_known_or_that_no_facts_name_is_none_to_speak_of() -> None:
    assert said(lone("other.so"), "package-not-known") == []
    vllm = package("vllm", "0.32.0")
    held = replace(library("vllm/_moe_C.abi3.so"), images=[CUBIN])
    assert said(Case(evidence("wheel", [vllm], [held]), gpus=[ASKED]), "package-not-known") == []
    assert said(Case(evidence("library", [], [held])), "package-not-known") == []
