"""What is planned for described hosts, and why the others are not."""

from __future__ import annotations

import msgspec
import pytest

from sartor.engines.facts import BuildFact, engines
from sartor.errors import (
    CompilerMissingError,
    DiskFullError,
    ModelTooLargeError,
    NothingFitsError,
    UnknownEngineError,
    UsageError,
)
from sartor.host.describe import parse_host
from sartor.host.model import Disk, Host, Tool
from sartor.line import fitted
from sartor.models.demo_weights import DEMO_SHAPE
from sartor.models.model import Model
from sartor.models.shape import Attention, Layer, ModelShape
from sartor.plan.devices import coverage
from sartor.plan.model import (
    Accepted,
    Candidate,
    Device,
    IndexUse,
    Plan,
    Rejected,
    Request,
    Unchecked,
    environment_key,
)
from sartor.plan.planner import indexes_to_ask, plan

WHOLE = "cpu=zen5, arch=x86_64, glibc=2.39, python=3.12, ram=64G, disk=200G, gcc=13.2, g++=13.2"


def candidate(planned: Plan, engine: str, build: str) -> Candidate:
    """One candidate of the trace."""
    return next(c for c in planned.candidates if (c.engine, c.build) == (engine, build))


def reasons(planned: Plan, engine: str, build: str) -> list[str]:
    """The rules that stand against a candidate."""
    return [r.rule for r in candidate(planned, engine, build).rejections]


@pytest.mark.parametrize(
    ("description", "engine", "build"),
    [
        ("rtx-5090, driver=575.57", "vllm", "0.19.1"),
        ("rtx-5090, driver=580.95", "vllm", "0.32.0"),
        ("h200, driver=580.159", "vllm", "0.32.0"),
        ("v100, driver=535.183", "vllm", "0.19.1"),
        ("gb10, driver=580.95", "vllm", "0.32.0"),
        ("b300, driver=575.57", "vllm", "0.19.1"),
        ("rtx-5090, rtx-3090, driver=580.95", "vllm", "0.32.0"),
        ("2x rtx-3090, h100, driver=580.95", "vllm", "0.32.0"),
        ("h100:mig-1g.10gb, driver=580.95", "vllm", "0.32.0"),
        ("gtx-1080-ti, driver=575.57", "llama.cpp", "published-cuda-12.8"),
        ("gtx-1080-ti, driver=535.183", "llama.cpp", "published"),
        ("cpu-only, cpu=zen5", "llama.cpp", "published"),
        ("cpu-only, cpu=haswell", "llama.cpp", "published"),
        ("cpu=neoverse_v2, arch=aarch64", "llama.cpp", "published"),
    ],
)
def test_choice(description: str, engine: str, build: str) -> None:
    planned = plan(parse_host(description), Request())
    assert (planned.stack.engine, planned.stack.build) == (engine, build)
    assert planned.grade == "declared"


@pytest.mark.parametrize("description", ["rtx-5090, driver=575.57", "cpu-only", WHOLE])
def test_every_candidate_is_in_the_trace(description: str) -> None:
    planned = plan(parse_host(description), Request())
    wanted = {(e.name, b.id) for e in engines() for b in e.build}
    assert {(c.engine, c.build) for c in planned.candidates} == wanted
    assert all(c.decisions for c in planned.candidates)


def test_an_old_driver_says_which_would_do() -> None:
    planned = plan(parse_host("rtx-5090, driver=575.57"), Request())
    assert reasons(planned, "vllm", "0.32.0") == ["driver"]
    (rejection,) = candidate(planned, "vllm", "0.32.0").rejections
    assert "580" in rejection.wanted
    assert "575.57" in rejection.found
    assert rejection.hint
    assert "580" in rejection.hint


@pytest.mark.parametrize("branch", ["580", "580.65"])
def test_a_bare_driver_branch_is_not_compared(branch: str) -> None:
    planned = plan(parse_host(f"rtx-5090, driver={branch}"), Request())
    assert reasons(planned, "vllm", "0.32.0") == []
    open_questions = {d.rule: d.why for d in candidate(planned, "vllm", "0.32.0").unchecked}
    assert "state the whole version" in open_questions["driver"]
    older = plan(parse_host("rtx-5090, driver=575"), Request())
    assert reasons(older, "vllm", "0.32.0") == ["driver"]
    newer = plan(parse_host("rtx-5090, driver=581"), Request())
    assert "driver" not in {d.rule for d in candidate(newer, "vllm", "0.32.0").unchecked}


