"""What holds for the plan of any host whatsoever."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.engines.facts import engines
from sartor.errors import SartorError
from sartor.host.model import (
    Cpu,
    Disk,
    Driver,
    Gpu,
    Host,
    Memory,
    MigInstance,
    Tool,
    UndrivenGpu,
)
from sartor.models.model import Model
from sartor.models.shape import Attention, Latent, Layer, ModelShape
from sartor.plan.decision import Accepted, Rejected, Unchecked
from sartor.plan.model import IndexUse, Request
from sartor.plan.outcome import Alternative, Remedy, Share
from sartor.plan.planner import indexes_to_ask, plan
from sartor.plan.remedies import remedies
from sartor.plan.split import Served, split
from sartor.plan.tried import Tried, Wants
from sartor.plan.ways import ways
from sartor.report.plan import explain_lines, plan_lines

if TYPE_CHECKING:
    from sartor.verdict.model import FeatureGrade

words = st.one_of(st.text(max_size=8), st.sampled_from(["", "latest", "12.8", "2.39", "3.12.1"]))
maybe = st.none() | words
sizes = st.none() | st.integers(0, 1 << 45)
versions = st.none() | st.sampled_from(["535.183", "575.57.08", "580.95", "7", "x"])
capabilities = st.none() | st.sampled_from(
    ["6.1", "7.0", "8.6", "9.0", "12.0", "12.1", "99.9", "?"]
)
tools = st.lists(st.builds(Tool, words, words, maybe), max_size=2)
instances = st.lists(st.builds(MigInstance, words, maybe, sizes), max_size=2)
gpus = st.builds(
    Gpu,
    words,
    capabilities,
    sizes,
    uuid=maybe,
    unified_memory=st.booleans(),
    mig=st.none() | instances,
)
hosts = st.builds(
    Host,
    gpus=st.lists(gpus, max_size=3),
    driver=st.none() | st.builds(Driver, versions, versions),
    cpu=st.none()
    | st.builds(
        Cpu, maybe, st.lists(st.sampled_from(["avx2", "fma", "f16c", "bmi2"]), unique=True)
    ),
    architecture=st.sampled_from([None, "x86_64", "aarch64", "riscv64"]),
    glibc=st.sampled_from([None, "2.12", "2.28", "2.39", "musl"]),
    memory=st.builds(Memory, sizes, sizes),
    disks=st.lists(st.builds(Disk, st.just("data"), words, st.integers(0, 1 << 40), st.booleans())),
    pythons=tools,
    compilers=tools,
    cuda_toolkits=tools,
    libraries=st.dictionaries(st.sampled_from(["libgomp.so.1", "libnuma.so.1"]), maybe),
    undriven_gpus=st.lists(st.builds(UndrivenGpu, words, words, maybe, maybe, maybe), max_size=1),
    described=st.booleans(),
)
requests = st.builds(
    Request,
    st.sampled_from([None, "vllm", "llama", "nobody"]),
    st.sampled_from([None, "published", "native", "0.19.1", "none"]),
    st.none() | st.integers(1, 1 << 40),
    st.sampled_from([None, "3.12", "3", ""]),
)
models = st.none() | st.builds(
    Model,
    st.just("m"),
    st.sampled_from(["gguf", "safetensors"]),
    st.just("m"),
    size_bytes=sizes,
    context_length=st.none() | st.integers(1, 1 << 20),
    shape=st.none()
    | st.builds(
        ModelShape,
        st.just("f"),
        st.lists(
            st.builds(
                Layer,
                st.lists(
                    st.builds(Attention, st.integers(1, 64), st.integers(1, 512), st.just(64))
                    | st.builds(Latent, st.integers(1, 512), st.integers(0, 64)),
                    max_size=2,
                ),
                dense=st.integers(0, 1 << 34),
            ),
            min_size=1,
            max_size=5,
        ),
        st.integers(1, 1 << 14),
        st.integers(1, 1 << 18),
        heads=st.integers(1, 128),
        weights_bytes=st.none() | st.integers(1, 1 << 42),
    ),
)


@settings(max_examples=200)
@given(hosts, requests, models, st.booleans())
def test_planning_ends_in_a_plan_or_an_error_of_ours(
    host: Host, request: Request, model: Model | None, reached: bool
) -> None:
    with contextlib.suppress(SartorError):
        state = "reached" if reached else "not reached"
        asked = indexes_to_ask(host, request, model)
        answers: dict[str, IndexUse] = {
            use.id: msgspec.structs.replace(use, state=state, why="because") for use in asked
        }
        planned = plan(host, request, model, answers)
        assert len(planned.candidates) == sum(len(e.build) for e in engines())
        chosen = (planned.stack.engine, planned.stack.build)
        trace = next(c for c in planned.candidates if (c.engine, c.build) == chosen)
        assert not trace.rejections
        assert plan_lines(planned)
        assert len(explain_lines(planned)) > len(planned.candidates)
        assert msgspec.json.decode(msgspec.json.encode(planned), type=type(planned)) == planned


FORGOTTEN: dict[str, object] = {
    "driver": None,
    "glibc": None,
    "cpu": None,
    "architecture": None,
    "disks": [],
    "libraries": {},
}


@settings(max_examples=100)
@given(hosts, st.sets(st.sampled_from(sorted(FORGOTTEN))))
def test_who_states_less_gets_no_fewer_open_questions(host: Host, forgotten: set[str]) -> None:
    """A rule that could not be applied does not become one that holds when less is known."""
    stated = msgspec.structs.replace(host, described=True)
    less = msgspec.structs.replace(stated, **{name: FORGOTTEN[name] for name in forgotten})
    with contextlib.suppress(SartorError):
        before, after = plan(stated, Request()), plan(less, Request())
        known = {(c.engine, c.build): c for c in before.candidates}
        for candidate in after.candidates:
            open_before = {d.rule for d in known[candidate.engine, candidate.build].unchecked}
            ruled_out = {d.rule for d in candidate.rejections}
            said = {d.rule for d in candidate.decisions}
            still_open = {d.rule for d in candidate.unchecked}
            assert (open_before & said) <= still_open | ruled_out


rules = st.sampled_from(
    [
        "driver",
        "gpu-driver-range",
        "ptx",
        "core",
        "compute-capability",
        "gpu",
        "glibc",
        "python",
        "disk",
        "compiler",
        "system-libraries",
        "resolution",
    ]
)
decisions = st.lists(
    st.builds(Rejected, rules, words, words, words)
    | st.builds(Accepted, rules, words, words, words)
    | st.builds(Unchecked, rules, words, words),
    max_size=3,
)
attempts = st.lists(
    st.builds(
        Tried,
        st.sampled_from(["vllm", "sglang", "llama.cpp", "tensorrt-llm", "nobody"]),
        st.sampled_from(["0.8.5", "0.19.1", "0.25.1", "0.33.0", "0.5.9", "1.2.1", "x", ""]),
        words,
        st.none(),
        decisions,
        st.sampled_from([None, "2.7.1", "2.11.0", "?"]),
        st.sampled_from([None, "12.6", "12.8", "13.0", "99.0", "x"]),
        st.builds(
            Wants,
            glibc=st.sampled_from([None, "2.35"]),
            driver_cuda=st.sampled_from([None, "12.8", "13.0"]),
            python=st.sampled_from([None, ">=3.11", "nothing"]),
            compilers=st.lists(st.sampled_from(["nvcc", "cc"]), max_size=2),
            libraries=st.lists(st.sampled_from(["libnuma.so.1", "libx.so"]), max_size=2),
        ),
    ),
    max_size=4,
)
every_grade: list[FeatureGrade] = ["native", "jit", "missing", "unknown"]
grades = st.sampled_from(every_grade)
days = st.sampled_from([None, "2025-03-01", "2026-06-01T00:00:00Z"])


@settings(max_examples=200)
@given(hosts, attempts, days)
def test_ways_and_remedies_are_values_that_unlock_what_was_tried(
    host: Host, tried: list[Tried], day: str | None
) -> None:
    engines = list(dict.fromkeys(t.engine for t in tried))
    found = ways(host, engines, tried, as_of=day)
    assert msgspec.convert(msgspec.to_builtins(found), list[Alternative]) == found
    mended = remedies(host, tried)
    assert msgspec.convert(msgspec.to_builtins(mended), list[Remedy]) == mended
    names = {t.name for t in tried if t.rejections}
    assert all(set(remedy.unlocks) <= names for remedy in mended)


@given(hosts, st.lists(grades, max_size=4))
def test_what_is_unknown_or_missing_is_never_served(
    host: Host, verdicts: list[FeatureGrade]
) -> None:
    served = [
        Served(candidate="a", compute_capability=str(gpu.compute_capability), verdict=v, because="")
        for gpu, v in zip(host.gpus, verdicts, strict=False)
    ]
    shares = split(host, served)
    assert msgspec.convert(msgspec.to_builtins(shares), list[Share]) == shares
    good = {s.compute_capability for s in served if s.verdict in {"native", "jit"}}
    assert all(share.compute_capability in good for share in shares if share.served)
