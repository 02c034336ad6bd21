"""What has changed since a lock was made, and what follows from it."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace

from locks import HOST, SHA, locking, package, wheel_file
from sartor.host.model import Cpu, Driver, Gpu, Host
from sartor.lock.changes import changes
from sartor.lock.host_class import host_class
from sartor.lock.model import DEFAULT, LockChange, LockChanges, Now, Read, Source, SystemPackage
from sartor.plan.known import Machine
from sartor.report.lock import changes_lines
from sartor.schemas import schemas

READ = Read(reader=7, digest="a" * 64, read_at="2026-11-20T00:00:00Z")
LIBRARY = SystemPackage(soname="libnuma.so.1", state="there", needed_by=["vllm"])
LOCKED = locking(
    package("vllm", "1.0", "torch==2.0", evidence=READ),
    package("torch", "2.0"),
    facts={"gpus.toml": SHA},
    system=[LIBRARY],
    env={"VLLM_X": "1"},
)
SAME = Now(
    host=HOST,
    listings={
        (DEFAULT, "vllm"): [wheel_file("vllm")],
        (DEFAULT, "torch"): [wheel_file("torch", "2.0")],
    },
    evidence={SHA: READ},
    facts={"gpus.toml": SHA, "more.toml": SHA},
    system=[LIBRARY],
    env={"VLLM_X": "1"},
)


def of(**different: Any) -> LockChanges:
    found = changes(LOCKED, replace(SAME, **different))
    schema = schemas("lock-changes").schemas["sartor.lock-changes/1"]
    jsonschema.Draft202012Validator(schema).validate(msgspec.to_builtins(found))
    return found


def only(found: LockChanges) -> LockChange:
    (one,) = found.changes
    assert found.consequence == one.consequence
    assert changes_lines(found)[0] == f"the lock {one.consequence}"
    return one


def test_nothing_has_changed() -> None:
    found = of()
    assert (found.consequence, found.changes, found.not_checked) == ("still holds", [], [])
    assert "nothing that was looked at has changed" in changes_lines(found)


def test_what_was_not_asked_is_not_said_to_hold() -> None:
    found = changes(LOCKED, Now())
    assert found.changes == []
    assert {n.what for n in found.not_checked} == {
        *("host", "vllm", "torch", "facts", "system packages", "environment variables"),
        "vllm-1.0-py3-none-any.whl",
    }
    assert "not checked" in changes_lines(found)


@pytest.mark.parametrize(
    ("different", "what", "holds"),
    [
        ({"driver": "590.10"}, "driver", True),
        ({"driver": "570.10"}, "driver", False),
        ({"cuda": "13.1"}, "the driver's CUDA", True),
        ({"cuda": "12.9"}, "the driver's CUDA", False),
        ({"glibc": "2.41"}, "glibc", True),
        ({"glibc": "2.9"}, "glibc", False),
        ({"isa": "x86_64_v4"}, "CPU level", True),
        ({"isa": "x86_64_v2"}, "CPU level", False),
        ({"isa": "x86_64"}, "CPU level", False),
        ({"isa": "aarch64"}, "CPU level", False),
        ({"python": "3.13"}, "python", False),
        ({"architecture": "aarch64"}, "architecture", False),
        ({"gpus": ["9.0"]}, "GPUs of compute capability 9.0", True),
        ({"gpus": ["9.0"] * 8}, "GPUs of compute capability 9.0", True),
        ({"gpus": ["9.0", "9.0", "12.0"]}, "GPUs of compute capability 12.0", False),
        ({"gpus": []}, "GPUs of compute capability 9.0", False),
    ],
)
def test_the_machine(different: dict[str, Any], what: str, holds: bool) -> None:
    one = only(of(host=replace(HOST, **different)))
    assert (one.group, one.what) == ("host", what)
    assert one.consequence == ("still holds" if holds else "must be planned again")


@pytest.mark.parametrize("name", ["driver", "cuda", "glibc", "isa"])
def test_what_is_no_longer_known_of_the_machine(name: str) -> None:
    found = of(host=replace(HOST, **{name: None}))
    assert found.changes == []
    assert len(found.not_checked) == 1


def listed(*files: Any) -> Any:
    return {**SAME.listings, (DEFAULT, "torch"): list(files)}


TORCH = wheel_file("torch", "2.0")


def test_a_newer_release_that_is_held_back() -> None:
    one = only(of(listings=listed(TORCH, wheel_file("torch", "2.1"))))
    assert (one.was, one.now, one.consequence) == ("2.0", "2.1", "still holds")
    assert one.because == (
        "a newer release fits this machine; held back: vllm 1.0 wants torch==2.0"
    )


def test_a_newer_release_that_may_be_taken() -> None:
    one = locking(package("vllm"), roots=["vllm>=1"])
    newer = [wheel_file("vllm"), wheel_file("vllm", "2.0")]
    found = changes(one, Now(host=HOST, listings={(DEFAULT, "vllm"): newer}))
    assert only(found).because.endswith("planning again may choose it")


@pytest.mark.parametrize(
    "file",
    [
        wheel_file("torch", "2.1rc1"),
        wheel_file("torch", "1.9"),
        wheel_file("torch", "2.1", tags="cp312-cp312-manylinux_2_28_aarch64"),
        wheel_file("torch", "2.1", tags="cp311-cp311-manylinux_2_28_x86_64"),
        wheel_file("torch", "2.1", tags="cp312-cp312-manylinux_2_40_x86_64"),
        replace(wheel_file("torch", "2.1"), yanked="broken"),
        replace(wheel_file("torch", "2.1"), requires_python=">=3.13"),
        replace(wheel_file("torch", "2.1"), name="torch-2.1.tar.gz"),
    ],
    ids=lambda f: f.name,
)
def test_releases_that_are_none_for_this_machine(file: Any) -> None:
    assert of(listings=listed(TORCH, file)).changes == []


def test_other_bytes_under_the_same_name_are_said_first() -> None:
    found = of(listings=listed(replace(TORCH, sha256="f" * 64)), host=replace(HOST, driver="590.1"))
    assert found.consequence == "must be planned again"
    (alarm,) = [c for c in found.changes if c.alarm]
    assert (alarm.was, alarm.now) == (SHA, "f" * 64)
    lines = changes_lines(found)
    assert lines.index("!! this must not happen") < lines.index("this machine")


@pytest.mark.parametrize(
    ("files", "now"), [([], "gone"), ([replace(TORCH, yanked="it breaks")], "yanked")]
)
def test_files_that_are_withdrawn(files: list[Any], now: str) -> None:
    one = only(of(listings=listed(*files)))
    assert (one.now, one.consequence) == (now, "must be planned again")


def test_a_file_that_was_locked_though_it_was_yanked() -> None:
    yanked = replace(TORCH, yanked="old")
    one = locking(package("torch", "2.0", file=yanked))
    found = changes(one, Now(host=HOST, listings={(DEFAULT, "torch"): [yanked]}))
    assert found.changes == []


def test_an_index_that_was_not_reached() -> None:
    found = of(listings={**SAME.listings, (DEFAULT, "torch"): "no route to host"})
    assert found.changes == []
    assert [(n.what, n.why) for n in found.not_checked] == [("torch", "no route to host")]


def test_evidence_that_reads_differently() -> None:
    newer = replace(READ, reader=8, digest="b" * 64)
    one = only(of(evidence={SHA: newer}))
    assert (one.group, one.alarm) == ("evidence", False)
    assert of(evidence={SHA: replace(newer, digest=READ.digest)}).changes == []
    assert only(of(evidence={SHA: replace(newer, reader=7)})).alarm


def test_facts() -> None:
    assert only(of(facts={"gpus.toml": "f" * 64})).now == "f" * 12
    assert only(of(facts={})).now is None


def test_system_libraries() -> None:
    one = only(of(system=[replace(LIBRARY, state="missing")]))
    assert one.consequence == "must be planned again"
    assert "vllm needs it" in one.because
    back = changes(replace(LOCKED, system=[replace(LIBRARY, state="missing")]), SAME)
    assert only(back).consequence == "still holds"
    assert [n.what for n in of(system=[]).not_checked] == ["libnuma.so.1"]


def test_variables() -> None:
    assert [(c.what, c.was, c.now) for c in of(env={"A": "2"}).changes] == [
        ("A", None, "2"),
        ("VLLM_X", "1", None),
    ]


def test_a_commit_is_not_checked() -> None:
    source = Source(repository="https://git.example/x", commit="a" * 40)
    found = changes(locking(package("a", file=None, source=source)), Now(host=HOST))
    assert [n.what for n in found.not_checked] == ["a"]


def test_gpus_that_are_not_known() -> None:
    found = of(host=replace(HOST, unknown_gpus=1))
    assert [n.what for n in found.not_checked] == ["GPUs"]
    host = Host(
        gpus=[Gpu("a", "9.0"), Gpu("b")],
        driver=Driver("580.95.05", "13.0"),
        cpu=Cpu("zen5", generic="x86_64_v4"),
    )
    assert host_class(host, Machine("x86_64", "2.39", "3.12.4")) == replace(
        HOST, isa="x86_64_v4", gpus=["9.0"], unknown_gpus=1
    )
