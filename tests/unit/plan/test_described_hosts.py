"""What is planned for described hosts, and why the others are not, by what real wheels hold."""

from __future__ import annotations

import msgspec
import pytest

from market import MARKET, XLLAMACPP, plan
from sartor.engines.facts import DeclaredCode, engine, engines
from sartor.host.describe import parse_host
from sartor.host.model import Tool
from sartor.plan.devices import coverage
from sartor.plan.model import (
    Accepted,
    Device,
    Plan,
    Rejected,
    Tried,
    Unchecked,
)

WHOLE = "cpu=zen5, arch=x86_64, glibc=2.39, python=3.12, ram=64G, disk=200G, gcc=13.2, g++=13.2"
BINDING = XLLAMACPP


def tried(planned: Plan, name: str, version: str, line: str = "published") -> Tried:
    """One candidate of the trace."""
    every = [planned.chosen, *planned.rejected] if planned.chosen else planned.rejected
    key = (name, version, line)
    return next(t for t in every if key == _key(t))


def _key(one: Tried) -> tuple[str, str | None, str]:
    return one.candidate.engine, one.candidate.version, one.candidate.line


def against(planned: Plan, name: str, version: str, line: str = "published") -> list[str]:
    """The rules that stand against a candidate."""
    return [r.rule for r in tried(planned, name, version, line).rejections]


def said(one: Tried, rule: str) -> Accepted | Rejected | Unchecked:
    """What a rule said first of a candidate."""
    return next(d for d in one.decisions if d.rule == rule)


@pytest.mark.parametrize(
    ("description", "name", "line", "version"),
    [
        ("rtx-5090, driver=570.86", "vllm", "published", "0.19.1"),
        ("rtx-5090, driver=575.57", "vllm", "published", "0.19.1"),
        ("rtx-5090, driver=580.95", "vllm", "published", "0.33.0"),
        ("h100, driver=535.183", "vllm", "published", "0.19.1"),
        ("h200, driver=580.159", "vllm", "published", "0.33.0"),
        ("l40s, driver=550.54", "vllm", "published", "0.19.1"),
        ("t4, driver=580.95", "vllm", "published", "0.33.0"),
        ("v100, driver=535.183", "vllm", "published", "0.19.1"),
        ("v100, driver=580.95", "vllm", "published", "0.19.1"),
        ("b300, driver=575.57", "vllm", "published", "0.19.1"),
        ("b300, driver=580.95", "vllm", "published", "0.33.0"),
        ("gb10, driver=580.95", "vllm", "published", "0.33.0"),
        ("gh200, driver=580.95", "vllm", "published", "0.33.0"),
        ("thor, driver=580.95", "vllm", "published", "0.33.0"),
        ("rtx-5090, rtx-3090, driver=580.95", "vllm", "published", "0.33.0"),
        ("h100:mig-1g.10gb, driver=580.95", "vllm", "published", "0.33.0"),
        ("h100, driver=580.95, glibc=2.31", "vllm", "published", "0.33.0"),
        ("gtx-1080-ti, driver=575.57", "llama.cpp", "published-cuda-12.8", BINDING),
        ("gtx-1080-ti, driver=535.183", "llama.cpp", "published", BINDING),
        ("h100, driver=580.95, python=3.14", "llama.cpp", "published-cuda-12.8", BINDING),
        ("cpu-only, cpu=zen5", "llama.cpp", "published", BINDING),
        ("cpu-only, cpu=haswell", "llama.cpp", "published", BINDING),
        ("cpu=neoverse_v2, arch=aarch64", "llama.cpp", "published", BINDING),
    ],
)
def test_choice(description: str, name: str, line: str, version: str) -> None:
    planned = plan(description)
    assert planned.stack
    assert planned.chosen
    assert (planned.stack.engine, planned.stack.line, planned.stack.version) == (
        name,
        line,
        version,
    )
    assert planned.chosen.rejections == []
    assert planned.status == "ready"


@pytest.mark.parametrize(
    ("description", "architecture"),
    [
        ("gb10, driver=580.95", "aarch64"),
        ("gh200, driver=580.95", "aarch64"),
        ("thor, driver=580.95", "aarch64"),
        ("h100, driver=580.95", "x86_64"),
        ("h100, driver=580.95, arch=aarch64", "aarch64"),
    ],
)
def test_a_gpu_s_usual_processor_stands_in_for_one_that_nobody_stated(
    description: str, architecture: str
) -> None:
    stack = plan(description).stack
    assert stack
    assert stack.architecture == architecture
    own = [p.filename for p in stack.packages if p.name == "vllm"]
    assert len(own) == 1
    assert own[0].endswith(f"_{architecture}.whl")


