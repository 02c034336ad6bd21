"""Real resolutions on described hosts, by the evidence that is shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

import resolutions
from resolutions import judged
from sartor.artifact.model import Evidence
from sartor.facts.run import driver_compiles
from sartor.host.describe import parse_host
from sartor.host.model import Host, Tool
from sartor.matrix.parts import parts_of
from sartor.plan.closure.judge import closure
from sartor.plan.closure.members import placed
from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked
from sartor.plan.known import Parts
from sartor.verdict.inspection import judge
from sartor.verdict.requirements import requirements
from sartor.verdict.targets import targets_of

if TYPE_CHECKING:
    from sartor.plan.closure.judge import Closure
    from sartor.plan.outcome import Compile, PlannedFeature, SystemPackage

BLACKWELL = "rtx-5090, driver=580.95"
OLDER_DRIVER = "rtx-5090, driver=570.86"


def rejected(of: Closure) -> list[Rejected]:
    return [decision for decision in of.decisions if isinstance(decision, Rejected)]


def decided(of: Closure, rule: str, about: str = "") -> Decision:
    """The one decision of a rule about something."""
    (found,) = [d for d in of.decisions if d.rule == rule and about in d.wanted]
    return found


def feature(of: Closure, package: str, name: str) -> PlannedFeature:
    (found,) = [f for f in of.features if (f.package, f.name) == (package, name)]
    return found


def compiled(of: Closure, package: str, compiler: str, what: str = "") -> Compile:
    found = [c for c in of.first_use_compiles if (c.package, c.compiler) == (package, compiler)]
    (one,) = [c for c in found if what in c.what]
    return one


def needed(of: Closure, soname: str) -> SystemPackage:
    (found,) = [one for one in of.system_packages if one.soname == soname]
    return found


def host(text: str, **known: object) -> Host:
    """A described host of which more is known than can be described."""
    return replace(parse_host(text), **known)


def test_vllm_on_a_new_gpu_with_a_new_driver() -> None:
    found = judged("vllm-0.32.0", BLACKWELL)
    assert rejected(found) == []
    for package in ("torch", "vllm"):
        assert isinstance(decided(found, "device-code", f"of {package} "), Accepted)
    assert feature(found, "vllm", "core operators").verdict == "native"
    assert feature(found, "vllm", "core operators").core
    assert not feature(found, "vllm", "FlashAttention 2").core
    assert found.cuda["torch"] == found.cuda["vllm"] == "13.0"
    assert found.cuda["nvidia-cudnn-cu13"] == "13"
    assert found.cuda["numpy"] is None
    assert "fastapi" not in found.cuda
    assert isinstance(decided(found, "cuda-major"), Accepted)


def test_an_older_driver_is_what_rejects_it_and_says_which_would_do() -> None:
    found = judged("vllm-0.32.0", OLDER_DRIVER)
    drivers = [decision for decision in rejected(found) if decision.rule == "driver"]
    assert {d.rule for d in rejected(found)} == {"driver"}
    assert [d.wanted.rpartition(" for ")[2] for d in drivers] == ["torch 2.13.0", "vllm 0.32.0"]
    assert all("13.0" in d.wanted and "branch 580" in str(d.hint) for d in drivers)
    assert "made for CUDA 13" in drivers[0].found


def test_ptx_that_is_too_new_costs_features_and_not_the_core() -> None:
    found = judged("vllm-0.19.1", OLDER_DRIVER)
    assert rejected(found) == []
    lost = feature(found, "vllm", "FlashAttention 2")
    assert (lost.verdict, lost.needs_driver_cuda) == ("missing", "12.9")
    assert "PTX 8.8 takes a driver of CUDA 12.9" in lost.because
    assert feature(found, "vllm", "core operators").verdict == "native"
    accepted = decided(found, "device-code", "of vllm ")
    assert isinstance(accepted, Accepted)
    assert "FlashAttention 2" in accepted.found
    newer = judged("vllm-0.19.1", "rtx-5090, driver=575.57")
    assert feature(newer, "vllm", "FlashAttention 2").verdict == "jit"


def test_what_the_driver_compiles_is_counted_and_its_time_estimated() -> None:
    found = judged("vllm-0.19.1", "rtx-5090, driver=575.57")
    evidence = resolutions.case("vllm-0.19.1").evidence.values()
    (library,) = [
        library
        for wheel in evidence
        if wheel
        for library in wheel.libraries
        if library.path.endswith("_vllm_fa2_C.abi3.so")
    ]
    (ptx,) = [image for image in library.images if image.kind == "ptx"]
    flash = compiled(found, "vllm", "the driver", "FlashAttention 2")
    assert (flash.units, flash.bytes) == (ptx.count, ptx.plain_bytes)
    assert flash.seconds is not None
    least, most = flash.seconds
    rate = driver_compiles()
    assert least == pytest.approx(
        ptx.plain_bytes / ptx.count / 1e6 * rate.least_seconds_per_mb, 0.1
    )
    assert most == pytest.approx(ptx.plain_bytes / 1e6 * rate.most_seconds_per_mb, 0.1)
    assert least < 27.5 < most  # what the driver took for one unit on an H200's host


def test_no_time_is_made_up_where_nothing_was_measured() -> None:
    found = judged("vllm-0.32.0", BLACKWELL)
    by_others = [c for c in found.first_use_compiles if c.compiler != "the driver"]
    assert by_others
    assert all(c.seconds is None and c.units is None for c in by_others)


def test_torch_without_code_for_the_gpu_rejects_though_the_engine_has_some() -> None:
    found = judged("vllm-0.10.1.1", BLACKWELL)
    (why,) = rejected(found)
    assert why.rule == "device-code"
    assert "torch 2.7.1" in why.wanted
    assert "nothing for sm_120" in why.found
    assert feature(found, "torch", "core operators").verdict == "missing"
    assert feature(found, "vllm", "core operators").verdict == "native"
    assert found.cuda["torch"] == "12.6"
    assert found.cuda["vllm"] == "12.8"
    assert "xformers 0.0.31: its wheel was not read" in "\n".join(found.not_checked)


def test_a_volta_gpu_has_nothing_in_todays_engine() -> None:
    found = judged("vllm-0.32.0", "v100, driver=580.95")
    about = {d.wanted.split()[2] for d in rejected(found) if d.rule == "device-code"}
    assert about == {"torch", "vllm"}
    still = judged("vllm-0.10.1.1", "v100, driver=580.95")
    assert not any(d.rule == "device-code" and "of torch" in d.wanted for d in rejected(still))


def test_of_unlike_gpus_one_that_is_served_is_enough() -> None:
    found = judged("vllm-0.32.0", "rtx-5090, v100, driver=580.95")
    assert rejected(found) == []
    assert [(s.compute_capability, s.served) for s in found.shares] == [
        ("12.0", True),
        ("7.0", False),
    ]
    assert "nothing for sm_70" in found.shares[1].because
    neither = judged("vllm-0.32.0", "p100, v100, driver=580.95")
    assert {d.rule for d in rejected(neither)} == {"device-code"}
    assert not any(share.served for share in neither.shares)


def test_a_gpu_that_the_driver_has_left_behind() -> None:
    alone = judged("vllm-0.10.1.1", "v100, driver=590.44")
    assert {"driver-range", "device-code"} <= {d.rule for d in rejected(alone)}
    beside = judged("vllm-0.10.1.1", "v100, rtx-4090, driver=590.44")
    assert rejected(beside) == []


def test_a_grace_blackwell_board_is_served_by_the_build_for_its_processor() -> None:
    found = judged("vllm-0.32.0-aarch64", "gb10, driver=580.95", roots=["vllm"])
    assert rejected(found) == []
    assert {f.gpu for f in found.features} == {"sm_121"}
    wrong = judged("vllm-0.32.0", "gb10, driver=580.95")
    assert {"architecture", "other-machine"} <= {d.rule for d in rejected(wrong)}


def test_a_build_for_cuda_wants_a_gpu() -> None:
    found = judged("vllm-0.32.0", "cpu-only")
    (why,) = rejected(found)
    assert (why.rule, why.found) == ("gpu", "none")
    assert found.features == []
    assert all(c.compiler != "the driver" for c in found.first_use_compiles)
    not_stated = judged("vllm-0.32.0", "cpu=zen5, ram=64G")
    assert isinstance(decided(not_stated, "gpu"), Unchecked)


@pytest.mark.parametrize(("glibc", "outcome"), [("2.27", Rejected), ("2.28", Accepted)])
def test_glibc_is_what_the_symbols_need(glibc: str, outcome: type[Decision]) -> None:
    found = judged("vllm-0.32.0", f"{BLACKWELL}, glibc={glibc}")
    decision = decided(found, "glibc")
    assert type(decision) is outcome
    assert "2.28" in decision.wanted
    assert "libtorch" in decision.wanted


def test_a_wheel_may_need_a_newer_glibc_than_its_tag_says() -> None:
    """vLLM 0.10.1.1 is tagged manylinux1 (glibc 2.5); its mixtures of experts need 2.29."""
    found = judged("vllm-0.10.1.1", f"{BLACKWELL}, glibc=2.28")
    decision = decided(found, "glibc")
    assert isinstance(decision, Unchecked)
    assert "_moe_C.abi3.so of vllm" in decision.wanted
    assert decision.why.startswith(
        "glibc 2.28: _moe_C.abi3.so of `vllm` 0.10.1.1 would not load; whether"
    )


def test_what_core_libraries_need_of_each_other_is_of_the_core() -> None:
    """libtorch_cuda.so, which facts name, needs libtorch_cpu.so, which needs glibc 2.28."""
    found = judged("vllm-0.10.1.1", f"{BLACKWELL}, glibc=2.17")
    decision = decided(found, "glibc")
    assert isinstance(decision, Rejected)
    assert "libtorch_cpu.so" in decision.found


@pytest.mark.parametrize(
    ("driver", "outcome"), [("545.23", Rejected), ("550.54.14", Accepted), ("550", Unchecked)]
)
def test_compressed_code_wants_a_driver_that_reads_it(driver: str, outcome: type[Decision]) -> None:
    found = judged("vllm-0.32.0", f"h100, driver={driver}")
    decision = decided(found, "compression")
    assert type(decision) is outcome
    assert "zstd in torch 2.13.0, vllm 0.32.0" in decision.wanted


def test_libstdcxx_is_unchecked_where_the_policies_promise_less() -> None:
    found = judged("vllm-0.32.0", f"{BLACKWELL}, glibc=2.12")
    assert isinstance(decided(found, "libstdc++", "GLIBCXX"), Unchecked)


def test_sglang_needs_libnuma_and_nothing_brings_it() -> None:
    found = judged("sglang-0.5.2", BLACKWELL)
    numa = needed(found, "libnuma.so.1")
    assert (numa.state, numa.needed_by) == ("not checked", ["sgl-kernel"])
    assert numa.packages["debian"] == "libnuma1"
    assert rejected(found) == []
    without = judged("sglang-0.5.2", host(BLACKWELL, libraries={"libnuma.so.1": None}))
    (why,) = rejected(without)
    assert why.rule == "system-libraries"
    assert "libnuma1" in str(why.hint)
    there = {"libnuma.so.1": "/usr/lib/libnuma.so.1"}
    assert needed(
        judged("sglang-0.5.2", host(BLACKWELL, libraries=there)), "libnuma.so.1"
    ).state == ("there")


def test_libraries_of_the_driver_of_packages_and_of_glibc_are_no_system_packages() -> None:
    sonames = {one.soname for one in judged("sglang-0.5.2", BLACKWELL).system_packages}
    assert {"libstdc++.so.6", "libgcc_s.so.1", "libnuma.so.1"} <= sonames
    assert not sonames & {"libcuda.so.1", "libcudart.so.12", "libc.so.6", "libtorch.so"}


def test_a_kernel_package_without_a_pin_is_vouched_for_by_the_engine() -> None:
    found = judged("sglang-0.5.2", BLACKWELL)
    decision = decided(found, "torch-abi", "sgl-kernel")
    assert isinstance(decision, Accepted)
    assert "sglang 0.5.2 requires torch==2.8.0 and sgl-kernel==0.3.9.post2" in decision.evidence
    module = decided(found, "abi3-module")
    assert isinstance(module, Unchecked)


def test_torchvision_of_another_torch() -> None:
    found = judged("torchvision-of-another-torch", BLACKWELL)
    decision = decided(found, "torch-abi", "torchvision")
    assert isinstance(decision, Rejected)
    assert "torch==2.8.0" in decision.wanted
    assert decision.found == "torch 2.11.0"
    assert "torch-pin" in {f.code for f in found.findings if f.severity == "error"}
    assert "mixed-cuda-majors" in {d.rule for d in rejected(found)}
    assert found.cuda == {"torch": "13.0", "torchvision": "12.8"}


def test_the_stable_abi_needs_no_pin() -> None:
    found = judged("vllm-0.32.0", BLACKWELL)
    audio = decided(found, "torch-abi", "torchaudio")
    assert isinstance(audio, Accepted)
    assert "stable ABI alone" in audio.found
    assert audio.evidence == "read from the machine code"


def test_compilers_of_the_host_decide_what_is_said_and_which_variables_are_set() -> None:
    compilers = [Tool(name, f"/usr/bin/{name}") for name in ("gcc", "g++", "ninja")]
    toolkits = [Tool("nvcc", "/usr/local/cuda/bin/nvcc", "13.0")]
    whole = host(BLACKWELL, compilers=compilers, cuda_toolkits=toolkits, not_checked=[])
    bare = host(BLACKWELL, compilers=[], cuda_toolkits=[], not_checked=[])
    said = {}
    for name, one in (("whole", whole), ("bare", bare)):
        found = judged("vllm-0.19.1", one)
        said[name] = found.env, compiled(found, "flashinfer-python", "nvcc, c++, ninja").because
    assert said["whole"][0] == {}
    assert "are there" in said["whole"][1]
    assert said["bare"][0]["VLLM_USE_FLASHINFER_SAMPLER"] == "0"
    assert "it fails" in said["bare"][1]


def test_packages_that_were_not_read_are_named_and_nothing_is_said_of_them() -> None:
    found = judged("vllm-0.32.0", BLACKWELL)
    one = resolutions.case("vllm-0.32.0")
    names = {locked.name for locked in one.resolution.packages}
    unread = decided(found, "evidence")
    assert isinstance(unread, Unchecked)
    text = "\n".join(found.not_checked)
    known = {"torch", "vllm", "torchaudio", "torchcodec"}
    assert all(name in text for name in names - known)
    assert not any(f"{name} " in unread.why.split(": ")[1].split(", ") for name in known)
    assert "hold no machine code by their tag" in text
    assert found.grades["features"] == "read from the machine code"
    assert found.grades["libraries"] == "declared"


def test_a_wheel_of_device_code_is_not_plain_for_its_tag() -> None:
    """flashinfer-cubin is tagged ``py3-none-any`` and is nothing but machine code."""
    found = judged("vllm-0.19.1", BLACKWELL)
    assert any(line.startswith("flashinfer-cubin 0.6.6: its wheel") for line in found.not_checked)


def test_nothing_is_known_without_evidence() -> None:
    one = resolutions.case("vllm-0.32.0")
    nothing = dict.fromkeys(one.evidence)
    there = parse_host(BLACKWELL)
    found = closure(one.resolution, nothing, {}, there, one.machine, targets_of(there), ["vllm"])
    assert found.features == []
    (accepted,) = [d for d in found.decisions if isinstance(d, Accepted)]
    assert (accepted.rule, accepted.evidence) == ("cuda-major", "declared")
    assert rejected(found) == []
    assert set(found.grades.values()) == {"declared"}
    assert not any(share.served for share in found.shares)
    assert all(share.because.startswith("not checked") for share in found.shares)
    assert found.cuda["nvidia-cudnn-cu13"] == "13"
    assert found.cuda["torch"] is None


def test_sizes_count_what_is_stated() -> None:
    found = judged("sglang-0.5.2", BLACKWELL).sizes
    one = resolutions.case("sglang-0.5.2").resolution
    stated = [locked.file.size for locked in one.packages if locked.file.size is not None]
    assert found.download_bytes == sum(stated)
    assert found.files == len(one.packages) == len(stated) + found.files_of_unknown_size
    assert found.installed_bytes is None


def test_parts_that_are_known_give_the_same_answer() -> None:
    one = resolutions.case("sglang-0.5.2")
    gpus = targets_of(parse_host("rtx-5090, rtx-3090, driver=580.95"))
    parts = {}
    for sha256, wheel in one.evidence.items():
        if wheel is not None:
            are_features, own = parts_of(wheel, gpus)
            parts[sha256] = Parts("features" if are_features else "libraries", own, "")
    twice = [judged("sglang-0.5.2", BLACKWELL, targets=gpus, parts=known) for known in ({}, parts)]
    assert twice[0] == twice[1]


def test_features_are_those_of_the_environment_as_a_whole() -> None:
    """Wheel by wheel or all laid out together: `sartor inspect` says the same."""
    for name in ("vllm-0.32.0", "sglang-0.5.2"):
        one = resolutions.case(name)
        gpus = targets_of(parse_host(BLACKWELL))
        site = "lib/python3.12/site-packages"
        wheels = [wheel for wheel in one.evidence.values() if wheel]
        whole = Evidence(
            target="all",
            kind="environment",
            packages=[
                replace(p, path=placed(p.path, site)) for wheel in wheels for p in wheel.packages
            ],
            libraries=[
                replace(lib, path=placed(lib.path, site))
                for wheel in wheels
                for lib in wheel.libraries
            ],
        )
        said = {(f.package, f.name, f.verdict, f.because) for f in judge(whole, gpus).features}
        found = judged(name, BLACKWELL).features
        with_facts = {package for package, *_ in said}
        assert {
            (f.package, f.name, f.verdict, f.because) for f in found if f.package in with_facts
        } == said


def test_what_was_left_out_on_purpose_is_no_fault() -> None:
    """Evidence says that a wheel requires it; the resolution does not hold it."""
    missing = judged("torchvision-of-another-torch", BLACKWELL)
    assert "dependency-missing" in {f.code for f in missing.findings}
    names = {
        required.name
        for wheel in resolutions.case("torchvision-of-another-torch").evidence.values()
        if wheel
        for required in requirements(wheel.packages[0])
        if required.name != "torch"
    }
    quiet = judged("torchvision-of-another-torch", BLACKWELL, left_out=tuple(sorted(names)))
    assert "dependency-missing" not in {f.code for f in quiet.findings}
