"""Ways to a stack where nothing published fits, on described machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sartor.host.describe import parse_host
from sartor.index.wheels import IndexFile
from sartor.plan.decision import Accepted, Rejected, Unchecked
from sartor.plan.known import Listing, ListingQuestion
from sartor.plan.ways.collect import Tried, Wants, ways
from sartor.plan.ways.torch import torch_that_fit
from sartor.verdict.targets import targets_of

if TYPE_CHECKING:
    from sartor.plan.decision import Decision
    from sartor.plan.outcome import Alternative

BLACKWELL = "rtx-5090, driver=570.86, arch=x86_64, cpu=zen5, cores=16, ram=64G, glibc=2.39"


def against(rule: str) -> Rejected:
    return Rejected(rule, f"what {rule} wants", "what there is", "a test")


def vllm(version: str, torch: str, cuda: str, *rules: str, driver_cuda: str | None = None) -> Tried:
    decisions = [against(rule) for rule in rules]
    wants = Wants(driver_cuda=driver_cuda)
    return Tried("vllm", version, f"CUDA {cuda}", None, [*decisions], torch, cuda, wants)


def asked(
    host: str,
    *tried: Tried,
    listings: dict[ListingQuestion, Listing] | None = None,
    as_of: str | None = None,
    allow: frozenset[str] = frozenset(),
) -> list[Alternative]:
    engines = list(dict.fromkeys(t.engine for t in tried))
    return ways(parse_host(host), engines, list(tried), listings, as_of, allow)


def of(found: list[Alternative], strategy: str) -> list[Alternative]:
    return [way for way in found if way.strategy == strategy]


def test_kinds_of_ways_come_the_cheapest_first() -> None:
    new, old = vllm("0.25.1", "2.11.0", "13.0", "driver"), vllm("0.19.1", "2.10.0", "12.8")
    kinds = [way.strategy for way in asked(BLACKWELL, new, old)]
    order = ["release", "index", "image", "ahead-of-time", "source", "engine"]
    assert kinds == sorted(kinds, key=order.index)
    assert set(kinds) == set(order) - {"ahead-of-time"}


def test_an_older_release_that_nothing_is_against_comes_with_what_was_checked() -> None:
    decisions: list[Decision] = [
        Accepted("driver", "w", "f", "e"),
        Unchecked("glibc", "w", "not known"),
    ]
    old = Tried("vllm", "0.19.1", "CUDA 12.8", None, decisions, "2.10.0", "12.8")
    way = of(asked(BLACKWELL, vllm("0.32.0", "2.13.0", "13.0", "driver"), old), "release")[0]
    assert "0.19.1" in way.what
    assert way.checked == ["driver"]
    assert way.not_checked == ["glibc"]


def test_no_older_release_is_offered_beside_a_newest_one_that_fits() -> None:
    new, old = vllm("0.32.0", "2.13.0", "13.0"), vllm("0.19.1", "2.10.0", "12.8")
    assert not of(asked(BLACKWELL, new, old), "release")


def test_vllms_own_index_serves_a_cuda_12_driver() -> None:
    found = of(asked(BLACKWELL, vllm("0.25.1", "2.11.0", "13.0", "driver")), "index")
    way = next(way for way in found if way.needs is None)
    assert "wheels.vllm.ai/0.25.1/cu129" in way.commands[0]
    assert "whl/cu129" in way.commands[0]
    assert any("was not asked" in line for line in way.not_checked)


def test_an_index_that_has_no_wheel_for_the_machine_is_no_way() -> None:
    question = ListingQuestion("vllm-release-cu129", "vllm")
    arm = IndexFile("vllm-0.25.1+cu129-cp38-abi3-manylinux_2_28_aarch64.whl", "u")
    amd = IndexFile("vllm-0.25.1+cu129-cp38-abi3-manylinux_2_28_x86_64.whl", "u")
    tried = vllm("0.25.1", "2.11.0", "13.0", "driver")
    for files, there in (([arm], False), ([amd], True)):
        listings = {question: Listing(*_pair(question), "reached", files)}
        found = of(asked(BLACKWELL, tried, listings=listings), "index")
        assert any("wheels.vllm.ai/0.25.1" in w.commands[0] for w in found) is there
    unreached = {question: Listing(*_pair(question), "not reached", why="no network")}
    found = of(asked(BLACKWELL, tried, listings=unreached), "index")
    assert any("wheels.vllm.ai/0.25.1" in w.commands[0] for w in found)


def _pair(question: ListingQuestion) -> tuple[str, str]:
    return question.index, question.project


def test_what_was_uploaded_later_than_the_day_is_not_there() -> None:
    question = ListingQuestion("vllm-release-cu129", "vllm")
    late = IndexFile(
        "vllm-0.25.1+cu129-cp38-abi3-manylinux_2_28_x86_64.whl",
        "u",
        uploaded="2026-07-20T10:00:00Z",
    )
    listings = {question: Listing(*_pair(question), "reached", [late])}
    tried = vllm("0.25.1", "2.11.0", "13.0", "driver")
    for day, there in (("2026-07-01T00:00:00Z", False), ("2026-08-01T00:00:00Z", True)):
        found = of(asked(BLACKWELL, tried, listings=listings, as_of=day), "index")
        assert any("wheels.vllm.ai/0.25.1" in w.commands[0] for w in found) is there


def test_the_torch_of_another_cuda_where_torch_itself_lacks_the_code() -> None:
    """The clash of August 2025: vLLM pins a torch whose usual build has nothing for 12.0."""
    tried = vllm("0.10.1.1", "2.7.1", "12.6", "device-code")
    way = of(asked(BLACKWELL, tried, as_of="2025-08-20T00:00:00Z"), "index")[0]
    assert "'torch==2.7.1'" in way.commands[0]
    assert "whl/cu128" in way.commands[0]
    assert any("vllm" in line for line in way.not_checked)


def test_a_driver_that_is_too_old_is_no_reason_for_another_torch() -> None:
    tried = vllm("0.10.1.1", "2.7.1", "12.6", "driver")
    found = of(asked(BLACKWELL, tried), "index")
    assert not any("torch==" in way.commands[0] for way in found)


def test_source_takes_the_release_whose_own_torch_fits() -> None:
    new, old = (
        vllm("0.32.0", "2.13.0", "13.0", "driver"),
        vllm("0.25.1", "2.11.0", "13.0", "driver"),
    )
    way = of(asked(BLACKWELL, new, old), "source")[0]
    assert "v0.25.1" in way.what
    assert "torch 2.11.0 for CUDA 12.8" in way.what
    text = "\n".join(way.commands)
    assert "--branch v0.25.1" in text
    assert "python use_existing_torch.py" in text
    assert "TORCH_CUDA_ARCH_LIST='12.0'" in text
    assert "MAX_JOBS='12'" in text  # 64 GiB at 5 GiB a job, on 16 cores
    assert "--no-build-isolation" in text
    assert way.needs == "source"
    assert way.cost.trust == "own build"
    assert way.cost.seconds == pytest.approx(50 * 3600 / 12)


def test_the_script_moved_in_0_31() -> None:
    tried = vllm("0.32.0", "2.13.0", "13.0", "driver")
    way = of(asked("h100, driver=535.183.01, arch=x86_64", tried), "source")[0]
    assert "python tools/use_existing_torch.py" in way.commands
    assert "torch 2.13.0 for CUDA 12.6" in way.what
    assert way.cost.seconds is None  # neither cores nor memory are known


def test_volta_is_built_with_a_toolkit_that_knows_it() -> None:
    tried = vllm("0.32.0", "2.13.0", "13.0", "device-code")
    way = of(asked("v100, driver=580.95, arch=x86_64", tried), "source")[0]
    assert "CUDA 12.6" in way.what
    assert "its makers name newer GPUs as the oldest that it runs on" in way.not_checked


def test_before_torch_had_a_release_for_the_gpu_a_nightly_is_what_there_is() -> None:
    tried = vllm("0.8.5", "2.6.0", "12.4", "device-code")
    day = "2025-04-10T00:00:00Z"
    way = of(asked(BLACKWELL, tried, as_of=day), "source")[0]
    assert any("whl/nightly/cu128" in command for command in way.commands)
    assert way.needs == "source"
    allowed = of(asked(BLACKWELL, tried, as_of=day, allow=frozenset({"source"})), "source")[0]
    assert allowed.needs == "nightly"
    both = frozenset({"source", "nightly"})
    assert of(asked(BLACKWELL, tried, as_of=day, allow=both), "source")[0].needs is None


def test_ptx_alone_can_be_compiled_ahead_of_time_and_nothing_more_is_promised() -> None:
    tried = vllm("0.25.1", "2.11.0", "12.8", "ptx", driver_cuda="12.9")
    way = of(asked(BLACKWELL, tried), "ahead-of-time")[0]
    assert any("ptxas -arch=sm_120" in command for command in way.commands)
    assert any("cannot do that" in line for line in way.not_checked)
    also = vllm("0.25.1", "2.11.0", "12.8", "ptx", "glibc", driver_cuda="12.9")
    assert not of(asked(BLACKWELL, also), "ahead-of-time")


def test_machine_code_of_a_newer_major_is_no_way_around_the_driver() -> None:
    tried = vllm("0.25.1", "2.11.0", "13.0", "ptx", driver_cuda="13.0")
    assert not of(asked(BLACKWELL, tried), "ahead-of-time")


def test_an_image_of_a_newer_cuda_major_than_the_driver_is_none() -> None:
    tried = vllm("0.32.0", "2.13.0", "13.0", "driver")
    assert not of(asked(BLACKWELL, tried), "image")
    new = asked("rtx-5090, driver=580.95, arch=x86_64", tried)
    way = of(new, "image")[0]
    assert "vllm/vllm-openai:v0.32.0" in way.what
    assert way.needs == "image"
    assert any("sartor inspect" in line for line in way.not_checked)


def test_no_image_of_cuda_13_for_volta() -> None:
    tried = vllm("0.32.0", "2.13.0", "13.0", "device-code")
    assert not of(asked("v100, driver=580.95, arch=x86_64", tried), "image")


def test_thor_under_a_driver_of_cuda_12_has_no_build_at_all() -> None:
    found = asked("jetson-agx-thor, driver=575", vllm("0.32.0", "2.13.0", "13.0", "driver"))
    assert {way.strategy for way in found} == {"engine"}


def test_sglang_on_gb10_is_pointed_at_the_kernels_for_cuda_13() -> None:
    tried = Tried("sglang", "0.5.9", "CUDA 12.9", None, [against("core")], "2.9.1", "12.9")
    found = of(asked("gb10, driver=580.95", tried), "index")
    assert any("sgl-kernel" in way.commands[0] and "cu130" in way.commands[0] for way in found)


def test_without_a_gpu_there_is_no_way_to_offer() -> None:
    assert asked("cpu-only", vllm("0.32.0", "2.13.0", "13.0", "gpu")) == []


def test_where_the_driver_must_be_changed_first_each_way_says_so() -> None:
    found = asked(
        "b300, driver=565.57.01, arch=x86_64",
        vllm("0.32.0", "2.13.0", "13.0", "driver", "gpu-driver-range"),
    )
    assert found
    assert all("driver must be changed first" in way.not_checked[0] for way in found)


def test_ollama_wants_a_driver_of_its_own_for_pascal() -> None:
    tried = vllm("0.32.0", "2.13.0", "13.0", "device-code")
    names = {
        driver: {w.what.split()[0] for w in asked(f"gtx-1080-ti, driver={driver}", tried)}
        for driver in ("550.54", "570.86")
    }
    assert "ollama" not in names["550.54"]
    assert "ollama" in names["570.86"]


@pytest.mark.parametrize(
    ("host", "newest"),
    [
        ("rtx-5090, driver=570, arch=x86_64", ("2.11.0", "pytorch-cu128")),
        ("v100, driver=580, arch=x86_64", ("2.14.1", "pytorch-cu126")),
        ("h100, v100, driver=580, arch=x86_64", ("2.14.1", "pytorch-cu126")),
        ("jetson-agx-thor, driver=580", ("2.15.0", "default")),
        ("gb10, driver=580", ("2.15.0", "default")),
        ("rtx-5090, gtx-1080-ti, driver=575, arch=x86_64", None),
    ],
)
def test_the_newest_torch_with_code_for_all_gpus(host: str, newest: tuple[str, str] | None) -> None:
    machine = parse_host(host)
    fits = torch_that_fit(targets_of(machine), machine.architecture)
    found = (fits[0].version, fits[0].build.index) if fits else None
    assert found == newest


def test_what_the_driver_compiles_at_first_use_can_be_kept() -> None:
    wants = Wants(driver_cuda="12.8", first_use="FlashAttention 2, 52 PTX texts")
    fitting = Tried("vllm", "0.25.1", "CUDA 12.8", None, [], "2.11.0", "12.8", wants)
    way = of(asked(BLACKWELL, fitting), "ahead-of-time")[0]
    assert "FlashAttention 2" in way.because
    assert any("CUDA_CACHE_PATH" in command for command in way.commands)
    silent = Tried("vllm", "0.25.1", "CUDA 12.8", None, [], "2.11.0", "12.8")
    assert not of(asked(BLACKWELL, silent), "ahead-of-time")
