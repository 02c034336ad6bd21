"""From the words of `sartor inspect` to GPUs: every way to ask, and every way to be wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor import cli, facts
from sartor.errors import HostDescriptionError, SartorError, UnknownGpuError, UsageError
from sartor.host.describe import parse_host
from sartor.verdict.model import Target
from sartor.verdict.targets import Asked, Meant, resolve

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.host.model import Host

BLACKWELL = "NVIDIA GeForce RTX 5090"


def elsewhere() -> NoReturn:
    pytest.fail("this machine was asked, though GPUs were named")


def asked(*gpus: str, driver: str | None = None) -> Meant:
    return resolve(Asked(gpus=list(gpus), driver=driver), elsewhere)


def by_sm(*words: str, driver: str | None = None) -> list[Target]:
    return resolve(Asked(sms=list(words), driver=driver), elsewhere).gpus


def of_hosts(*hosts: str, driver: str | None = None) -> Meant:
    return resolve(Asked(hosts=list(hosts), driver=driver), elsewhere)


# --- what is understood ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rtx-5090", "RTX 5090", BLACKWELL, "rtx5090"])
def test_names_are_written_as_everywhere(name: str) -> None:
    assert asked(name) == Meant([Target("sm_120", "12.0", BLACKWELL)])


def test_every_gpu_that_the_facts_know() -> None:
    for row in facts.gpus():
        [target] = asked(row.id).gpus
        assert target.compute_capability == row.compute_capability
        assert target.gpu == f"sm_{row.compute_capability.replace('.', '')}"


@pytest.mark.parametrize("word", ["12.0", "120", "sm_120", "SM_120", "sm120", "compute_120"])
def test_ways_to_write_a_compute_capability(word: str) -> None:
    assert by_sm(word) == [Target("sm_120", "12.0")]


def test_every_compute_capability_of_the_facts() -> None:
    for row in facts.archs():
        number = row.compute_capability.replace(".", "")
        same = by_sm(row.compute_capability, number, f"sm_{number}")
        assert same == [Target(f"sm_{number}", row.compute_capability)]


def test_the_driver_holds_for_all_that_are_named() -> None:
    meant = resolve(Asked(["rtx-5090", "h200"], ["8.9"], driver="575.57"), elsewhere)
    assert [target.gpu for target in meant.gpus] == ["sm_120", "sm_90", "sm_89"]
    assert {(t.driver, t.driver_cuda) for t in meant.gpus} == {("575.57", "12.9")}
    assert meant.host is None


def test_equal_gpus_are_one_column() -> None:
    assert asked("rtx-5090", "RTX 5090", "3x rtx-5090").gpus == [
        Target("sm_120", "12.0", BLACKWELL, count=3)
    ]


def test_a_host_is_its_gpus_and_its_driver() -> None:
    meant = of_hosts("2x h200, rtx-5090, driver=580.95")
    assert [(t.gpu, t.count, t.driver, t.driver_cuda) for t in meant.gpus] == [
        ("sm_90", 2, "580.95", "13.0"),
        ("sm_120", 1, "580.95", "13.0"),
    ]
    assert meant.host == parse_host("2x h200, rtx-5090, driver=580.95")


def test_two_hosts_are_no_host() -> None:
    meant = of_hosts("h200, driver=580.95", "h200, driver=550.54")
    assert [(t.gpu, t.driver_cuda) for t in meant.gpus] == [("sm_90", "13.0"), ("sm_90", "12.4")]
    assert meant.host is None


def test_one_driver_for_hosts_that_state_none_or_the_same() -> None:
    meant = of_hosts("h200", "rtx-5090, driver=575.57.08", driver="575.57")
    assert [t.driver for t in meant.gpus] == ["575.57", "575.57.08"]
    assert {t.driver_cuda for t in meant.gpus} == {"12.9"}


def test_this_machine_where_none_is_named() -> None:
    own = parse_host("2x rtx-5090, driver=580.95")
    assert resolve(Asked(), lambda: own) == Meant(
        [Target("sm_120", "12.0", BLACKWELL, "580.95", "13.0", 2)], own
    )
    other = resolve(Asked(driver="575.57"), lambda: own)
    assert other.gpus == [Target("sm_120", "12.0", BLACKWELL, "575.57", "12.9", 2)]
    assert other.host is not None
    assert other.host.driver is not None
    assert other.host.driver.version == "575.57"


def test_a_machine_without_gpus_has_no_targets() -> None:
    own = parse_host("cpu-only, cpu=zen5")
    assert resolve(Asked(), lambda: own) == Meant([], own)


# --- what is not -----------------------------------------------------------------------------


def test_unknown_names_are_unknown_gpus() -> None:
    with pytest.raises(UnknownGpuError) as caught:
        asked("rtx-5900", "radeon rx 7900", "rtx-5090")
    first, second = caught.value.found
    assert "`rtx-5090`" in first
    assert "NVIDIA GPUs only" in second
    assert "cpu-only" not in second
    assert "`--sm 12.0`" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("sm_120a", "a GPU has none: `--sm 12.0`"),
        ("10.0f", "a GPU has none: `--sm 10.0`"),
        ("12", "did you mean `12.0`"),
        ("blackwell", "write it like `12.0`"),
        ("", "write it like `12.0`"),
        ("12.0.0", "write it like `12.0`"),
        ("١٢.0", "write it like `12.0`"),
    ],
)
def test_what_is_no_compute_capability(word: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        by_sm(word)
    [line] = caught.value.found
    assert what in line


@pytest.mark.parametrize(
    ("driver", "what"),
    [
        ("latest", "write it like `575.57`"),
        ("12.9", "`--driver 575`"),
        ("cuda 13.0", "`--driver 580`"),
        ("99.9", "write it like"),
        ("", "write it like"),
    ],
)
def test_what_is_no_driver(driver: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked("rtx-5090", driver=driver)
    [line] = caught.value.found
    assert what in line


def test_a_wrong_driver_is_said_though_this_machine_is_meant() -> None:
    with pytest.raises(UsageError):
        resolve(Asked(driver="latest"), elsewhere)


@pytest.mark.parametrize("stated", ["driver=580.95", "cuda=13.0"])
def test_a_host_with_another_driver(stated: str) -> None:
    with pytest.raises(UsageError) as caught:
        of_hosts(f"h200, {stated}", driver="575.57")
    [line] = caught.value.found
    assert stated.partition("=")[2] in line
    assert "575.57" in line


def test_a_host_without_gpus_is_a_fault() -> None:
    with pytest.raises(UsageError) as caught:
        of_hosts("cpu-only")
    assert "no GPU in it" in caught.value.found[0]


def test_what_is_wrong_with_descriptions_alone_keeps_its_kind() -> None:
    with pytest.raises(HostDescriptionError):
        of_hosts("h200, colour=red")
    with pytest.raises(HostDescriptionError) as caught:
        of_hosts("h200, colour=red", "h200, ram=much")
    assert len(caught.value.found) == 2
    with pytest.raises(UnknownGpuError):
        of_hosts("rtx-5900")


def test_all_faults_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        resolve(
            Asked(["rtx-5900"], ["sm_90a"], ["h200, colour=red", "cpu-only"], "latest"), elsewhere
        )
    text = "\n".join(caught.value.found)
    for word in ("rtx-5900", "sm_90a", "colour", "cpu-only", "latest"):
        assert word in text
    assert len(caught.value.found) == 5


@given(
    st.lists(st.text(max_size=12), max_size=3),
    st.lists(st.text("sm_.0123456789af", max_size=8), max_size=3),
    st.none() | st.text("0123456789. cuda", max_size=9),
)
def test_any_words_give_gpus_or_one_error(
    gpus: list[str], sms: list[str], driver: str | None
) -> None:
    def own() -> Host:
        return parse_host("h200")

    meant, fault = Meant([]), None
    try:
        meant = resolve(Asked(gpus, sms, [], driver), own)
    except SartorError as error:
        fault = error
    assert bool(meant.gpus) == (fault is None)
    assert fault is None or (fault.found and fault.hint)
    assert len(set(meant.gpus)) == len(meant.gpus)
    assert {t.driver for t in meant.gpus} <= {driver}


def test_the_command_says_it_as_a_document(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status = cli.run(["inspect", str(tmp_path), "--gpu", "rtx-5900", "--json"])
    shown = capsys.readouterr()
    assert status == UnknownGpuError.exit_code
    assert json.loads(shown.out)["code"] == UnknownGpuError.code
    assert "or `rtx-5090`" in shown.err