@pytest.mark.parametrize(
    ("name", "newer", "older"), [("b300", "10.3", "10.0"), ("gb10", "12.1", "12.0")]
)
def test_machine_code_for_an_older_minor_version_may_run(name: str, newer: str, older: str) -> None:
    planned = plan(parse_host(f"{name}, driver=575.57"), Request(engine="vllm"))
    assert "compute-capability" not in reasons(planned, "vllm", "0.19.1")
    open_questions = {d.rule: d.why for d in candidate(planned, "vllm", "0.19.1").unchecked}
    remark = open_questions["compute-capability"]
    assert f"machine code for {older} is declared and may run on {newer}" in remark
    assert f"({older}a) is not read" in remark
    exact = plan(parse_host(f"{name}, driver=580.95"), Request(engine="vllm"))
    assert exact.stack.build == "0.32.0"


class TestCoverage:
    def build(self, native: list[str], ptx: list[str]) -> BuildFact:
        row = next(b for e in engines() for b in e.build if b.id == "published-cuda-12.8")
        return msgspec.structs.replace(row, native=native, ptx=ptx)

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


def test_builds_that_are_declared_for_a_gpu_come_first() -> None:
    planned = plan(parse_host("gb10, driver=580.95"), Request())
    vllm = [c.build for c in planned.candidates if c.engine == "vllm"]
    assert vllm == ["0.32.0", "0.25.1", "0.19.1", "cpu"]
    both = plan(parse_host("b300, h100, driver=575.57"), Request(engine="vllm"))
    assert [d.compute_capability for d in both.fit.devices] == ["9.0"]


def test_a_gpu_that_is_left_idle_is_said() -> None:
    planned = plan(parse_host("gtx-1080-ti, driver=535.183"), Request())
    assert planned.fit.devices == []
    assert any("not used" in w and "GTX 1080 Ti" in w for w in planned.warnings)


def test_plain_ptx_wants_a_driver_that_compiles_it() -> None:
    new = plan(parse_host("gtx-1080-ti, driver=575.57"), Request())
    decisions = candidate(new, "llama.cpp", "published-cuda-12.8").decisions
    decision = next(d for d in decisions if d.rule == "compute-capability")
    assert isinstance(decision, Accepted)
    assert "PTX 6.1" in decision.found


def test_the_larger_of_two_gpus_is_taken() -> None:
    planned = plan(parse_host("rtx-3090, h100, driver=580.95"), Request())
    assert [d.name for d in planned.fit.devices] == ["NVIDIA H100 80GB HBM3"]


def test_a_mig_instance_counts_with_its_own_memory() -> None:
    planned = plan(parse_host("h100:mig-1g.10gb, driver=580.95"), Request())
    (device,) = planned.fit.devices
    assert device.name == "1g.10gb"
    assert device.memory_bytes is not None
    assert device.memory_bytes < 11 << 30


def test_mig_without_an_instance_is_no_gpu() -> None:
    host = parse_host('{"gpus": [{"name": "h100", "mig": ""}], "driver": "580.95"}')
    planned = plan(host, Request())
    assert planned.stack.accelerator == "cpu"
    assert "gpu" in reasons(planned, "vllm", "0.32.0")


def test_what_is_not_stated_stays_not_checked() -> None:
    planned = plan(parse_host("rtx-5090"), Request())
    rules = {d.rule for d in candidate(planned, "vllm", "0.32.0").unchecked}
    assert {"driver", "glibc", "python", "disk", "system-libraries"} <= rules
    assert len(planned.not_checked) == len(
        candidate(planned, planned.stack.engine, planned.stack.build).unchecked
    )


def test_an_old_glibc_rules_wheels_out() -> None:
    with pytest.raises(NothingFitsError) as raised:
        plan(parse_host("cpu-only, cpu=zen5, glibc=2.12"), Request())
    assert any("glibc" in line for line in raised.value.found)
    planned = plan(parse_host("h200, driver=580.95, glibc=2.17"), Request())
    assert "glibc" in reasons(planned, "vllm", "0.32.0")


def test_a_cpu_without_avx2_is_told_to_compile() -> None:
    with pytest.raises(NothingFitsError) as raised:
        plan(parse_host("cpu-only, cpu=ivybridge"), Request())
    assert raised.value.hint
    assert "--build native" in raised.value.hint
    planned = plan(parse_host("cpu-only, cpu=ivybridge, gcc=13, g++=13"), Request(build="native"))
    assert planned.stack.how == "source"


def test_native_without_a_compiler() -> None:
    host = msgspec.structs.replace(parse_host(WHOLE), described=False, compilers=[])
    with pytest.raises(CompilerMissingError) as raised:
        plan(host, Request(build="native"))
    assert raised.value.hint


