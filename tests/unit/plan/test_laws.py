"""What holds for the plan of any host whatsoever."""

from __future__ import annotations

import contextlib

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
from sartor.plan.model import IndexUse, Request
from sartor.plan.planner import indexes_to_ask, plan
from sartor.report.plan import explain_lines, plan_lines

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
    kv_bytes_per_token=st.none() | st.integers(1, 1 << 20),
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