@pytest.mark.parametrize(
    "description", ["rtx-5090, driver=575.57", "cpu-only", WHOLE, "h100, driver=580, python=3.10"]
)
def test_every_release_of_every_line_is_in_the_trace(description: str) -> None:
    planned = plan(description)
    every = [t for t in (planned.chosen, *planned.rejected) if t]
    found = [_key(t) for t in every if t.candidate.strategy != "index"]
    of_wheels = {
        (e.name, v, line.id)
        for e in engines()
        for line in e.line
        if line.how == "wheel"
        for v in _versions(line.index, line.distribution)
    }
    of_source = {
        (e.name, line.version, line.id) for e in engines() for line in e.line if line.version
    }
    assert len(found) == len(set(found))
    assert set(found) == of_wheels | of_source
    assert all(t.rejections for t in planned.rejected)
    for one in planned.rejected:
        assert all(r.rule and r.wanted and r.found and r.evidence for r in one.rejections)


def _versions(index: str, project: str) -> set[str | None]:
    """Of an index that is not reached the line is there once, without a version."""
    from sartor.plan.offers.releases import by_version

    if index in MARKET.unreached:
        return {None}
    return {str(v) for v in by_version(MARKET.of(project, index), project, None)}


def test_an_old_driver_says_which_would_do() -> None:
    planned = plan("rtx-5090, driver=575.57")
    (rejection,) = tried(planned, "vllm", "0.33.0").rejections
    assert rejection.rule == "driver"
    assert rejection.wanted == "driver 580.65.06 or newer (CUDA 13.0)"
    assert rejection.found == "575.57"
    assert "torch-2.14.0-cp312-cp312-manylinux_2_28_x86_64.whl" in rejection.evidence
    assert rejection.hint
    assert "580.65.06" in rejection.hint


@pytest.mark.parametrize("branch", ["580", "580.65"])
def test_a_bare_driver_branch_is_not_compared(branch: str) -> None:
    planned = plan(f"rtx-5090, driver={branch}")
    assert against(planned, "vllm", "0.33.0") == []
    open_question = said(tried(planned, "vllm", "0.33.0"), "driver")
    assert isinstance(open_question, Unchecked)
    assert "state the whole version" in open_question.why
    assert any(text.startswith("driver: ") for text in planned.not_checked)


def test_a_branch_on_one_side_of_the_bound_is_enough() -> None:
    older = plan("rtx-5090, driver=575", "vllm")
    assert against(older, "vllm", "0.33.0") == ["driver"]
    newer = said(tried(plan("rtx-5090, driver=581", "vllm"), "vllm", "0.33.0"), "driver")
    assert isinstance(newer, Accepted)


def test_the_machine_code_of_a_release_decides_not_its_age() -> None:
    """0.20 dropped the V100 and 0.19 has it; the torch of 0.10 knows no Blackwell."""
    volta = plan("v100, driver=580.95")
    for version in ("0.33.0", "0.32.0", "0.20.2"):
        assert against(volta, "vllm", version) == ["device-code"]
    rejection = said(tried(volta, "vllm", "0.33.0"), "device-code")
    assert isinstance(rejection, Rejected)
    assert "nothing for sm_70" in rejection.found
    assert "read from the machine code on 20" in rejection.evidence
    blackwell = plan("rtx-5090, driver=575.57", "vllm==0.10.1.1")
    old = said(tried(blackwell, "vllm", "0.10.1.1"), "device-code")
    assert isinstance(old, Rejected)
    assert "torch: holds sm_50" in old.found


def test_a_torch_without_device_code_rules_a_release_out() -> None:
    """Of torch 2.10 the index's own wheel for aarch64 is a build for the CPU."""
    planned = plan("gh200, driver=580.95", "vllm==0.19.1")
    decision = said(tried(planned, "vllm", "0.19.1"), "device-code")
    assert isinstance(decision, Rejected)
    assert "torch: it holds no device code" in decision.found