def test_a_missing_library_is_supplied_or_ruled_out() -> None:
    host = parse_host("cpu-only, cpu=zen5")
    there = {"libstdc++.so.6": "/usr/lib/libstdc++.so.6"}
    lacks_gomp = msgspec.structs.replace(host, libraries={**there, "libgomp.so.1": None})
    assert plan(lacks_gomp, Request()).stack.supply == ["libgomp.so.1"]
    assert any("supplied" in reason for reason in plan(lacks_gomp, Request()).because)
    lacks_numa = msgspec.structs.replace(host, libraries={**there, "libnuma.so.1": None})
    assert "system-libraries" in reasons(plan(lacks_numa, Request()), "vllm", "cpu")


def test_no_python_of_a_supported_version() -> None:
    old = plan(parse_host(f"h200, driver=580.95, {WHOLE}"), Request(python="3.12"))
    assert old.stack.python.version == "3.12"
    with pytest.raises(NothingFitsError) as raised:
        plan(parse_host(f"h200, driver=580.95, {WHOLE}"), Request(python="3.9"))
    assert any("Python" in line for line in raised.value.found)
    host = msgspec.structs.replace(
        parse_host("cpu-only"), pythons=[Tool("python", "/usr/bin/python3", "3.6.8")]
    )
    with pytest.raises(NothingFitsError):
        plan(host, Request())


class TestDisk:
    HOST = parse_host("cpu-only, cpu=zen5, disk=50M")
    ROOMY = parse_host("cpu-only, cpu=zen5")

    def test_too_little_room_is_an_error_of_its_own(self) -> None:
        with pytest.raises(DiskFullError) as raised:
            plan(self.HOST, Request())
        assert "MB" in raised.value.message
        assert raised.value.hint

    def test_what_is_built_needs_no_room(self) -> None:
        planned = plan(self.HOST, Request(), built={key_on(self.ROOMY, Request())})
        assert planned.stack.build == "published"
        assert "disk" in reasons(planned, "vllm", "cpu")

    def test_the_same_build_for_another_python_does_not_count(self) -> None:
        with_pythons = [Tool("python3.11", "/a", "3.11.9"), Tool("python3.12", "/b", "3.12.3")]
        tight, roomy = (
            msgspec.structs.replace(host, pythons=with_pythons) for host in (self.HOST, self.ROOMY)
        )
        there = {key_on(roomy, Request(python="3.11"))}
        assert plan(tight, Request(python="3.11"), built=there).stack.python.path == "/a"
        with pytest.raises(DiskFullError):
            plan(tight, Request(python="3.12"), built=there)


def key_on(host: Host, request: Request) -> str:
    """The key of the environment that is planned for a host."""
    return environment_key(plan(host, request).stack)


class TestIndexes:
    HOST = parse_host("gtx-1080-ti, driver=575.57")

    def test_only_those_that_matter_are_asked(self) -> None:
        assert indexes_to_ask(parse_host("h200, driver=580.95"), Request(), None) == []
        asked = indexes_to_ask(self.HOST, Request(), None)
        assert [use.id for use in asked] == ["xllamacpp-cu128"]

    def test_one_that_does_not_answer(self) -> None:
        (use,) = indexes_to_ask(self.HOST, Request(), None)
        lost = msgspec.structs.replace(use, state="not reached", why="no route to host")
        planned = plan(self.HOST, Request(), indexes={use.id: lost})
        assert planned.stack.accelerator == "cpu"
        assert any("no route to host" in warning for warning in planned.warnings)

    def test_what_is_built_needs_none(self) -> None:
        build = "published-cuda-12.8"
        there = {key_on(self.HOST, Request())}
        assert indexes_to_ask(self.HOST, Request(), None, there) == []
        lost = IndexUse("xllamacpp-cu128", "https://x", ["xllamacpp"], "not reached", "offline")
        planned = plan(self.HOST, Request(), indexes={lost.id: lost}, built=there)
        assert planned.stack.build == build


