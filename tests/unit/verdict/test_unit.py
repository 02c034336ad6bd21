"""Units on a GPU: what loads is counted, and nothing is waved through without a dispatch fact."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.artifact.model import Evidence, Image, Library, Package, Unit
from sartor.facts.packages import DispatchFact, FeatureFact, PackageFacts
from sartor.verdict.dispatch import Dispatcher, owns, unit_matches
from sartor.verdict.feature import combine, features, judge_feature
from sartor.verdict.inspection import judge
from sartor.verdict.model import Grade, Reason, Target
from sartor.verdict.unit import grade_unit, judge_library

H200 = Target("sm_90", "9.0", "NVIDIA H200", "580.159.04", "13.0")
BLACKWELL = Target("sm_120", "12.0", "NVIDIA GeForce RTX 5090", "580.95", "13.0")
GRADES: list[Grade] = ["native", "jit", "missing", "not-applicable", "unknown"]


def image(arch: str, isa: str | None = None, count: int = 1) -> Image:
    """An image of a kilobyte."""
    kind = "ptx" if arch.startswith("compute") else "cubin"
    return Image(
        kind="ptx" if kind == "ptx" else "cubin",
        arch=arch,
        count=count,
        bytes=1000 * count,
        plain_bytes=1000 * count,
        ptx_isa=isa,
    )


def library(*units: list[Image], path: str = "pkg/_C.so", major: int | None = 13) -> Library:
    """A library whose units hold these images."""
    held = list(dict.fromkeys(one for unit in units for one in unit))
    return Library(
        path=path,
        size=1 << 20,
        cuda_major=major,
        images=held,
        units=[Unit(images=[held.index(one) for one in unit]) for unit in units],
    )


def fact(**changes: object) -> DispatchFact:
    """A dispatch fact about units that hold sm_90a alone."""
    values: dict[str, object] = {
        "libraries": ["pkg/_C*.so"],
        "serves": ["9.0"],
        "images": ["sm_90a"],
        "because": "the host code calls them on 9.0 alone",
        "source": "made up for this test",
        "checked_on": datetime.date(2026, 11, 20),
    }
    return DispatchFact(**(values | changes))  # type: ignore[arg-type]


def no_dispatch(_library: Library, _unit: Unit, _target: Target) -> DispatchFact | None:
    """Nothing is known of what the host code calls."""
    return None


def test_machine_code_ptx_and_nothing() -> None:
    lib = library(
        [image("sm_120"), image("sm_90")],
        [image("sm_80"), image("compute_80", "9.0")],
        [image("sm_90a")],
    )
    verdict = judge_library(lib, BLACKWELL, no_dispatch)
    assert (verdict.native, verdict.jit, verdict.missing) == (1, 1, 1)
    assert verdict.units == 3
    assert verdict.needs_driver_cuda == "13.0"
    assert (verdict.native_bytes, verdict.jit_bytes) == (1000, 1000)
    assert any("sm_90a" in line and "missing" in line for line in verdict.because)


def test_a_driver_older_than_the_ptx_leaves_it_missing_and_says_what_it_takes() -> None:
    old = Target("sm_120", "12.0", None, "570.10", "12.8")
    lib = library([image("sm_80"), image("compute_80", "8.8")], major=12)
    verdict = judge_library(lib, old, no_dispatch)
    assert verdict.missing == 1
    assert "12.9" in verdict.because[0]


def test_a_driver_of_an_older_major_starts_nothing() -> None:
    old = Target("sm_90", "9.0", None, "570.10", "12.8")
    verdict = judge_library(library([image("sm_90")]), old, no_dispatch)
    assert verdict.missing == 1
    assert "580" in verdict.because[0]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (Target("sm_70", "7.0", "Tesla V100", "615.10", "13.4"), "580 is the last"),
        (Target("sm_120", "12.0", None, "550.54.14", "12.4"), "CUDA 12.8 and driver branch 570"),
        (Target("sm_120", "12.0", None, None, "12.4"), "a driver of CUDA 12.4 does not drive"),
        (Target("sm_121", "12.1", None, "570.86", "12.8"), "does not drive sm_121 yet"),
    ],
)
def test_a_driver_that_does_not_drive_the_gpu_runs_nothing_on_it(target: Target, says: str) -> None:
    lib = library([image(target.gpu)], [image("compute_50", "6.0")], major=12)
    verdict = judge_library(lib, target, no_dispatch)
    assert verdict.missing == verdict.units == 2
    assert says in verdict.because[0]


def test_device_code_in_a_file_of_its_own_has_no_run_time_that_refuses_the_driver() -> None:
    held = library([image("sm_120"), image("compute_80", "7.0")])
    lone = msgspec.structs.replace(held, kind="fatbin", toolkits=["13.0"])
    driver = ("570.86", "12.8")
    on_ada = judge_library(lone, Target("sm_89", "8.9", None, *driver), no_dispatch)
    assert (on_ada.jit, on_ada.needs_driver_cuda) == (1, "11.8")
    on_blackwell = judge_library(lone, Target("sm_120", "12.0", None, *driver), no_dispatch)
    assert on_blackwell.missing == 1
    assert "compiled with CUDA 13.0" in on_blackwell.because[0]


def test_a_driver_that_comes_with_its_board_is_not_judged_by_its_number() -> None:
    orin = Target("sm_87", "8.7", "Jetson AGX Orin 64GB", "540.4", "12.6")
    assert judge_library(library([image("sm_87")], major=12), orin, no_dispatch).native == 1


def test_what_is_needed_is_never_less_than_what_drives_the_gpu() -> None:
    lib = library([image("sm_120")], major=12)
    judged = judge_library(lib, Target("sm_120", "12.0"), no_dispatch)
    assert judged.needs_driver_cuda == "12.8"
    lib = library([image("compute_80", "7.0")], major=11)
    judged = judge_library(lib, Target("sm_121", "12.1"), no_dispatch)
    assert (judged.jit, judged.needs_driver_cuda) == (1, "12.9")


def test_a_unit_in_which_no_kernel_was_found_says_so() -> None:
    lib = library([image("sm_90a")])
    empty = msgspec.structs.replace(lib.units[0], kernels={}, kernels_read=[0])
    grade = grade_unit(lib, empty, BLACKWELL, no_dispatch)
    assert grade.grade == "missing"
    assert grade.because.startswith("no kernel in its code for sm_90a")


def test_without_a_driver_ptx_is_jit_with_what_it_takes() -> None:
    unknown = Target("sm_120", "12.0")
    verdict = judge_library(library([image("compute_80", "8.7")], major=12), unknown, no_dispatch)
    assert (verdict.jit, verdict.needs_driver_cuda) == (1, "12.8")


def test_not_applicable_takes_a_fact() -> None:
    lib = library([image("sm_90a")])
    unit = lib.units[0]
    assert grade_unit(lib, unit, BLACKWELL, no_dispatch).grade == "missing"
    known = grade_unit(lib, unit, BLACKWELL, lambda *_: fact())
    assert (known.grade, known.because) == ("not-applicable", fact().because)
    assert grade_unit(lib, unit, H200, lambda *_: fact()).grade == "native"


def test_relocatable_code_runs_as_what_it_was_linked_into_or_by_its_ptx() -> None:
    images = [image("sm_80"), image("sm_90"), image("compute_80", "9.0")]
    linked = Unit(images=[0, 1])
    relocatable = Unit(images=[0, 2], relocatable=True)
    bare = Unit(images=[0], relocatable=True)
    lib = Library(
        path="a.so", size=1, cuda_major=13, images=images, units=[linked, relocatable, bare]
    )
    on_h200 = judge_library(lib, H200, no_dispatch)
    assert (on_h200.native, on_h200.jit, on_h200.missing) == (3, 0, 0)
    newer = judge_library(lib, BLACKWELL, no_dispatch)
    assert (newer.native, newer.jit, newer.missing) == (0, 1, 2)
    alone = Library(path="a.o", size=1, images=images, units=[relocatable])
    assert judge_library(alone, H200, no_dispatch).unknown == 1


def test_of_units_that_the_library_chooses_among_none_is_called_missing() -> None:
    images = [image("sm_90"), image("sm_80")]
    units = [Unit(images=[i], scattered=True) for i in (0, 1)]
    lib = Library(path="libcufft.so.12", size=1, images=images, units=units)
    verdict = judge_library(lib, H200, no_dispatch)
    assert (verdict.native, verdict.missing, verdict.unknown) == (1, 0, 1)


ARCHS = st.sampled_from(
    ["sm_75", "sm_80", "sm_86", "sm_90", "sm_90a", "sm_100f", "sm_120", "sm_120f", "compute_80"]
)


@given(
    st.lists(st.lists(ARCHS, min_size=1, max_size=4), max_size=6),
    st.sampled_from([H200, BLACKWELL]),
)
def test_counts_add_up_and_nothing_is_not_applicable_by_itself(
    units: list[list[str]], target: Target
) -> None:
    lib = library(*([image(arch, "9.0" if arch[0] == "c" else None) for arch in u] for u in units))
    verdict = judge_library(lib, target, no_dispatch)
    parts = (verdict.native, verdict.jit, verdict.missing, verdict.unknown)
    assert verdict.not_applicable == 0
    assert sum(parts) == verdict.units == len(units)


@pytest.mark.parametrize(
    ("change", "matches"),
    [
        ({}, True),
        ({"images": ["sm_90a", "sm_80"]}, False),
        ({"images": None, "kernels": "gemm_sm90"}, True),
        ({"images": None, "kernels": "gemm"}, True),
        ({"images": None, "kernels": "gemm_sm90.*first"}, False),
        ({"kernels": "gemm_sm100"}, False),
    ],
)
def test_a_fact_matches_by_images_and_by_every_kernel(
    change: dict[str, object], matches: bool
) -> None:
    lib = library([image("sm_90a")])
    unit = Unit(images=[0], kernels={"gemm_sm90_first": [0], "gemm_sm90_second": [0]})
    assert unit_matches(fact(**change), lib, unit) is matches


def test_a_fact_about_kernels_does_not_match_where_none_was_read() -> None:
    lib = library([image("sm_90a")])
    assert not unit_matches(fact(images=None, kernels="."), lib, lib.units[0])
    assert not unit_matches(fact(images=None, kernels="."), lib, Unit(images=[0], kernels={}))


def test_a_package_owns_what_lies_under_its_own_root() -> None:
    package = Package(name="pkg", version="1", path="lib/site-packages/pkg-1.dist-info")
    there = Library(path="lib/site-packages/pkg/_C.so", size=1)
    elsewhere = Library(path="other/pkg/_C.so", size=1)
    assert owns(package, there, ["pkg/_C*.so"])
    assert not owns(package, elsewhere, ["pkg/_C*.so"])


@given(st.sets(st.sampled_from(GRADES), min_size=1))
def test_a_feature_is_never_better_than_its_worst_unit(grades: set[Grade]) -> None:
    verdict = combine(grades)
    if "missing" in grades:
        assert verdict in {"missing", "partial"}
    elif "unknown" in grades:
        assert verdict == "unknown"
    elif "jit" in grades:
        assert verdict == "jit"
    assert (verdict == "not-applicable") == (grades == {"not-applicable"})


def test_features_come_from_the_facts_about_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    feature = FeatureFact(
        name="gemm",
        libraries=["pkg/_C*.so"],
        kernels="gemm",
        source="made up for this test",
        checked_on=datetime.date(2026, 11, 20),
    )
    about = PackageFacts(["pkg"], feature=[feature], dispatch=[fact()])
    for module in ("verdict.dispatch", "facts.features"):
        monkeypatch.setattr(f"sartor.{module}.facts_about", lambda _name: about)
    packages = [Package(name="pkg", version="1", path="pkg-1.dist-info")]
    lib = library([image("sm_90a")], [image("sm_90")])
    (unread,) = features(packages, [lib], [BLACKWELL], Dispatcher(packages))
    assert unread.verdict == "unknown"
    named = library([image("sm_90a")], [image("sm_120")])
    named = Library(
        path=named.path,
        size=1,
        images=named.images,
        units=[
            Unit(images=[0], kernels={"gemm_sm90": [0]}, kernels_read=[0]),
            Unit(images=[1], kernels={"gemm_sm120": [1]}, kernels_read=[1]),
        ],
    )
    (gemm,) = features(packages, [named], [BLACKWELL], Dispatcher(packages))
    assert gemm.verdict == "native"
    assert "not-applicable" in gemm.because


def test_every_reason_of_a_feature_is_kept_the_worst_and_commonest_first() -> None:
    lib = library(
        [image("sm_120")],
        [image("sm_100f"), image("sm_90a"), image("compute_130", "9.9")],
        *[[image("sm_80", count=n)] for n in (1, 2)],
        path="bitsandbytes/libbitsandbytes_cuda130.so",
    )
    serving = [(lib, lib.units)]
    about = FeatureFact(
        name="x",
        libraries=["*"],
        note="or Triton",
        source="made up for this test",
        checked_on=datetime.date(2026, 11, 20),
    )
    found = judge_feature(about, serving, BLACKWELL, Dispatcher([]))
    assert found is not None
    assert found.reasons == [
        Reason("missing", 2, "holds sm_80: nothing for sm_120"),
        Reason("missing", 1, "holds sm_90a, sm_100f, compute_130: nothing for sm_120"),
        Reason("native", 1, "machine code for sm_120"),
    ]
    assert found.because == (
        "3 of 4 units missing: holds sm_80: nothing for sm_120; "
        "1 of 4 units native: machine code for sm_120"
    )
    assert found.note == "or Triton"


def test_alternatives_say_so_and_which_the_engine_calls() -> None:
    paths = [f"sgl_kernel/{arch}/common_ops.abi3.so" for arch in ("sm90", "sm100")]
    libraries = [library([image("sm_90")], path=path) for path in paths]
    package = Package(
        name="sgl-kernel", version="0.3.21", path="sgl_kernel.dist-info", libraries=paths
    )
    evidence = Evidence(target="w", kind="wheel", packages=[package], libraries=libraries)
    found = judge(evidence, [H200]).libraries
    assert all(one.one_of and "sm90/common_ops on 9.0" in one.one_of for one in found)
    assert [one.verdicts[0].called for one in found] == [True, False]
    older = msgspec.structs.replace(package, version="0.3.9.post2")
    other = judge(msgspec.structs.replace(evidence, packages=[older]), [H200]).libraries
    assert [one.one_of for one in other] == [None, None]


def test_what_is_not_settled_says_why() -> None:
    odd = Image(kind="unknown", arch="kind 0x7f", count=1, bytes=1, plain_bytes=1)
    lib = library([odd, image("compute_80", "9.0")])
    verdict = judge_library(lib, H200, no_dispatch)
    assert verdict.unknown == 1
    assert "kind 0x7f: an image of a kind that is not known" in verdict.because[0]
