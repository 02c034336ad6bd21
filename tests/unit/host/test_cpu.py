from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.host.cpu import (
    GENERIC,
    best_fit,
    count_list,
    described_cpu,
    microarchitectures,
    parse_cpuinfo,
)

X86 = [known for known in microarchitectures().values() if known.family == "x86_64"]
ARM = [known for known in microarchitectures().values() if known.family == "aarch64"]
X86_FEATURES = sorted(set().union(*(known.features for known in X86)))


@pytest.mark.parametrize("known", X86, ids=lambda k: k.name)
def test_its_own_features_give_an_x86_microarchitecture_back(known: object) -> None:
    assert known in X86
    target = next(k for k in X86 if k is known)
    best = best_fit("x86_64", target.vendor, target.features)
    assert best is not None
    # Two that archspec tells apart by name alone may stand for each other.
    assert best.features == target.features or target.name in best.ancestors


@pytest.mark.parametrize(
    "name", [k.name for k in ARM if k.part.startswith("0x") and k.vendor != "Apple"]
)
def test_the_part_gives_an_arm_microarchitecture_back(name: str) -> None:
    known = microarchitectures()[name]
    best = best_fit("aarch64", known.vendor, known.features, known.part)
    assert best is not None
    assert best.name == name


@given(
    st.frozensets(st.sampled_from(X86_FEATURES)), st.sampled_from(sorted({k.vendor for k in X86}))
)
def test_what_fits_never_has_a_feature_too_many(features: frozenset[str], vendor: str) -> None:
    best = best_fit("x86_64", vendor, features)
    assert best is None or best.features <= features
    assert best is None or best.vendor in {vendor, GENERIC}


@given(st.frozensets(st.sampled_from(X86_FEATURES)), st.sampled_from(X86_FEATURES))
def test_more_features_never_make_the_generic_level_worse(
    features: frozenset[str], more: str
) -> None:
    def level(of: frozenset[str]) -> int:
        best = best_fit("x86_64", GENERIC, of)
        return -1 if best is None else len(best.ancestors)

    assert level(features) <= level(features | {more})


def test_unknown_family() -> None:
    assert best_fit("s390x", "IBM", frozenset()) is None


def test_cores_that_differ_share_only_what_all_have() -> None:
    info = parse_cpuinfo(
        "processor: 0\nFeatures: fp asimd sve2\nCPU implementer: 0x41\nCPU part: 0xd87\n\n"
        "processor: 1\nFeatures: fp asimd\nCPU implementer: 0x41\nCPU part: 0xd85\n\nHardware: x\n"
    )
    assert info.features == {"fp", "asimd"}
    assert (info.part, info.vendor, info.threads, info.cores) == ("", "ARM", 2, None)


def test_two_sockets_with_two_threads_each_core() -> None:
    text = "\n\n".join(
        f"processor : {n}\nvendor_id : GenuineIntel\nphysical id : {n // 4}\ncore id : {n % 2}"
        for n in range(8)
    )
    info = parse_cpuinfo(text)
    assert (info.threads, info.cores) == (8, 4)


@given(st.text())
def test_any_cpuinfo_is_read(text: str) -> None:
    parse_cpuinfo(text)


@pytest.mark.parametrize(
    ("text", "count"), [("0", 1), ("0-3", 4), ("0,8", 2), ("0-1,8-9", 4), ("", 1)]
)
def test_kernel_lists(text: str, count: int) -> None:
    assert count_list(text) == count


def test_described() -> None:
    assert described_cpu("x86_64_v3").vendor is None
    assert described_cpu("zen4", 8).cores == 8
    with pytest.raises(KeyError):
        described_cpu("zen99")