class TestModel:
    def model(self, size: int, form: str = "gguf") -> Model:
        data = {"schema": "sartor.model/1", "reference": "m", "format": form, "name": "m"}
        return msgspec.convert({**data, "size_bytes": size}, Model)

    def test_it_is_larger_than_the_memory(self) -> None:
        with pytest.raises(ModelTooLargeError) as raised:
            plan(parse_host("cpu-only, cpu=zen5, ram=16G"), Request(), self.model(20 << 30))
        assert "20.0 GiB" in raised.value.message
        assert raised.value.hint
        assert "smaller" in raised.value.hint

    def test_its_format_chooses_the_engine(self) -> None:
        host = parse_host("h200, driver=580.95")
        assert plan(host, Request(), self.model(1 << 30)).stack.engine == "llama.cpp"
        assert plan(host, Request(), self.model(1 << 30, "safetensors")).stack.engine == "vllm"

    def test_two_equal_gpus_share_it(self) -> None:
        host = parse_host("2x rtx-3090, driver=580.95")
        planned = plan(host, Request(engine="vllm"), self.model(30 << 30, "safetensors"))
        assert len(planned.fit.devices) == 2

    def test_its_training_bounds_the_context(self) -> None:
        model = msgspec.structs.replace(self.model(1 << 20), context_length=2048)
        planned = plan(parse_host("cpu-only, cpu=zen5"), Request(context=100_000), model)
        assert planned.fit.context == 2048
        assert any("2048" in warning for warning in planned.warnings)

    def test_the_demo_model_s_training_bounds_the_context(self) -> None:
        planned = plan(parse_host("cpu-only, cpu=zen5"), Request(context=1_000_000_000))
        assert planned.fit.context == DEMO_SHAPE.context
        assert any(str(DEMO_SHAPE.context) in warning for warning in planned.warnings)
        unasked = plan(parse_host("cpu-only, cpu=zen5"), Request())
        assert unasked.fit.context == DEMO_SHAPE.context
        assert not any("trained" in warning for warning in unasked.warnings)

    def test_all_sequences_that_room_is_kept_for_count(self) -> None:
        layers = [Layer([Attention(8, 128, 128)])] * 256  # 1 MiB a token
        shape = ModelShape("", layers, hidden=1, vocab=1, weights_bytes=1)
        model = msgspec.structs.replace(self.model(1, "safetensors"), shape=shape)
        on_cpu = plan(parse_host("cpu-only, cpu=zen5, ram=64G"), Request(context=1024), model)
        on_gpu = plan(parse_host("h200, driver=580.95"), Request(context=1024), model)
        assert on_cpu.stack.engine == on_gpu.stack.engine == "vllm"
        assert on_cpu.fit.cache_bytes == 4 << 30
        assert on_gpu.fit.cache_bytes == 1 << 30
        with pytest.raises(ModelTooLargeError):
            plan(parse_host("cpu-only, cpu=zen5, ram=3G"), Request(context=1024), model)

    @pytest.mark.parametrize(("there", "notes"), [(False, 1), (True, 0), (None, 0)])
    def test_a_missing_chat_template_is_said(self, there: bool | None, notes: int) -> None:
        model = msgspec.structs.replace(self.model(1 << 20), chat_template=there)
        planned = plan(parse_host("cpu-only, cpu=zen5"), Request(), model)
        assert sum("no chat template" in text for text in planned.not_checked) == notes
        plain = msgspec.structs.replace(planned, not_checked=[])
        assert len(fitted(fitted(plain, model), model).not_checked) == notes


class TestRequest:
    def test_an_unknown_engine(self) -> None:
        with pytest.raises(UnknownEngineError) as raised:
            plan(Host(), Request(engine="vlm"))
        assert "vllm" in str(raised.value.hint)

    def test_an_unknown_build(self) -> None:
        with pytest.raises(UsageError) as raised:
            plan(Host(), Request(build="natve"))
        assert "native" in str(raised.value.hint)

    def test_nobody_is_chosen_who_was_not_asked_for(self) -> None:
        planned = plan(parse_host("cpu-only, cpu=zen5"), Request(engine="vllm"))
        assert planned.stack.engine == "vllm"
        rejected = candidate(planned, "llama.cpp", "published").decisions
        assert any(isinstance(d, Rejected) and d.rule == "asked-for" for d in rejected)


def test_a_document_with_nonsense_in_it_is_not_checked() -> None:
    host = msgspec.structs.replace(
        parse_host("rtx-5090, driver=575.57"),
        glibc="musl",
        pythons=[Tool("python", "/bin/python", "three")],
        disks=[Disk("data", "/", 0, True)],
        cuda_toolkits=[Tool("nvcc", "/bin/nvcc", "new")],
    )
    assert host.driver is not None
    strange = msgspec.structs.replace(
        host, driver=msgspec.structs.replace(host.driver, version="latest", cuda="yes")
    )
    with pytest.raises(NothingFitsError):
        plan(strange, Request())
    without = msgspec.structs.replace(strange, disks=[], pythons=[])
    trace = candidate(plan(without, Request()), "vllm", "0.32.0").decisions
    assert {d.rule for d in trace if isinstance(d, Unchecked)} >= {"driver", "glibc"}


def test_a_product_that_the_facts_lack_is_held_to_its_compute_capability() -> None:
    host = parse_host("rtx-5090, driver=550.54")
    named = [msgspec.structs.replace(gpu, name="NVIDIA Unheard-Of") for gpu in host.gpus]
    planned = plan(msgspec.structs.replace(host, gpus=named), Request())
    assert "gpu-driver-range" in reasons(planned, "vllm", "0.19.1")
