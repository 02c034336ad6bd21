"""What the facts say of libraries, against the wheels that their makers publish.

Every feature has libraries and units, every dispatch fact has a unit, and the units that lack an
image for a GPU without a dispatch fact are counted: those counts are what `inspect` calls missing.
"""

from __future__ import annotations

import re
from collections import Counter
from fnmatch import fnmatchcase
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from device_names import NamedUnit, units
from sartor.facts.packages import DispatchFact, FeatureFact, PackageFacts, facts_about
from wheels import members, wheel

GPUS = ("7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "12.0", "12.1")
IMAGE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")
Units = dict[str, list[NamedUnit]]

UNCOVERED: dict[str, dict[str, dict[str, int]]] = {
    "vllm==0.25.1": {
        "vllm/_C_stable_libtorch.abi3.so": {"7.5": 1, "10.0": 2, "10.3": 2, "12.0": 1, "12.1": 1},
        "vllm/_qutlass_C.abi3.so": {"12.0": 5, "12.1": 5},
    },
    "vllm==0.32.0": {
        "vllm/_C_stable_libtorch.abi3.so": {"7.5": 1, "10.0": 1, "10.3": 1, "12.0": 1, "12.1": 1},
        "vllm/_qutlass_C.abi3.so": {"12.0": 5, "12.1": 5},
    },
    "bitsandbytes==0.50.2": {
        "bitsandbytes/libbitsandbytes_cuda118.so": {"10.0": 1, "10.3": 1, "12.0": 1, "12.1": 1},
        "bitsandbytes/libbitsandbytes_cuda121.so": {"10.0": 1, "10.3": 1, "12.0": 1, "12.1": 1},
        "bitsandbytes/libbitsandbytes_cuda124.so": {"10.0": 1, "10.3": 1, "12.0": 1, "12.1": 1},
        "bitsandbytes/libbitsandbytes_cuda126.so": {"10.0": 1, "10.3": 1, "12.0": 1, "12.1": 1},
    },
    "sglang-kernel==0.4.10": {
        "sgl_kernel/infllm_ops.cpython-310-x86_64-linux-gnu.so": {
            "7.5": 4,
            "10.0": 4,
            "10.3": 4,
            "12.1": 4,
        },
        "sgl_kernel/sm100/common_ops.abi3.so": {"7.5": 34, "12.1": 34},
    },
    "sgl-kernel==0.3.9.post2": {
        "_mscclpp.cpython-310-x86_64-linux-gnu.so": {"7.5": 1},
        "lib/mscclpp.so": {"7.5": 1},
        "lib/mscclpp_nccl.so": {"7.5": 2},
        "sgl_kernel/common_ops.abi3.so": {"7.5": 55, "10.3": 55, "12.1": 55},
    },
    "sgl-kernel==0.3.21": {
        "_mscclpp.cpython-310-x86_64-linux-gnu.so": {"7.5": 1},
        "lib/mscclpp.so": {"7.5": 1},
        "lib/mscclpp_nccl.so": {"7.5": 2},
        "sgl_kernel/flashmla_ops.abi3.so": {"10.3": 8},
        "sgl_kernel/sm100/common_ops.abi3.so": {"7.5": 69, "10.3": 69, "12.1": 69},
    },
    "xformers==0.0.33.post2": {},
    "lmdeploy==0.18.0": {
        "lmdeploy/turbomind/_turbomind.cpython-312-x86_64-linux-gnu.so": {
            "7.5": 19,
            "8.0": 22,
            "8.6": 22,
            "8.9": 22,
            "9.0": 14,
            "10.0": 17,
            "10.3": 89,
            "12.0": 17,
            "12.1": 89,
        },
    },
    "torch==2.8.0": {},
    "torch==2.11.0": {
        "torch/lib/libtorch_cuda_linalg.so": {"7.5": 99},
    },
}
"""Per requirement and library: how many units lack an image for a GPU and have no dispatch fact."""


@cache
def facts_of(requirement: str) -> tuple[PackageFacts, str]:
    """The file about a requirement's distribution, and the version."""
    wanted = Requirement(requirement)
    about = facts_about(canonicalize_name(wanted.name))
    assert about is not None
    return about, next(iter(wanted.specifier)).version


@pytest.fixture(scope="module", params=UNCOVERED)
def requirement(request: pytest.FixtureRequest) -> str:
    """One published wheel."""
    return str(request.param)


@pytest.fixture(scope="module")
def found(requirement: str, tmp_path_factory: pytest.TempPathFactory) -> Units:
    """The units of each library of the wheel that has any."""
    folder = tmp_path_factory.mktemp("wheel")
    result: Units = {}
    for library in members(wheel(requirement), ".so", folder):
        if read := units(library):
            result[library.relative_to(folder).as_posix()] = read
        library.unlink()
    return result


def holds(row: FeatureFact | DispatchFact, version: str) -> bool:
    return SpecifierSet(row.versions).contains(version, prereleases=True)


def libraries(row: FeatureFact | DispatchFact, found: Units) -> list[str]:
    return [path for path in found if any(fnmatchcase(path, g) for g in row.libraries)]


def about(row: DispatchFact, unit: NamedUnit) -> bool:
    """Whether a dispatch fact is about a unit (of its libraries) that holds kernels."""
    if row.images is not None and set(row.images) != set(unit.images):
        return False
    pattern = re.compile(row.kernels or "")
    return bool(unit.kernels) and all(pattern.search(name) for name in unit.kernels)


def served(serves: list[str], gpu: str) -> bool:
    return gpu in serves or gpu.split(".", maxsplit=1)[0] + ".*" in serves


def runs(image: str, gpu: str) -> bool:
    """Whether an image is of use to a GPU, by the rule that an H200's driver kept."""
    kind, major, minor, suffix = (IMAGE.fullmatch(image) or pytest.fail(image)).groups()
    one, other = (int(major), int(minor)), tuple(int(n) for n in gpu.split("."))
    if suffix == "a":
        return one == other
    if kind == "compute" and not suffix:
        return one <= other
    return one[0] == other[0] and one <= other


def test_every_feature_has_libraries_and_units(requirement: str, found: Units) -> None:
    facts, version = facts_of(requirement)
    without = [
        row.name
        for row in facts.feature
        if holds(row, version)
        and not any(
            re.search(row.kernels or "", name)
            for path in libraries(row, found)
            for unit in found[path]
            for name in unit.kernels
        )
    ]
    assert not without


def test_every_dispatch_fact_is_about_a_unit(requirement: str, found: Units) -> None:
    facts, version = facts_of(requirement)
    without = [
        f"{row.because} {row.kernels or ''}"
        for row in facts.dispatch
        if holds(row, version)
        and not any(about(row, unit) for path in libraries(row, found) for unit in found[path])
    ]
    assert not without, "\n".join(without)


def test_the_units_without_image_and_fact_are_those_that_are_known(
    requirement: str, found: Units
) -> None:
    facts, version = facts_of(requirement)
    dispatch = [row for row in facts.dispatch if holds(row, version)]
    missing: dict[str, dict[str, int]] = {}
    for path, library in found.items():
        rows = [row for row in dispatch if path in libraries(row, {path: library})]
        counts: Counter[str] = Counter()
        for unit in (unit for unit in library if unit.kernels):
            serving = [row.serves for row in rows if about(row, unit)]
            lacking = [g for g in GPUS if not any(runs(i, g) for i in unit.images)]
            left = [g for g in lacking if all(served(s, g) for s in serving)]
            if left:
                print(path, ",".join(unit.images), "lacks", *left, min(unit.kernels)[:100])  # noqa: T201
            counts.update(left)
        if counts:
            missing[path] = {gpu: counts[gpu] for gpu in GPUS if counts[gpu]}
    assert missing == UNCOVERED[requirement]
