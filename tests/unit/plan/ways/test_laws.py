"""Laws of the ways out: they hold for any host and whatever was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from any_hosts import hosts, words
from sartor.plan.decision import Accepted, Rejected, Unchecked
from sartor.plan.outcome import Alternative, Remedy, Share
from sartor.plan.remedies.collect import remedies
from sartor.plan.split import Served, split
from sartor.plan.tried import Tried, Wants
from sartor.plan.ways.collect import ways

if TYPE_CHECKING:
    from sartor.host.model import Host
    from sartor.verdict.model import FeatureGrade

rules = st.sampled_from(
    [
        "driver",
        "gpu-driver-range",
        "ptx",
        "device-code",
        "torch-pin",
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


@settings(max_examples=80)
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
