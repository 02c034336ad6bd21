"""A driver that starts nothing of a library is named once, whatever the number of GPUs."""

from __future__ import annotations

from sartor.artifact.model import Evidence, Image, Library, Package, Unit
from sartor.verdict.case import Case
from sartor.verdict.driver_findings import driver_too_old
from sartor.verdict.model import Target

OLD = [
    Target("sm_90", "9.0", None, "570.86", "12.8"),
    Target("sm_120", "12.0", None, "570.86", "12.8"),
]
NEW = Target("sm_90", "9.0", None, "580.95", "13.0")
UNSTATED = Target("sm_90", "9.0")


def library(path: str, major: int | None, units: int = 1) -> Library:
    image = Image(kind="cubin", arch="sm_90", count=1, bytes=1, plain_bytes=1)
    unit = Unit(images=[0])
    return Library(
        path=path, size=1, cuda_major=major, images=[image][:units], units=[unit][:units]
    )


def found(*libraries: Library, targets: list[Target], packages: list[Package]) -> list[str]:
    evidence = Evidence(target="x.whl", kind="wheel", libraries=list(libraries), packages=packages)
    return [f.text for f in driver_too_old(Case(evidence, targets=targets))]


def test_a_driver_is_named_once() -> None:
    libraries = [library(f"pkg/_{n}.so", 13) for n in range(5)] + [library("pkg/_12.so", 12)]
    (text,) = found(*libraries, targets=[*OLD, NEW, UNSTATED], packages=[])
    assert text.startswith(
        "Driver 570.86 does not start `_0.so`, `_1.so`, `_2.so`, 2 more: made for CUDA 13, which"
        " wants driver 580"
    )
    assert "_12.so" not in text


def test_nothing_is_said_of_host_code_and_of_alternatives() -> None:
    path = "bitsandbytes/libbitsandbytes_cuda130.so"
    package = Package(
        name="bitsandbytes",
        version="0.50.2",
        path="bitsandbytes-0.50.2.dist-info",
        libraries=[path],
    )
    assert found(library("a.so", 13, 0), targets=OLD, packages=[]) == []
    assert found(library(path, 13), targets=OLD, packages=[package]) == []
    assert found(library(path, 13), targets=OLD, packages=[]) != []
