"""Rules about GPUs, their drivers and processors: what each names, and what it keeps silent on."""

from __future__ import annotations

import pytest

from sartor.artifact.model import Evidence, Image, Library
from sartor.host.model import Host
from sartor.verdict.case import Case
from sartor.verdict.findings import findings
from sartor.verdict.model import Target

CUBIN = Image(kind="cubin", arch="sm_80", count=1, bytes=1, plain_bytes=1)
V100 = Target("sm_70", "7.0", "Tesla V100-SXM2-16GB", "615.10", "13.4")
H200 = Target("sm_90", "9.0", "NVIDIA H200", "570.86", "12.8")
GB10 = Target("sm_121", "12.1", "NVIDIA GB10", "580.95", "13.0")


def case(*gpus: Target, major: int = 12, machine: str = "x86_64", host: Host | None = None) -> Case:
    of = Library(
        path="pkg/_C.so", size=1, machine=machine, cuda_major=major, images=[CUBIN], units=[]
    )
    evidence = Evidence(target="x.whl", kind="wheel", libraries=[of])
    return Case(evidence, host, gpus=gpus)


def said(of: Case) -> dict[str, str]:
    codes = {"gpu-not-known", "driver-range", "driver-cuda", "other-machine"}
    return {f.code: f.text for f in findings(of)[0] if f.code in codes}


def test_a_driver_that_dropped_the_gpu() -> None:
    (text,) = said(case(V100, major=13)).values()
    assert "`Tesla V100-SXM2-16GB`: driver 615.10" in text
    assert "580 is the last" in text


def test_libraries_of_a_newer_cuda_than_the_drivers() -> None:
    found = said(case(H200, major=13))
    assert set(found) == {"driver-cuda"}
    assert "580.65.06" in found["driver-cuda"]
    assert said(case(H200, major=12)) == {}


def test_a_gpu_that_only_exists_beside_another_processor() -> None:
    found = said(case(GB10, H200))
    assert set(found) == {"other-machine"}
    assert "aarch64" in found["other-machine"]
    assert "H200" not in found["other-machine"]
    assert said(case(GB10, machine="aarch64")) == {}


@pytest.mark.parametrize(("architecture", "codes"), [("aarch64", {"other-machine"}), (None, set())])
def test_a_host_of_another_processor(architecture: str | None, codes: set[str]) -> None:
    host = Host(architecture=architecture)
    assert set(said(case(H200, host=host))) == codes


def test_a_capability_that_no_gpu_has() -> None:
    found = said(case(Target("sm_99", "9.9"), H200))
    assert set(found) == {"gpu-not-known"}
    assert "9.9" in found["gpu-not-known"]
    assert "9.0" not in found["gpu-not-known"]


def test_without_a_gpu_or_a_driver_nothing_is_said() -> None:
    assert said(case()) == {}
    assert said(case(Target("sm_90", "9.0"), major=13)) == {}
