"""A small copy of the facts, so that these tests do not change with every row that is added."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec
import pytest

from sartor import facts
from sartor.host import names

FACTS = tomllib.loads(Path(__file__).with_name("facts.toml").read_text("utf-8"))
GPUS = msgspec.convert(FACTS["gpu"], tuple[facts.GpuFact, ...])
BRANCHES = msgspec.convert(FACTS["driver_branch"], tuple[facts.DriverBranchFact, ...])
LIBRARIES = msgspec.convert(FACTS["library"], tuple[facts.LibraryFact, ...])


@pytest.fixture(autouse=True)
def few_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "gpus", lambda: GPUS)
    for name in ("rows_by_spelling", "rows_by_letters"):  # as they come of these rows
        monkeypatch.setattr(names, name, cache(getattr(names, name).__wrapped__))
    monkeypatch.setattr(facts, "driver_branches", lambda: BRANCHES)
    monkeypatch.setattr(facts, "libraries", lambda: LIBRARIES)
