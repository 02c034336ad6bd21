"""What makes a kept plan another one, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sartor.catalog import kept_plans, plan_key
from sartor.catalog.plan_key import STEPS, settled
from sartor.engines.facts import engines
from sartor.host.describe import parse_host
from sartor.host.model import Disk, Host, Memory, Tool
from sartor.models.model import Model
from sartor.plan.case import Case, Offer
from sartor.plan.known import Machine
from sartor.plan.model import Python, Request, Stack
from sartor.plan.planner import Built
from sartor.plan.rules.host import disk

if TYPE_CHECKING:
    from pathlib import Path

GB = 10**9
HOST = Host(
    architecture="x86_64",
    glibc="2.39",
    memory=Memory(64 * GB, 48 * GB),
    disks=[Disk("data", "/home", 500 * GB, writable=True)],
    pythons=[Tool("python3.12", "/usr/bin/python3.12", "3.12.4")],
)
REQUEST = Request(engines=("vllm",))
MODEL = Model("org/name", "safetensors", "name", size_bytes=GB)
STACK = Stack(
    engine="vllm",
    line="published",
    label="vLLM",
    strategy="release",
    version="0.32.0",
    accelerator="cuda",
    launcher="vllm",
    requirements=["vllm==0.32.0"],
    modules=["vllm"],
    python=Python("/usr/bin/python3.12", "3.12.4"),
    architecture="x86_64",
    disk_mb=1,
)
BUILT = {Built("vllm", "published", "0.32.0", "3.12"): STACK}


def key(
    host: Host = HOST,
    request: Request = REQUEST,
    model: Model | None = MODEL,
    built: dict[Built, Stack] | None = None,
) -> str | None:
    return plan_key.plan_key(settled(host), request, model, built or {})


def test_the_same_has_one_key() -> None:
    assert key() == key() is not None
    assert key(built=BUILT) == key(built=dict(BUILT))


@pytest.mark.parametrize(
    "change",
    [
        {"engines": ("sglang",)},
        {"engines": ()},
        {"build": "native"},
        {"context": 4096},
        {"python": "3.12"},
        {"pins": ("torch==2.11.0",)},
        {"as_of": "2025-08-31T23:59:59Z"},
        {"objective": "proven"},
        {"allow": ("nightly",)},
        {"indexes": ("https://example.org/simple",)},
        {"served": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_request(change: dict[str, Any]) -> None:
    assert {*change} <= {*Request.__struct_fields__}
    assert key(request=replace(REQUEST, **change)) != key()


def test_every_field_of_a_request_is_tried() -> None:
    (mark,) = [m for m in test_another_request.pytestmark if m.name == "parametrize"]
    assert {name for change in mark.args[1] for name in change} == {*Request.__struct_fields__}


@pytest.mark.parametrize(
    "text",
    [
        "rtx-5090,driver=580.95",
        "rtx-5090,driver=575.57",
        "2x rtx-5090,driver=580.95",
        "rtx-5090,driver=580.95,python=3.12",
        "rtx-5090,driver=580.95,glibc=2.35",
        "rtx-5090,driver=580.95,ram=64G",
        "h200,driver=580.95",
        "cpu-only,cpu=zen5",
    ],
)
def test_another_described_host(text: str) -> None:
    others = ["rtx-5090,driver=580.95.01", "cpu-only,cpu=zen4"]
    assert key(parse_host(text)) == key(parse_host(text))
    assert key(parse_host(text)) not in {key(parse_host(other)) for other in others}


def test_another_machine() -> None:
    changed = [
        replace(HOST, glibc="2.35"),
        replace(HOST, pythons=[]),
        replace(HOST, libraries={"libgomp.so.1": None}),
        replace(HOST, compilers=[Tool("cc", "/usr/bin/cc", "13.2")]),
        replace(HOST, memory=Memory(128 * GB, 48 * GB)),
        replace(HOST, disks=[replace(HOST.disks[0], path="/elsewhere")]),
        replace(HOST, disks=[replace(HOST.disks[0], writable=False)]),
    ]
    keys = {key(host) for host in changed}
    assert len(keys) == len(changed)
    assert key() not in keys


def test_another_model_and_another_environment() -> None:
    other = {Built("vllm", "published", "0.31.0", "3.12"): STACK}
    changed = [
        key(model=None),
        key(model=replace(MODEL, size_bytes=2 * GB)),
        key(model=replace(MODEL, context_length=4096)),
        key(built=BUILT),
        key(built=other),
        key(built={**BUILT, **other}),
    ]
    assert len({*changed, key()}) == len(changed) + 1


@given(free=st.integers(0, 20 * GB), later=st.integers(0, 20 * GB))
def test_a_key_stands_for_one_decision_about_the_disk(free: int, later: int) -> None:
    before, after = (with_room(room) for room in (free, later))
    if key(before) == key(after):
        for engine in engines():
            for line in engine.line:
                assert type(disk(case(before, engine, line))) is type(
                    disk(case(after, engine, line))
                )


def with_room(free: int) -> Host:
    return replace(HOST, disks=[replace(HOST.disks[0], free_bytes=free)])


def case(host: Host, engine: Any, line: Any) -> Case:
    machine = Machine("x86_64", "2.39", "3.12")
    offer = Offer(engine=engine, line=line, index="default", state="reached", machine=machine)
    return Case(host=host, request=REQUEST, model=None, offer=offer)


def test_room_for_the_same_environments_is_the_same() -> None:
    assert key(with_room(500 * GB)) == key(with_room(400 * GB))
    assert key(with_room(500 * GB)) != key(with_room(GB // 100))


@given(available=st.integers(1, 64 * GB))
def test_memory_is_planned_for_as_the_key_has_it(available: int) -> None:
    host = replace(HOST, memory=Memory(64 * GB, available))
    planned = settled(host).memory.available_bytes
    assert planned is not None
    assert 0 <= available - planned < 64 * GB // STEPS + 1
    assert settled(settled(host)) == settled(host)
    assert (key(host) == key()) == (settled(host) == settled(HOST))


def test_what_is_stated_of_memory_is_left_as_it_was_stated() -> None:
    host = parse_host("cpu-only,ram=64G")
    assert settled(host) == host
    assert settled(replace(HOST, memory=Memory(None, None))).memory == Memory(None, None)


@pytest.mark.parametrize(
    "request_",
    [
        Request(indexes=("https://user:word@example.org/simple",)),
        Request(indexes=("https://example.org/simple?signature=1",)),
        Request(pins=("a @ https://user:word@example.org/a.whl",)),
    ],
)
def test_what_may_hold_a_secret_has_no_key(request_: Request) -> None:
    assert key(request=request_) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UV_DEFAULT_INDEX", "https://example.org/simple"),
        ("UV_PRERELEASE", "allow"),
        ("PIP_EXTRA_INDEX_URL", "https://example.org/simple"),
    ],
)
def test_another_configuration_by_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key()
    monkeypatch.setenv(name, value)
    assert key() != before


def test_a_file_of_the_configuration_and_one_that_a_variable_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    seen = {key()}
    for path in (tmp_path / "uv" / "uv.toml", tmp_path / "pip" / "pip.conf"):
        path.parent.mkdir()
        path.write_text("")
        seen.add(key())
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("torch<2.12\n")
    monkeypatch.setenv("UV_CONSTRAINT", str(constraints))
    seen.add(key())
    constraints.write_text("torch<2.11.1\n")
    seen.add(key())
    assert len(seen) == 5


def test_secrets_of_the_configuration_are_in_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://one:word@example.org/simple")
    monkeypatch.setenv("UV_INDEX_MINE_PASSWORD", "one")
    before = key()
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://two:other@example.org/simple")
    monkeypatch.setenv("UV_INDEX_MINE_PASSWORD", "two")
    assert key() == before


@pytest.mark.parametrize("name", ["rule.py", "engines/vllm.toml", "flags.zst", "snapshot.sqlite"])
def test_another_state_of_code_and_facts(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("1")
    before = kept_plans.state.__wrapped__(tmp_path)
    path.write_text("22")
    after = kept_plans.state.__wrapped__(tmp_path)
    path.unlink()
    assert len({before, after, kept_plans.state.__wrapped__(tmp_path)}) == 3


def test_code_and_facts_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(kept_plans, "state", lambda _: "another state")
    assert key() != before
