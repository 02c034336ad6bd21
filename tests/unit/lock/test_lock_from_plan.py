"""A plan as a lock."""

from __future__ import annotations

import json
import tomllib
from pathlib import PurePosixPath

import msgspec
import pytest

from locks import SHA, wheel_file
from sartor.errors import NotLockableError
from sartor.host.model import Cpu, Driver, Gpu, Host
from sartor.lock.document import lock_texts, read_lock
from sartor.lock.from_plan import Beside, alias, locking_of, trace
from sartor.lock.model import DEFAULT, Read
from sartor.plan.decision import Accepted, Rejected
from sartor.plan.known import Locked, Resolution
from sartor.plan.model import Candidate, IndexReport, Plan, Python, Request, Stack, Tried
from sartor.plan.planned import Planned

HERE = PurePosixPath("/home/somebody/project")
GIVEN = "https://me:secret@given.example/simple"
HOST = Host(
    gpus=[Gpu("NVIDIA H200", "9.0")],
    driver=Driver("580.95.05", "13.0"),
    cpu=Cpu("zen5", generic="x86_64_v4"),
    architecture="x86_64",
    glibc="2.39",
)
YES = Accepted("device-code", "sm_90", "sm_90", "read")
NO = Rejected("driver", "13.1", "13.0", "facts")
CHOSEN = Tried(Candidate(engine="vllm", line="cuda", label="vLLM", version="0.32.0"), [YES])
OTHER = Tried(Candidate(engine="vllm", line="cuda", label="vLLM", version="0.33.0"), [YES, NO])
PLAN = Plan(
    host="one",
    request=Request(as_of="2026-11-20T23:59:59Z"),
    status="ready",
    stack=Stack(
        engine="vllm",
        line="cuda",
        label="vLLM",
        strategy="release",
        version="0.32.0",
        accelerator="cuda",
        launcher=None,
        requirements=["vllm==0.32.0"],
        modules=[],
        python=Python(None, "3.12.4"),
        architecture="x86_64",
        disk_mb=1,
        env={"VLLM_X": "1"},
        leave_out=["nvidia-nvshmem"],
    ),
    chosen=CHOSEN,
    rejected=[OTHER],
    indexes=[IndexReport(DEFAULT, "reached"), IndexReport("maker", "not reached", "no route")],
)
FILES = [
    Locked("vllm", "0.32.0", wheel_file("vllm", "0.32.0"), DEFAULT),
    Locked("torch", "2.11.0", wheel_file("torch", "2.11.0", "b" * 64), GIVEN),
]
READ = Read(reader=1, digest="a" * 64, read_at="2026-11-20T00:00:00Z")
BESIDE = Beside(
    addresses={DEFAULT: "https://index.example/simple", "maker": "https://maker.example"},
    requires={"vllm": ["torch==2.11.0"]},
    evidence={SHA: READ},
    facts={"gpus.toml": SHA},
)


def test_a_plan_is_locked_and_read_back() -> None:
    one = locking_of(Planned(PLAN, Resolution(FILES, "")), HOST, BESIDE)
    texts = lock_texts(one, HERE)
    found = read_lock(texts["pylock.toml"].encode(), texts["sartor.lock"].encode(), HERE)
    assert (found.host.python, found.host.gpus, found.host.isa) == ("3.12", ["9.0"], "x86_64_v4")
    assert [(p.name, p.index, p.evidence) for p in found.packages] == [
        ("torch", alias(GIVEN), None),
        ("vllm", DEFAULT, READ),
    ]
    assert {i.alias: i.state for i in found.indexes} == {
        DEFAULT: "reached",
        "maker": "not reached",
        alias(GIVEN): "reached",
    }
    assert [[d["outcome"] for d in row["decisions"]] for row in found.trace] == [
        ["accepted"],
        ["rejected"],
    ]
    assert found.as_of == "2026-11-20T23:59:59Z"
    assert "secret" not in "".join(texts.values())
    urls = {p["name"]: p["index"] for p in tomllib.loads(texts["pylock.toml"])["packages"]}
    assert urls["torch"] == "https://given.example/simple"


def test_an_index_that_was_given_has_one_name_whoever_logs_in() -> None:
    assert alias(GIVEN) == alias("https://given.example/simple")
    assert alias("maker") == "maker"


def test_the_trace_holds_nothing_of_one_machine_at_one_moment() -> None:
    here = Accepted("interpreter", "Python 3.12", "/home/me/bin/python", "the host")
    room = Accepted("disk", "10 GB", "11 GB free for /home/me", "the host")
    chosen = Tried(CHOSEN.candidate, [here, room, YES])
    plan = msgspec.structs.replace(PLAN, chosen=chosen, rejected=[OTHER])
    first, second = trace(plan)
    assert "/home" not in json.dumps(first)
    assert [d["rule"] for d in first["decisions"]] == ["interpreter", "disk", "device-code"]
    assert first["decisions"][2]["found"] == "sm_90"
    assert second == {
        "candidate": {"engine": "vllm", "line": "cuda", "strategy": "release", "index": DEFAULT}
        | {"version": "0.33.0"},
        "decisions": [
            {"outcome": "rejected", "rule": "driver", "wanted": "13.1", "found": "13.0"},
        ],
    }


@pytest.mark.parametrize(
    "planned",
    [Planned(Plan(host="one", request=Request(), status="impossible")), Planned(PLAN)],
    ids=["nothing fits", "built from source"],
)
def test_plans_without_files(planned: Planned) -> None:
    with pytest.raises(NotLockableError):
        locking_of(planned, HOST, BESIDE)