def test_torch_rules_out_what_nobody_read() -> None:
    market = MARKET.never_read("vllm")
    old = plan("rtx-5090, driver=575.57", "vllm==0.10.1.1", market=market)
    assert "device-code" in against(old, "vllm", "0.10.1.1")
    planned = plan("rtx-5090, driver=575.57", "vllm", market=market)
    decision = said(tried(planned, "vllm", "0.19.1"), "device-code")
    assert isinstance(decision, Unchecked)
    assert "`sartor inspect vllm==0.19.1` reads it" in decision.why


def test_what_a_gpu_lacks_is_said() -> None:
    planned = plan("rtx-5090, driver=575.57")
    assert any("INT8 W8A8" in warning for warning in planned.warnings)
    compiled = [c for c in planned.first_use_compiles if c.compiler == "the driver"]
    assert "FlashAttention 2" in {c.what for c in compiled}
    verdicts = {f.verdict for f in planned.features if f.gpu == "sm_120"}
    assert {"native", "jit", "missing"} <= verdicts


def test_a_gpu_of_a_mixed_machine_that_a_release_does_not_serve_is_said() -> None:
    planned = plan("rtx-5090, v100, driver=580.95", "vllm")
    assert planned.stack
    assert planned.fit
    assert planned.stack.version == "0.33.0"
    assert [d.compute_capability for d in planned.fit.devices] == ["12.0"]
    assert any("V100" in w and "not served" in w for w in planned.warnings)


def test_the_larger_of_two_gpus_is_taken() -> None:
    planned = plan("2x rtx-3090, h100, driver=580.95")
    assert planned.fit
    assert [d.name for d in planned.fit.devices] == ["NVIDIA H100 80GB HBM3"]


class TestDeclared:
    """Builds of which nobody read the machine code: the makers' word is what is known."""

    def build(self, native: list[str], ptx: list[str]) -> DeclaredCode:
        line = next(one for one in engine("llama.cpp").line if one.id == "published-cuda-12.8")
        assert line.declared
        return msgspec.structs.replace(line.declared, native=native, ptx=ptx)

    @pytest.mark.parametrize(
        ("native", "ptx", "capability", "verdict"),
        [
            (["8.6"], [], "8.6", "native"),
            (["8.0", "8.6"], [], "8.9", "maybe"),
            (["8.9"], [], "8.6", "missing"),
            (["8.0"], [], "9.0", "missing"),
            (["8.6"], [], "8.7", "missing"),  # a Tegra part
            (["8.7"], [], "8.9", "missing"),
            (["8.6"], ["8.0"], "8.9", "jit"),
            (["12.0"], [], "12.9", "maybe"),  # not in the facts
        ],
    )
    def test_verdicts(
        self, native: list[str], ptx: list[str], capability: str, verdict: str
    ) -> None:
        device = Device("0", "x", capability, None)
        assert coverage(self.build(native, ptx), device, "12.8").verdict == verdict

    def test_plain_ptx_wants_a_driver_that_compiles_it(self) -> None:
        new = plan("gtx-1080-ti, driver=575.57").chosen
        assert new
        decision = said(new, "device-code")
        assert isinstance(decision, Accepted)
        assert "PTX 6.1" in decision.found
        assert decision.evidence.startswith("declared: ")
        old = plan("gtx-1080-ti, driver=535.183")
        assert "device-code" in against(old, "llama.cpp", BINDING, "published-cuda-12.8")


class TestGpus:
    def test_one_that_is_left_idle_is_said(self) -> None:
        planned = plan("gtx-1080-ti, driver=535.183")
        assert planned.fit
        assert planned.fit.devices == []
        assert any("not used" in w and "GTX 1080 Ti" in w for w in planned.warnings)

    def test_a_mig_instance_counts_with_its_own_memory(self) -> None:
        fit = plan("h100:mig-1g.10gb, driver=580.95").fit
        assert fit
        (device,) = fit.devices
        assert device.name == "1g.10gb"
        assert device.memory_bytes is not None
        assert device.memory_bytes < 11 << 30

    def test_mig_without_an_instance_is_no_gpu(self) -> None:
        host = parse_host('{"gpus": [{"name": "h100", "mig": ""}], "driver": "580.95"}')
        planned = plan(host)
        assert planned.stack
        assert planned.stack.accelerator == "cpu"
        assert "gpu" in against(planned, "vllm", "0.33.0")

    def test_a_product_that_the_facts_lack_is_held_to_its_compute_capability(self) -> None:
        host = parse_host("rtx-5090, driver=550.54")
        named = [msgspec.structs.replace(gpu, name="NVIDIA Unheard-Of") for gpu in host.gpus]
        planned = plan(msgspec.structs.replace(host, gpus=named))
        assert "gpu-driver-range" in against(planned, "vllm", "0.19.1")

    def test_a_driver_that_no_longer_knows_the_gpu(self) -> None:
        planned = plan("v100, driver=590.10", "vllm")
        assert planned.status == "impossible"
        decision = said(tried(planned, "vllm", "0.19.1"), "gpu-driver-range")
        assert isinstance(decision, Rejected)
        assert "580 is the last branch" in decision.found


