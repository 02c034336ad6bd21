"""Which of torch's programs an environment calls for."""

from __future__ import annotations

import pytest

from sartor.host.model import Driver, Gpu, Host
from sartor.verify.child import LOOP
from sartor.verify.runs.torch import torch_programs
from subjects import subject

BARE = Host()
DRIVEN = Host(gpus=[Gpu("H200", "9.0")], driver=Driver("580.159.04"))


def test_an_environment_without_torch_has_none_of_its_programs() -> None:
    assert [p for p in torch_programs(subject("cpu", "numpy"), BARE) if "torch" in p.module] == []


@pytest.mark.parametrize("host", [BARE, DRIVEN])
def test_a_build_for_cuda_is_checked_on_both_and_all_launches_come_first(host: Host) -> None:
    found = [p for p in torch_programs(subject("cuda", "torch"), host) if "torch_" in p.module]
    assert [(p.grade, p.settings["device"]) for p in found] == [
        ("launches", "cuda"),
        ("launches", "cpu"),
        ("golden", "cuda"),
        ("golden", "cpu"),
    ]
    assert {p.settings["expected"] for p in found} == {host is DRIVEN}


def test_a_build_for_the_cpu_is_checked_there_alone() -> None:
    found = torch_programs(subject("cpu", "torch"), DRIVEN)
    assert [p.settings["device"] for p in found if "torch_" in p.module] == ["cpu", "cpu"]


def test_multicast_is_off_whatever_the_environment_says() -> None:
    noisy = subject("cuda", "torch")
    noisy.variables["NCCL_NVLS_ENABLE"] = "1"
    for program in torch_programs(noisy, DRIVEN):
        assert program.variables["NCCL_NVLS_ENABLE"] == "0"
        assert program.variables["A"] == "1"
        assert (LOOP.parent / f"{program.module}.py").is_file()
