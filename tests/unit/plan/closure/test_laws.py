"""What holds for any host, and for whatever is known of a resolution."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import resolutions
from sartor.host.model import Driver, Gpu, Host, NotChecked, System, Tool
from sartor.plan.closure.judge import Closure, closure
from sartor.plan.decision import Accepted
from sartor.verdict.targets import targets_of

NAMES = ("sglang-0.5.2", "vllm-0.10.1.1", "torchvision-of-another-torch")
maybe = st.none() | st.sampled_from(["", "latest", "12.8", "2.39", "2.5"])
gpus = st.builds(
    Gpu,
    st.sampled_from(["NVIDIA H200", "NVIDIA GeForce RTX 5090", "?"]),
    st.none() | st.sampled_from(["6.1", "7.0", "9.0", "12.0", "99.9"]),
)
tools = st.builds(Tool, st.sampled_from(["gcc", "g++", "nvcc", "ninja", "?"]), st.just("/x"), maybe)
hosts = st.builds(
    Host,
    gpus=st.lists(gpus, max_size=2),
    driver=st.none()
    | st.builds(Driver, st.sampled_from(["535.183", "580.95", "7", "x"]) | st.none(), maybe),
    architecture=st.sampled_from(["x86_64", "aarch64", None]),
    glibc=maybe,
    system=st.builds(System, distribution=maybe),
    compilers=st.lists(tools, max_size=2),
    cuda_toolkits=st.lists(tools, max_size=1),
    libraries=st.dictionaries(st.sampled_from(["libnuma.so.1", "libz.so.1"]), maybe),
    not_checked=st.lists(
        st.builds(NotChecked, st.sampled_from(["gpus", "compilers"]), st.just("why")), max_size=1
    ),
)


def judged(name: str, host: Host, kept: frozenset[str]) -> Closure:
    """The closure where only the wheels of these packages were read."""
    case = resolutions.case(name)
    shas = {p.file.sha256: p.name for p in case.resolution.packages}
    evidence = {k: v if shas[k] in kept else None for k, v in case.evidence.items()}
    roots = [name.partition("-")[0]]
    return closure(case.resolution, evidence, {}, host, case.machine, targets_of(host), roots)


def known(name: str) -> list[str]:
    """The packages of a resolution of which evidence is kept."""
    case = resolutions.case(name)
    return [p.name for p in case.resolution.packages if case.evidence[p.file.sha256 or ""]]


@settings(max_examples=40)
@given(st.data(), st.sampled_from(NAMES), hosts)
def test_any_host_is_judged_and_nothing_is_said_of_what_was_not_read(
    data: st.DataObject, name: str, host: Host
) -> None:
    every = known(name)
    kept = frozenset(data.draw(st.lists(st.sampled_from(every), unique=True)))
    found = judged(name, host, kept)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Closure) == found
    assert {feature.package for feature in found.features} <= kept
    assert all(share.gpus for share in found.shares)
    text = "\n".join(found.not_checked)
    assert all(package in text for package in set(every) - kept)
    for decision in found.decisions:
        if isinstance(decision, Accepted) and decision.rule == "device-code":
            assert any(f"of {package} " in decision.wanted for package in kept)


@settings(max_examples=15)
@given(st.sampled_from(NAMES), hosts)
def test_the_order_of_packages_makes_no_difference(name: str, host: Host) -> None:
    case = resolutions.case(name)
    roots = [name.partition("-")[0]]
    turned = msgspec.structs.replace(
        case.resolution, packages=list(reversed(case.resolution.packages))
    )
    one, other = (
        closure(order, case.evidence, {}, host, case.machine, targets_of(host), roots)
        for order in (case.resolution, turned)
    )
    assert {type(d) for d in one.decisions} == {type(d) for d in other.decisions}
    assert sorted(d.rule for d in one.decisions) == sorted(d.rule for d in other.decisions)
    assert one.env == other.env
    assert one.cuda == other.cuda
    assert one.sizes == other.sizes
