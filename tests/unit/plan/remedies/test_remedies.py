"""Changes of the host, on described machines, and what they unlock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from sartor.host.describe import parse_host
from sartor.host.model import Containers, Driver, Gpu, Host, System, Tool, UndrivenGpu
from sartor.plan.decision import Rejected
from sartor.plan.remedies.collect import remedies
from sartor.plan.tried import Tried, Wants

if TYPE_CHECKING:
    from sartor.plan.outcome import Remedy


def tried(version: str, cuda: str, *rules: str, wants: Wants | None = None) -> Tried:
    decisions = [Rejected(rule, "w", "f", "e") for rule in rules]
    return Tried("vllm", version, f"CUDA {cuda}", None, [*decisions], None, cuda, wants or Wants())


def asked(host: str | Host, *what: Tried) -> list[Remedy]:
    return remedies(parse_host(host) if isinstance(host, str) else host, list(what))


def kinds(found: list[Remedy]) -> list[str]:
    return [remedy.kind for remedy in found]


OLD, NEW = "vllm 0.19.1 (CUDA 12.8)", "vllm 0.32.0 (CUDA 13.0)"


def test_volta_on_branch_590_goes_back_to_its_last_branch() -> None:
    found = asked(
        "v100, driver=590.44.01, distro=ubuntu-22.04",
        tried("0.19.1", "12.8", "gpu-driver-range"),
        tried("0.32.0", "13.0", "gpu-driver-range", "device-code"),
    )
    assert kinds(found) == ["driver"]
    assert "branch 580" in found[0].what
    assert "proprietary" in found[0].what
    assert found[0].unlocks == [OLD]  # of the other, the code is missing too
    assert "580 is the last branch" in found[0].because
    assert "sudo apt install nvidia-driver-580" in found[0].commands


def test_b300_under_565_needs_a_branch_that_knows_it_and_no_compat_package() -> None:
    found = asked(
        "b300, driver=565.57.01",
        tried("0.32.0", "13.0", "driver", "gpu-driver-range"),
        tried("0.19.1", "12.8", "gpu-driver-range"),
    )
    assert kinds(found) == ["driver"]
    assert "branch 580" in found[0].what
    assert "open kernel modules" in found[0].what
    assert set(found[0].unlocks) == {OLD, NEW}


def test_the_open_packages_are_installed_for_blackwell() -> None:
    found = asked("rtx-5090, driver=570.86, distro=ubuntu-24.04", tried("0.32.0", "13.0", "driver"))
    assert found[0].commands[1] == "sudo apt install nvidia-driver-580-open"
    assert found[0].unlocks == [NEW]


def test_ptx_of_a_newer_cuda_asks_for_a_newer_branch() -> None:
    wants = Wants(driver_cuda="13.2")
    found = asked("rtx-5090, driver=580.95", tried("0.33.0", "13.0", "ptx", wants=wants))
    assert "branch 595" in found[0].what


def test_geforce_gets_no_forward_compatibility_and_a_data_centre_gpu_does() -> None:
    what = tried("0.32.0", "13.0", "driver")
    assert kinds(asked("rtx-4090, driver=535.183.01", what)) == ["driver"]
    assert "cuda-compat" not in kinds(asked("rtx-6000-ada, driver=535.183.01", what))
    found = asked("h100, driver=535.183.01", what)
    assert kinds(found) == ["driver", "cuda-compat"]
    assert "cuda-compat-13-0" in found[1].commands[0]
    assert found[1].unlocks == [NEW]


def test_forward_compatibility_from_a_branch_that_nobody_names_is_not_offered() -> None:
    assert kinds(asked("h100, driver=570.86.15", tried("0.32.0", "13.0", "driver"))) == ["driver"]


def test_a_geforce_beside_a_data_centre_gpu_forbids_it_for_both() -> None:
    found = asked("h100, rtx-4090, driver=535.183.01", tried("0.32.0", "13.0", "driver"))
    assert kinds(found) == ["driver"]


def test_thor_gets_its_driver_from_jetpack() -> None:
    found = asked("jetson-agx-thor, driver=575", tried("0.32.0", "13.0", "driver"))
    assert kinds(found) == ["jetpack"]
    assert found[0].commands == []
    assert found[0].unlocks == [NEW]


def test_gb10_has_a_driver_like_any_other() -> None:
    found = asked("gb10, driver=570.86", tried("0.32.0", "13.0", "driver"))
    assert kinds(found) == ["driver"]


def test_volta_and_blackwell_share_branches_but_no_kernel_modules() -> None:
    found = asked("v100, rtx-5090, driver=565.57", tried("0.19.1", "12.8", "gpu-driver-range"))
    assert "branch 580" in found[0].what
    assert "no kind of its kernel modules works with all" in found[0].what
    assert found[0].commands == []


def test_no_gpu_no_driver_to_install() -> None:
    assert asked("cpu-only", tried("0.32.0", "13.0", "gpu")) == []


def test_a_container_without_gpus_is_started_with_them() -> None:
    found = asked("cpu-only, container=docker", tried("0.32.0", "13.0", "gpu"))
    assert kinds(found) == ["container-toolkit"]
    assert "was not seen" in found[0].because
    assert any("--gpus all" in command for command in found[0].commands)


def test_podman_without_cdi_is_told_before_an_image_is_started() -> None:
    host = Host(
        gpus=[Gpu("NVIDIA GeForce RTX 5090", "12.0")],
        containers=Containers(tools=[Tool("podman", "/usr/bin/podman")]),
        driver=Driver("580.95.05", "13.0"),
    )
    assert kinds(asked(host)) == ["container-toolkit"]
    passed = msgspec.structs.replace(
        host, containers=Containers(tools=host.containers.tools, gpu_passthrough=["cdi"])
    )
    assert asked(passed) == []


def test_nouveau_in_the_drivers_place() -> None:
    gpu = UndrivenGpu("0000:01:00.0", "10de:2b85", "NVIDIA GeForce RTX 5090", "nouveau")
    found = asked(Host(undriven_gpus=[gpu]), tried("0.32.0", "13.0", "gpu"))
    assert kinds(found) == ["kernel-modules", "driver"]
    assert any("blacklist nouveau" in command for command in found[0].commands)
    assert all(remedy.unlocks == [NEW] for remedy in found)


def test_blackwell_under_the_proprietary_modules() -> None:
    gpu = UndrivenGpu("0000:01:00.0", "10de:2b85", "NVIDIA GeForce RTX 5090", "nvidia")
    driver = Driver("580.95.05", "13.0", kernel_module="proprietary")
    host = Host(undriven_gpus=[gpu], driver=driver, system=System(distribution="ubuntu 24.04"))
    found = asked(host, tried("0.32.0", "13.0", "gpu"))
    assert found[0].kind == "kernel-modules"
    assert "sudo apt install nvidia-driver-580-open" in found[0].commands
    opened = msgspec.structs.replace(host, driver=Driver("580.95.05", kernel_module="open"))
    assert not any(r.kind == "kernel-modules" for r in asked(opened, tried("0", "13.0", "gpu")))


def test_mig_without_instances() -> None:
    host = Host(gpus=[Gpu("NVIDIA H100 80GB HBM3", "9.0", mig=[])], driver=Driver("580.95.05"))
    assert kinds(asked(host, tried("0.32.0", "13.0", "gpu"))) == ["mig"]


def test_in_wsl_the_driver_is_that_of_windows() -> None:
    found = asked("rtx-4090, driver=535.98, wsl=2", tried("0.32.0", "13.0", "driver"))
    assert found[0].commands == []
    assert "Windows" in found[0].what


@pytest.mark.parametrize(
    ("rule", "wants", "host", "kind", "has"),
    [
        ("glibc", Wants(glibc="2.35"), "h100, glibc=2.31", "glibc", "ubuntu 22.04 (2.35)"),
        ("python", Wants(python=">=3.11,<3.15"), "h100, python=3.9", "python", ">=3.11"),
        ("disk", Wants(disk_bytes=11 * 10**9), "h100, disk=5G", "disk", "are free"),
        ("compiler", Wants(compilers=["nvcc"]), "h100, driver=580.95", "compiler", "11.8 and"),
        ("compiler", Wants(compilers=["cc"]), "h100", "compiler", "none was found"),
    ],
)
def test_what_the_system_lacks(rule: str, wants: Wants, host: str, kind: str, has: str) -> None:
    found = asked(host, tried("0.32.0", "13.0", rule, wants=wants))
    assert kinds(found) == [kind]
    assert has in found[0].because
    assert found[0].unlocks == [NEW]


def test_a_missing_library_comes_from_the_distribution() -> None:
    host = Host(libraries={"libnuma.so.1": None}, system=System(distribution="ubuntu 24.04"))
    wants = Wants(libraries=["libnuma.so.1", "libstdc++.so.6"])
    found = asked(host, tried("0.32.0", "13.0", "system-libraries", wants=wants))
    assert found[0].commands == ["sudo apt install libnuma1"]


def test_a_python_is_fetched_by_uv() -> None:
    wants = Wants(python=">=3.11,<3.12")
    found = asked("h100, python=3.9", tried("0", "13.0", "python", wants=wants))
    assert found[0].commands == ["uv python install 3.11"]


def test_what_more_than_the_machine_is_against_is_not_unlocked() -> None:
    assert asked("h100, driver=535.183", tried("0", "13.0", "driver", "resolution")) == []


def test_triton_on_gb10_needs_a_newer_ptxas_than_its_own() -> None:
    what = tried("0", "13.0", "compiler", wants=Wants(compilers=["ptxas"]))
    on_gb10 = asked("gb10, driver=580.95", what)[0]
    assert "export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas" in on_gb10.commands
    assert "toolkit 13.0" in on_gb10.what
    assert not any("TRITON" in c for c in asked("h100, driver=580.95", what)[0].commands)
