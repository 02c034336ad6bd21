"""The traps of the field, shown by the snapshot alone: what wheels declare, and what they hold.

Each test is one trap, or one claim of a guide that does not hold, over evidence that was read out
of published wheels and judged. What evidence of these wheels cannot show:

- that output is garbage though everything loads (cutlass#3096): that is seen at run time alone;
- the wheel of vllm#41103 (tagged `manylinux_2_31`, needs GLIBC_2.34): it is on the index no more;
  the same is shown by wheels that are;
- builds of PyTorch 2.7 for CUDA 12.8: they are on PyTorch's own index, from which no row is;
- flags (`--enable-reasoning`, `--disable-flashinfer`) and environment variables of one version:
  they are in Python files, of which evidence has none;
- what `nvcc` knows besides what was compiled with it, and what a day's nightly was.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from sartor import facts
from sartor.artifact.model import Evidence
from sartor.evidence.snapshot import open_snapshot
from sartor.verdict.case import Case
from sartor.verdict.findings import findings
from sartor.verdict.inspection import judge
from sartor.verdict.requirements import requirements
from sartor.verdict.targets import Asked, resolve

if TYPE_CHECKING:
    from sartor.artifact.model import Library
    from sartor.host.model import Host
    from sartor.verdict.model import Feature, Finding, Inspection, Target


@cache
def evidence(project: str, version: str, machine: str = "x86_64") -> Evidence:
    """The evidence of one wheel of a release; of several builds the last."""
    snapshot = open_snapshot()
    assert snapshot is not None
    with snapshot:
        rows = [r for r in snapshot.rows() if (r.project, r.version) == (project, version)]
    tags = {row.name: parse_wheel_filename(row.name)[3] for row in rows}
    fitting = [
        row
        for row in rows
        if any(t.platform == "any" or t.platform.endswith(machine) for t in tags[row.name])
    ]
    assert fitting, f"the snapshot has no {project} {version} for {machine}"
    return max(fitting, key=lambda row: parse_wheel_filename(row.name)[2]).evidence()


@cache
def versions(project: str) -> list[str]:
    """Those that the snapshot has, in their order."""
    snapshot = open_snapshot()
    assert snapshot is not None
    with snapshot:
        found = {r.version for r in snapshot.rows(documents=False) if r.project == project}
    return sorted((v for v in found if v), key=Version)


def gpus(*names: str, driver: str | None = None) -> list[Target]:
    def this_machine() -> Host:
        pytest.fail("a GPU is named: this machine is not asked")

    return resolve(Asked(gpus=list(names), driver=driver), this_machine).gpus


def judged(of: Evidence, *names: str, driver: str | None = None) -> Inspection:
    return judge(of, gpus(*names, driver=driver))


def feature(of: Evidence, name: str, gpu: str) -> Feature:
    (found,) = [f for f in judged(of, gpu).features if f.name == name]
    return found


def said(of: Evidence, code: str, *names: str, driver: str | None = None) -> list[Finding]:
    """The findings of one rule about a wheel."""
    case = Case(of, gpus=gpus(*names, driver=driver) if names else ())
    return [finding for finding in findings(case)[0] if finding.code == code]


def one(of: Evidence, code: str) -> str:
    (found,) = said(of, code)
    return found.text


def library(of: Evidence, end: str) -> Library:
    (found,) = [lib for lib in of.libraries if lib.path.endswith(end)]
    return found


def images(of: Library, arch: str) -> int:
    return sum(image.count for image in of.images if image.arch == arch)


def held(of: Evidence | Library) -> set[str]:
    """The architectures of all device code."""
    libraries = of.libraries if isinstance(of, Evidence) else [of]
    return {image.arch for lib in libraries for image in lib.images}


def required(of: Evidence, name: str) -> list[str]:
    """What a wheel requires of a distribution, whatever the markers."""
    parsed = map(Requirement, of.packages[0].requires)
    return sorted(
        {str(requirement.specifier) for requirement in parsed if requirement.name == name}
    )


def together(*wheels: Evidence) -> Evidence:
    """An environment with the packages of several wheels, as far as their metadata says."""
    packages = [package for wheel in wheels for package in wheel.packages]
    return Evidence(target="env", kind="environment", packages=packages)


# --- tags lie --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("project", "version", "machine", "tag", "needs"),
    [
        ("vllm", "0.9.2", "x86_64", "manylinux1_x86_64", "GLIBC_2.29"),
        ("vllm", "0.10.1.1", "x86_64", "manylinux1_x86_64", "GLIBC_2.29"),
        ("vllm", "0.11.2", "aarch64", "manylinux2014_aarch64", "GLIBC_2.29"),
        ("bitsandbytes", "0.50.2", "x86_64", "manylinux_2_24_x86_64", "GLIBC_2.32"),
        ("sgl-kernel", "0.3.21", "x86_64", "manylinux2014_x86_64", "GLIBC_2.27"),
        ("torch", "2.6.0", "x86_64", "manylinux1_x86_64", "GLIBC_2.17"),
    ],
)
def test_a_manylinux_tag_promises_an_older_glibc_than_is_needed(
    project: str, version: str, machine: str, tag: str, needs: str
) -> None:
    text = one(evidence(project, version, machine), "glibc-tag")
    assert f"is tagged `{tag}`" in text
    assert needs in text


def test_a_manylinux_2_35_wheel_needs_what_its_tag_says() -> None:
    wheel = evidence("vllm", "0.20.2")
    assert "cp38-abi3-manylinux_2_35_x86_64" in wheel.packages[0].file_tags
    assert max(Version(lib.glibc) for lib in wheel.libraries if lib.glibc) == Version("2.34")
    assert said(wheel, "glibc-tag") == []


@pytest.mark.parametrize(
    ("project", "version", "module"),
    [
        ("sglang-kernel", "0.4.10", "infllm_ops.cpython-310-x86_64-linux-gnu.so"),
        ("sgl-kernel", "0.3.21", "_mscclpp.cpython-310-x86_64-linux-gnu.so"),
        ("vllm", "0.20.2", "_C.cpython-312-x86_64-linux-gnu.so"),
    ],
)
def test_an_abi3_wheel_carries_a_module_of_one_python(
    project: str, version: str, module: str
) -> None:
    text = one(evidence(project, version), "abi3-module")
    assert "-abi3-" in text
    assert f"`{module}` is a module of Python 3." in text


# --- the same version, another platform ------------------------------------------------------


def test_the_same_version_differs_by_platform_in_size_and_in_gpus() -> None:
    x86, arm = (evidence("sglang-kernel", "0.4.10", m) for m in ("x86_64", "aarch64"))
    assert [round((wheel.size or 0) / (1 << 20)) for wheel in (x86, arm)] == [356, 26]
    assert held(x86) - held(arm) == {"sm_80", "sm_86", "sm_89"}
    assert held(arm) - held(x86) == {"sm_110a", "sm_121a"}
    operators = "core operators"
    assert [feature(wheel, operators, "l40s").verdict for wheel in (x86, arm)] == [
        "native",
        "missing",
    ]


def test_the_same_version_of_pytorch_has_device_code_on_one_platform_only() -> None:
    for version in ("2.6.0", "2.8.0", "2.10.0"):
        assert held(evidence("torch", version))
        assert not held(evidence("torch", version, "aarch64"))
    assert held(evidence("torch", "2.11.0", "aarch64"))


# --- what is declared, and what is not -------------------------------------------------------


def test_vllm_and_sglang_kernel_pin_two_versions_of_pytorch() -> None:
    vllm, kernel = evidence("vllm", "0.33.0"), evidence("sglang-kernel", "0.4.10")
    assert (required(vllm, "torch"), required(kernel, "torch")) == (["==2.14.0"], ["==2.14.1"])
    both = SpecifierSet(",".join([*required(vllm, "torch"), *required(kernel, "torch")]))
    assert [v for v in versions("torch") if v in both] == []
    for version, refusing in (("2.14.0", "sglang-kernel"), ("2.14.1", "vllm")):
        env = together(vllm, kernel, evidence("torch", version))
        assert f"`{refusing}`" in one(env, "torch-pin")


def test_sgl_kernel_declares_nothing_and_needs_libnuma() -> None:
    wheel = evidence("sgl-kernel", "0.3.21")
    assert requirements(wheel.packages[0]) == []
    texts = [finding.text for finding in said(wheel, "library-not-provided")]
    assert any("need `libnuma.so.1`" in text and "`libnuma1` on Debian" in text for text in texts)
    assert any("`libc10.so`" in text for text in texts)


def test_deep_gemm_has_no_device_code_and_wants_a_compiler() -> None:
    for project, version, end in (
        ("sgl-kernel", "0.3.21", "deep_gemm_cpp.abi3.so"),
        ("vllm", "0.32.0", "deep_gemm/_C_extension.abi3.so"),
    ):
        wheel = evidence(project, version)
        assert held(library(wheel, end)) == set()
        assert f"`{end.rpartition('/')[2]}` holds no device code" in one(wheel, "no-device-code")
        compiled = " ".join(finding.text for finding in said(wheel, "runtime-compiler"))
        assert "with `nvcc`" in compiled
        assert "DeepGEMM kernel" in compiled


def test_flashinfer_has_no_cubin_for_a_geforce_and_compiles_there() -> None:
    cubins = evidence("flashinfer-cubin", "0.6.13")
    assert len(held(cubins)) == 5
    assert all(arch.startswith(("sm_100", "sm_103")) for arch in held(cubins))
    attention = feature(cubins, "attention (TensorRT-LLM's cubins)", "rtx-5090")
    assert attention.verdict == "not-applicable"
    assert feature(cubins, "attention (TensorRT-LLM's cubins)", "b200").verdict == "native"
    wheel = evidence("flashinfer-python", "0.6.13")
    assert "`nvcc`" in " ".join(f.text for f in said(wheel, "runtime-compiler"))


# --- what guides say, and does not hold ------------------------------------------------------


def test_which_cuda_the_index_s_own_pytorch_is_built_with() -> None:
    """Not the one that a guide of another day says: 12.6 at 2.7.1, 12.8 to 2.10, 13.0 from 2.11."""
    found = {
        version: library(evidence("torch", version), "libtorch_cuda.so").toolkits
        for version in versions("torch")
    }
    assert found["2.7.1"] == ["12.6"]
    assert {v: t for v, t in found.items() if Version("2.8") <= Version(v) < Version("2.11")} == {
        v: ["12.8"] for v in ("2.8.0", "2.9.0", "2.9.1", "2.10.0")
    }
    assert found["2.11.0"] == ["13.0"]
    majors = {
        library(evidence("torch", v), "libtorch_cuda.so").cuda_major
        for v in versions("torch")
        if Version(v) >= Version("2.11")
    }
    assert majors == {13}


def test_stable_pytorch_up_to_2_8_does_not_stop_at_sm_90() -> None:
    torch = evidence("torch", "2.8.0")
    assert images(library(torch, "libtorch_cuda.so"), "sm_120") > 0
    assert feature(torch, "core operators", "rtx-5090").verdict == "native"


def test_the_deadlock_of_august_2025_was_vllm_s_pin() -> None:
    """PyTorch 2.8.0 was there, with code for the RTX 5090; vLLM 0.10.1.1 wants 2.7.1, without."""
    vllm = evidence("vllm", "0.10.1.1")
    assert required(vllm, "torch") == ["==2.7.1"]
    pinned = evidence("torch", "2.7.1")
    assert not any(arch.startswith(("sm_12", "compute_")) for arch in held(pinned))
    assert feature(pinned, "core operators", "rtx-5090").verdict == "missing"
    assert feature(evidence("torch", "2.8.0"), "core operators", "rtx-5090").verdict == "native"
    env = together(vllm, evidence("torch", "2.8.0"))
    assert "`vllm` 0.10.1.1 requires `torch==2.7.1` and 2.8.0 is installed" in one(env, "torch-pin")


def test_vllm_needs_driver_580_from_0_20_on() -> None:
    for version in versions("vllm"):
        wheel = evidence("vllm", version)
        majors = {lib.cuda_major for lib in wheel.libraries if held(lib)}
        new = Version(version) >= Version("0.20")
        assert majors == {13 if new else 12}, version
        assert bool(said(wheel, "driver-cuda", "h100", driver="575.57")) == new, version
        assert said(wheel, "driver-cuda", "h100", driver="580.65.06") == []
    assert required(evidence("vllm", "0.20.2"), "torch") == ["==2.11.0"]
    assert required(evidence("vllm", "0.19.1"), "torch") == ["==2.10.0"]


def test_flash_attention_2_in_vllm_is_compiled_by_the_driver_on_blackwell() -> None:
    for version in ("0.25.1", "0.32.0", "0.33.0"):
        wheel = evidence("vllm", version)
        assert held(library(wheel, "_vllm_fa2_C.abi3.so")) == {"sm_80", "compute_80"}
        for gpu in ("h100", "b200", "rtx-5090"):
            assert feature(wheel, "FlashAttention 2", gpu).verdict == "jit"
        assert feature(wheel, "FlashAttention 2", "a100").verdict == "native"


def test_sgl_kernel_of_sglang_0_5_2_has_sm_120_code_but_not_in_all_of_it() -> None:
    sglang = evidence("sglang", "0.5.2")
    assert required(sglang, "sgl-kernel") == ["==0.3.9.post2"]
    assert "==2.8.0" in required(sglang, "torch")
    kernel = evidence("sgl-kernel", "0.3.9.post2")
    assert images(library(kernel, "common_ops.abi3.so"), "sm_120a") == 60
    assert not [a for a in held(library(kernel, "flash_ops.abi3.so")) if "12" in a]


def test_an_l40s_is_no_sm_90() -> None:
    (l40s,) = gpus("l40s")
    assert l40s.compute_capability == "8.9"
    wheel = evidence("vllm", "0.32.0")
    assert feature(wheel, "FlashAttention 3", "l40s").verdict == "not-applicable"
    assert feature(wheel, "FlashAttention 2", "l40s").verdict == "native"


def test_native_sm_103_does_not_need_cuda_13() -> None:
    """And cubins of CUDA 12.9 need no newer driver than 12.x does, by the facts of its rows."""
    made_by_12 = [
        lib
        for lib in evidence("flashinfer-cubin", "0.5.3").libraries
        if lib.toolkits == ["12.9"] and held(lib) == {"sm_103a"}
    ]
    assert len(made_by_12) == 472
    (cuda_12_9,) = [row for row in facts.toolkits() if row.version == "12.9"]
    drivers = cuda_12_9.minor_compat_driver_min, cuda_12_9.driver_linux_min
    assert drivers == ("525.60.13", "575.51.03")


def test_xformers_lets_gpus_in_for_which_it_has_no_kernel() -> None:
    wheel = evidence("xformers", "0.0.30")
    attention = feature(wheel, "FlashAttention 3 (up to 0.0.30)", "rtx-5090")
    assert (attention.verdict, held(library(wheel, "_C_flashattention3.so"))) == (
        "missing",
        {"sm_90a"},
    )
    assert (
        feature(evidence("xformers", "0.0.34"), "FlashAttention 3 (0.0.34)", "rtx-5090").verdict
        == "not-applicable"
    )


def test_code_for_12_0_is_none_for_12_1() -> None:
    """LMDeploy has `sm_100a` and `sm_120a` and no PTX: nothing for a B300, or a GB10."""
    wheel = evidence("lmdeploy", "0.18.0")
    attention = {
        gpu: feature(wheel, "attention (TurboMind)", gpu).verdict
        for gpu in ("b200", "b300", "rtx-5090", "gb10")
    }
    assert attention == {
        "b200": "native",
        "b300": "missing",
        "rtx-5090": "native",
        "gb10": "missing",
    }
