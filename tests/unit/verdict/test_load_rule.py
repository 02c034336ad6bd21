"""The load rule: its laws, what was measured on an H200, and what stays unknown."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from gpu.images.judge import TRIED, as_said, rows
from sartor import facts
from sartor.artifact.model import ImageKind
from sartor.verdict.load_rule import (
    Chosen,
    Jit,
    Native,
    Nothing,
    Refused,
    Unknown,
    Unsettled,
    architecture,
    choose,
    container_outcome,
    image_outcome,
)
from sartor.verdict.model import Target

MEASURED = sorted(
    (Path(__file__).parents[3] / "benchmarks" / "results" / "gpu").glob("*-images/*.jsonl.xz")
)
CAPABILITIES = [row.compute_capability for row in facts.archs()]
DESKTOP = [row.compute_capability for row in facts.archs() if not row.tegra]


class Code(msgspec.Struct, frozen=True):
    kind: ImageKind
    arch: str
    ptx_isa: str | None = None
    compression: str | None = None


def cubin(arch: str, compression: str | None = None) -> Code:
    return Code("cubin", f"sm_{arch}", None, compression)


def ptx(arch: str, isa: str = "9.0") -> Code:
    return Code("ptx", f"compute_{arch}", isa)


def gpu(capability: str, driver: str | None = None, cuda: str | None = None) -> Target:
    return Target(f"sm_{capability.replace('.', '')}", capability, None, driver, cuda)


H200 = gpu("9.0", "580.159.04", "13.0")


def number(capability: str) -> str:
    return capability.replace(".", "")


images = st.one_of(
    st.builds(cubin, st.sampled_from(["75", "80", "86", "90", "90a", "100", "100f", "120f"])),
    st.builds(
        ptx,
        st.sampled_from(["75", "80", "90", "90a", "100", "120"]),
        st.sampled_from(["7.8", "8.7", "9.0", "9.1"]),
    ),
)


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.name)
def test_the_driver_did_what_the_rule_says(path: Path) -> None:
    wrong, count = [], 0
    for row in rows(path):
        if path.name.startswith("choice"):
            if row["what"] not in TRIED or row["api"] == "wrapper":
                continue
            fine: bool | None = as_said(row, path.name)
        else:
            fine = loaded_as_said(row)
        count += fine is not None
        if fine is False:
            wrong.append(row)
    assert not wrong[:5]
    assert count > 380


def loaded_as_said(row: dict[str, object]) -> bool | None:
    """Predict again from the line's own images, and compare with the driver's code."""
    if row["relocatable"]:
        return None
    lines = msgspec.convert(row["images"], list[tuple[int, str, str, str | None, str | None]])
    kinds: dict[int, ImageKind] = {1: "ptx", 2: "cubin", 8: "ltoir"}
    found = [Code(kinds[kind], arch, isa, packed) for kind, arch, _, isa, packed in lines]
    outcome = container_outcome(found, H200)
    assert not isinstance(outcome, Unknown), row
    return isinstance(outcome, Native | Jit) == (row["code"] == 0)


def test_logs_are_there() -> None:
    assert len(MEASURED) >= 5


@given(st.sampled_from(DESKTOP), st.sampled_from(DESKTOP), st.sampled_from(DESKTOP))
def test_plain_machine_code_is_a_partial_order(a: str, b: str, c: str) -> None:
    def covers(code: str, device: str) -> bool:
        return isinstance(image_outcome(cubin(number(code)), gpu(device)), Native)

    assert covers(a, a)
    assert not (covers(a, b) and covers(b, a)) or a == b
    assert not (covers(a, b) and covers(b, c)) or covers(a, c)
    if covers(a, b):
        assert Version(a).major == Version(b).major
        assert Version(a) <= Version(b)


@pytest.mark.parametrize("kind", ["sm", "compute"])
@pytest.mark.parametrize("own", CAPABILITIES)
def test_a_fits_one_capability(kind: str, own: str) -> None:
    make = cubin if kind == "sm" else ptx
    fit = [
        c
        for c in CAPABILITIES
        if isinstance(image_outcome(make(f"{number(own)}a"), gpu(c)), Native | Jit)
    ]
    assert fit == [own]


@pytest.mark.parametrize(
    ("arch", "fits"),
    [
        ("100f", ["10.0", "10.3"]),
        ("103f", ["10.3"]),
        ("110f", ["11.0"]),
        ("120f", ["12.0", "12.1"]),
        ("121f", ["12.1"]),
    ],
)
def test_f_fits_its_family(arch: str, fits: list[str]) -> None:
    outcomes = {c: image_outcome(cubin(arch), gpu(c)) for c in CAPABILITIES}
    assert [c for c, o in outcomes.items() if isinstance(o, Native)] == fits


@given(st.lists(images, max_size=5), images, st.sampled_from(CAPABILITIES))
def test_one_image_more_takes_nothing_native_away(
    held: list[Code], more: Code, capability: str
) -> None:
    target = gpu(capability, cuda="13.0")
    if isinstance(container_outcome(held, target), Native):
        assert isinstance(container_outcome([*held, more], target), Native)


@given(st.permutations([cubin("90"), cubin("90a"), ptx("90"), ptx("90a"), cubin("80"), ptx("80")]))
def test_the_outcome_does_not_hang_on_the_order(held: list[Code]) -> None:
    chosen = choose(held, H200)
    assert isinstance(chosen, Chosen)
    assert held[chosen.index].arch == "sm_90a"


@given(st.lists(images, max_size=6), st.sampled_from(CAPABILITIES))
def test_what_is_chosen_fits(held: list[Code], capability: str) -> None:
    target = gpu(capability)
    match choose(held, target):
        case Chosen(index):
            assert not isinstance(image_outcome(held[index], target), Refused)
        case Nothing():
            assert all(isinstance(image_outcome(i, target), Refused) for i in held)
        case Unsettled(among, _):
            assert capability != "9.0"
            assert among


@given(st.lists(images, max_size=6), st.sampled_from([None, "lz4", "zstd"]))
def test_compression_and_options_choose_nothing(held: list[Code], packed: str | None) -> None:
    other = [Code(i.kind, i.arch, "1.0" if i.kind == "ptx" else None, packed) for i in held]
    assert choose(held, H200) == choose(other, H200)


def test_too_new_ptx_hides_an_older_one() -> None:
    held = [ptx("80", "9.0"), ptx("90", "9.1")]
    assert choose(held, H200) == Chosen(1)
    assert container_outcome(held, H200) == Refused(
        "PTX 9.1 takes a driver of CUDA 13.1 or newer; this one is of 13.0"
    )
    assert container_outcome([*held, cubin("90")], H200) == Native()


def test_of_equals() -> None:
    assert choose([cubin("90"), cubin("90")], H200) == Chosen(0)
    assert choose([ptx("80"), ptx("80")], H200) == Chosen(0)
    assert choose([ptx("90"), ptx("90")], H200) == Chosen(1)
    assert choose([ptx("90a"), ptx("90a")], H200) == Chosen(0)
    assert choose([], H200) == Nothing()


@pytest.mark.parametrize(
    ("isa", "needs"), [("7.8", "11.8"), ("8.7", "12.8"), ("8.8", "12.9"), ("9.0", "13.0")]
)
def test_ptx_names_the_driver_that_it_takes(isa: str, needs: str) -> None:
    assert image_outcome(ptx("80", isa), gpu("12.0")) == Jit(needs)
    assert image_outcome(ptx("80", isa), gpu("12.0", cuda=needs)) == Jit(needs)
    older = image_outcome(ptx("80", isa), gpu("12.0", cuda="11.4"))
    assert isinstance(older, Refused)
    assert f"CUDA {needs}" in older.why


def test_ptx_of_a_later_version_than_the_facts_know() -> None:
    assert isinstance(image_outcome(ptx("80", "99.0"), H200), Refused)
    assert isinstance(image_outcome(ptx("80", "99.0"), gpu("9.0")), Unknown)
    assert isinstance(image_outcome(Code("ptx", "compute_80"), H200), Unknown)
    assert isinstance(image_outcome(ptx("80", "nine"), H200), Unknown)


@pytest.mark.parametrize(
    ("driver", "cuda", "case"),
    [
        ("550.54.14", "12.4", Native),
        ("580.159.04", "13.0", Native),
        ("550.54.10", "12.4", Refused),
        ("535.183.01", "12.2", Refused),
        ("550", "12.4", Unknown),
        (None, "12.4", Native),
        (None, "12.2", Refused),
        (None, None, Native),
    ],
)
def test_zstd(driver: str | None, cuda: str | None, case: type) -> None:
    target = gpu("9.0", driver, cuda)
    assert isinstance(image_outcome(cubin("90", "zstd"), target), case)
    assert image_outcome(cubin("90", "lz4"), target) == Native()
    assert isinstance(image_outcome(cubin("90", "unknown"), target), Unknown)


def test_a_newer_cuda_major() -> None:
    assert image_outcome(cubin("90"), H200, "13.2") == Native()
    assert image_outcome(cubin("90"), H200, "12.8") == Native()
    older = image_outcome(cubin("90"), gpu("9.0", cuda="12.8"), "13.0")
    assert isinstance(older, Refused)
    assert "cuda-compat" in older.why


@pytest.mark.parametrize(
    ("code", "capability"),
    [
        (cubin("80"), "8.7"),
        (cubin("87"), "8.9"),
        (cubin("70"), "7.2"),
        (cubin("101"), "11.0"),
        (cubin("101a"), "11.0"),
        (cubin("110f"), "10.1"),
        (cubin("100f"), "10.7"),
        (ptx("110"), "10.1"),
        (Code("unknown", "90"), "9.0"),
        (Code("cubin", "sm_ninety"), "9.0"),
    ],
)
def test_what_was_not_tried_is_unknown(code: Code, capability: str) -> None:
    assert isinstance(image_outcome(code, gpu(capability)), Unknown)
    assert isinstance(container_outcome([code], gpu(capability)), Unknown)


def test_what_is_not_settled_on_other_gpus() -> None:
    assert isinstance(choose([cubin("80"), cubin("86")], gpu("8.9")), Unsettled)
    assert container_outcome([cubin("80"), cubin("86")], gpu("8.9")) == Native()
    assert isinstance(choose([cubin("100"), cubin("100f")], gpu("10.0")), Unsettled)
    assert choose([cubin("100"), cubin("100a")], gpu("10.0")) == Chosen(1)
    isas = [ptx("100f", "9.0"), ptx("100", "8.7")]
    assert isinstance(container_outcome(isas, gpu("10.0", cuda="12.9")), Unknown)


def test_ltoir_and_relocatable_code() -> None:
    lto = Code("ltoir", "lto_90")
    assert isinstance(image_outcome(lto, H200), Refused)
    assert container_outcome([lto, ptx("80")], H200) == Jit("13.0")
    assert isinstance(image_outcome(cubin("90"), H200, relocatable=True), Unknown)
    assert isinstance(image_outcome(cubin("80"), H200, relocatable=True), Refused)


@pytest.mark.parametrize(
    "target", [Target("sm_90", "8.0"), Target("H200", "9.0"), Target("sm_9", "")]
)
def test_a_target_that_is_none(target: Target) -> None:
    assert isinstance(image_outcome(cubin("90"), target), Unknown)
    assert isinstance(choose([cubin("90"), cubin("80")], target), Unsettled)


@given(st.text(max_size=12))
def test_any_text_is_read_or_not(text: str) -> None:
    found = architecture(text)
    assert found is None or text.endswith(f"{found.major}{found.minor}{found.suffix}")


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_any_image_has_an_outcome(arch: str, isa: str, packed: str) -> None:
    for kind in ("ptx", "cubin", "unknown"):
        image_outcome(Code(kind, arch, isa, packed), H200)
        image_outcome(Code(kind, "sm_90", isa, packed), H200)
