"""Mixed GPUs: one stack for all, or who is left out and why."""

from __future__ import annotations

from typing import Literal

from sartor.host.describe import parse_host
from sartor.plan.split import Served, split

Verdict = Literal["native", "jit", "missing", "unknown"]


def served(candidate: str, capability: str, verdict: Verdict, cuda: str) -> Served:
    return Served(
        candidate=candidate,
        compute_capability=capability,
        verdict=verdict,
        because=f"its core is {verdict} on {capability}",
        cuda=cuda,
    )


NEW_BOTH = [
    served("vllm 0.32.0", "9.0", "native", "13.0"),
    served("vllm 0.32.0", "7.0", "missing", "13.0"),
]
OLD_BOTH = [
    served("vllm 0.19.1", "9.0", "native", "12.8"),
    served("vllm 0.19.1", "7.0", "native", "12.8"),
]


def test_one_stack_for_all_where_one_has_code_for_all() -> None:
    shares = split(parse_host("h100, v100, driver=580"), [*NEW_BOTH, *OLD_BOTH])
    assert [share.served for share in shares] == [True, True]
    assert all("vllm 0.19.1" in share.because for share in shares)


def test_no_release_of_cuda_13_serves_volta_beside_hopper() -> None:
    shares = split(parse_host("h100, v100, driver=580"), NEW_BOTH)
    left = next(share for share in shares if share.compute_capability == "7.0")
    assert not left.served
    assert "no build of CUDA 13 has code for it" in left.because
    assert "nothing that was tried serves it" in left.because


def test_who_is_left_out_of_a_chosen_stack_is_told_what_serves_it() -> None:
    shares = split(
        parse_host("h100, v100, driver=580"), [*NEW_BOTH, *OLD_BOTH], chosen="vllm 0.32.0"
    )
    left = next(share for share in shares if not share.served)
    assert "served by vllm 0.19.1" in left.because


def test_the_most_memory_decides_where_no_stack_has_all() -> None:
    verdicts = [
        served("new", "12.0", "native", "12.8"),
        served("new", "6.1", "missing", "12.8"),
        served("old", "12.0", "missing", "12.6"),
        served("old", "6.1", "native", "12.6"),
    ]
    shares = split(parse_host("rtx-5090, gtx-1080-ti, driver=575"), verdicts)
    assert {s.compute_capability: s.served for s in shares} == {"12.0": True, "6.1": False}
    many = split(parse_host("rtx-5090, 4x gtx-1080-ti, driver=575"), verdicts)
    assert {s.compute_capability: s.served for s in many} == {"12.0": False, "6.1": True}
    assert [len(s.gpus) for s in many] == [1, 4]


def test_what_was_not_checked_is_not_served() -> None:
    host = parse_host("h100, v100, driver=580")
    shares = split(host, [served("a", "9.0", "unknown", "13.0")], chosen="a")
    assert [share.served for share in shares] == [False, False]
    assert all("not checked" in share.because for share in shares)


def test_without_gpus_nothing_is_shared() -> None:
    assert split(parse_host("cpu-only"), NEW_BOTH) == []