class TestMachine:
    def test_what_is_not_stated_stays_not_checked(self) -> None:
        planned = plan("rtx-5090")
        assert planned.chosen
        rules = {d.rule for d in planned.chosen.unchecked}
        assert {"driver", "interpreter", "disk", "system-libraries", "compiler", "glibc"} <= rules
        for open_question in planned.chosen.unchecked:
            assert f"{open_question.rule}: {open_question.why}" in planned.not_checked

    def test_an_old_glibc_rules_wheels_out(self) -> None:
        planned = plan("h100, driver=580.95, glibc=2.31")
        assert against(planned, "vllm", "0.20.2") == ["platform-tag"]
        older = plan("h200, driver=580.95, glibc=2.17")
        assert "platform-tag" in against(older, "vllm", "0.33.0")
        rejection = said(tried(older, "vllm", "0.33.0"), "platform-tag")
        assert isinstance(rejection, Rejected)
        assert "manylinux_2_28_x86_64" in rejection.wanted
        assert rejection.found == "glibc 2.17"

    def test_a_torch_that_is_not_published_for_the_machine(self) -> None:
        planned = plan("h100, driver=580.95, glibc=2.27", "vllm")
        assert against(planned, "vllm", "0.10.1.1") == ["torch-pin"]

    def test_a_cpu_without_avx2_is_told_to_compile(self) -> None:
        rejection = said(tried(plan("cpu-only, cpu=ivybridge"), "llama.cpp", BINDING), "cpu-isa")
        assert isinstance(rejection, Rejected)
        assert rejection.hint
        assert "--build native" in rejection.hint
        native = plan("cpu-only, cpu=ivybridge, gcc=13, g++=13", build="native")
        assert native.stack
        assert native.stack.strategy == "source"

    def test_a_missing_library_is_supplied_or_ruled_out(self) -> None:
        host = parse_host("cpu-only, cpu=zen5")
        there = {"libstdc++.so.6": "/usr/lib/libstdc++.so.6"}
        lacks_gomp = msgspec.structs.replace(host, libraries={**there, "libgomp.so.1": None})
        planned = plan(lacks_gomp)
        assert planned.stack
        assert planned.stack.supply == ["libgomp.so.1"]
        assert any("supplied" in reason for reason in planned.because)
        lacks_numa = msgspec.structs.replace(host, libraries={**there, "libnuma.so.1": None})
        assert "system-libraries" in against(plan(lacks_numa), "vllm", "0.30.0", "cpu")

    def test_nonsense_in_a_document_is_not_checked(self) -> None:
        host = msgspec.structs.replace(
            parse_host("rtx-5090, driver=575.57"),
            glibc="musl",
            pythons=[Tool("python", "/bin/python", "three")],
            cuda_toolkits=[Tool("nvcc", "/bin/nvcc", "new")],
        )
        assert host.driver is not None
        driver = msgspec.structs.replace(host.driver, version="latest", cuda="yes")
        planned = plan(msgspec.structs.replace(host, driver=driver), "vllm")
        open_rules = {d.rule for d in tried(planned, "vllm", "0.33.0").unchecked}
        assert {"driver", "glibc", "interpreter"} <= open_rules

    def test_nonsense_as_a_glibc_leaves_out_no_wheel_of_another_index(self) -> None:
        """Where nothing stands, what the makers' indexes have is told all the same."""
        text = "h100, driver=580.95, arch=x86_64, disk=1M"
        host = msgspec.structs.replace(parse_host(text), glibc="musl")
        planned = plan(host, "llama.cpp")
        assert planned.stack is None
        assert any("xllamacpp" in way.what for way in planned.alternatives)

    @pytest.mark.parametrize("glibc", ["2", "2.", "x.39", "2.39.9999", "-2.39", ""])
    def test_a_glibc_that_is_no_version(self, glibc: str) -> None:
        host = msgspec.structs.replace(parse_host("h100, driver=580.95"), glibc=glibc)
        assert plan(host, "vllm").stack
