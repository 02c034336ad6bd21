"""Kept plans on loopback indexes: the same request is not planned again, any other is."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from projects import isolate, publish, publishing, simple, wheel
from sartor import facts
from sartor.artifact.model import Evidence, Package
from sartor.catalog import kept_plans
from sartor.catalog.clients import REMEMBERED
from sartor.evidence.row import row_of
from sartor.evidence.store import open_store
from sartor.host.describe import parse_host
from sartor.paths import Places
from sartor.plan.model import Request
from sartor.planning import plan_with_catalog
from sartor.remote import listings
from sartor.remote.listings import MOST_FRESH
from sartor.reporter import Reporter
from wheelserver import serving_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.plan.planned import Planned
    from wheelserver import WheelServer

HOST = "cpu-only,cpu=zen4,python=3.12,glibc=2.39,arch=x86_64"
REQUEST = Request(engines=("llama.cpp",))
TAGS = "cp312-cp312-manylinux_2_28_x86_64"


class Heard(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.warned: list[str] = []

    def detail(self, text: str) -> None:
        self.told.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


class User:
    """A user whose pip and uv know one index, and for whom makers' indexes are on the loopback."""

    def __init__(self, folder: Path, server: WheelServer) -> None:
        self.places = Places(folder / "sartor")
        self.server = server
        self.heard = Heard()

    def plan(
        self, request: Request = REQUEST, host: str = HOST, *, refresh: bool = False
    ) -> Planned:
        self.heard = Heard()
        described = parse_host(host)
        return plan_with_catalog(described, request, None, self.places, self.heard, refresh=refresh)

    def planned_anew(self) -> bool:
        """Whether the last plan was made, and not the one that was kept."""
        made = any(text.startswith("planned with") for text in self.heard.told)
        kept = any(text.startswith("planned as") for text in self.heard.told)
        assert made != kept
        return made


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    first = wheel("xllamacpp", "2026.9.1", tags=TAGS)
    with publishing(first) as own, serving_wheels({}) as makers:
        rows = tuple(msgspec.structs.replace(row, url=simple(makers)) for row in facts.indexes())
        monkeypatch.setattr(facts, "indexes", lambda: rows)
        isolate(monkeypatch, str(tmp_path), {"UV_DEFAULT_INDEX": simple(own)})
        yield User(tmp_path, own)


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let it be so many seconds after now."""
    moment = listings.now() + seconds
    for name in ("kept_plans", "kept_resolutions", "clients", "listing", "catalog", "resolver"):
        monkeypatch.setattr(f"sartor.catalog.{name}.now", lambda: moment)
    monkeypatch.setattr("sartor.remote.indexes.now", lambda: moment)
    monkeypatch.setattr("sartor.remote.pages.now", lambda: moment)


def test_an_unchanged_request_asks_nobody_and_says_the_same(user: User) -> None:
    first = user.plan()
    assert user.planned_anew()
    assert first.plan.status == "ready"
    asked = len(user.server.seen)
    second = user.plan()
    assert not user.planned_anew()
    assert second == first
    assert len(user.server.seen) == asked


def test_it_is_planned_anew_where_the_user_says_so(user: User) -> None:
    user.plan()
    user.plan(refresh=True)
    assert user.planned_anew()
    user.plan()
    assert not user.planned_anew()


@pytest.mark.parametrize(
    "change",
    [
        {"as_of": "2020-01-01T00:00:00Z"},
        {"allow": ("nightly",)},
        {"build": "published"},
        {"objective": "proven"},
        {"served": True},
        {"pins": ("xllamacpp>=2026.9",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_request_is_planned(change: dict[str, object], user: User) -> None:
    user.plan()
    user.plan(msgspec.structs.replace(REQUEST, **change))
    assert user.planned_anew()
    user.plan()
    assert not user.planned_anew()


@pytest.mark.parametrize(
    "host",
    ["cpu-only,cpu=zen5,python=3.12,glibc=2.39,arch=x86_64", "rtx-5090,driver=580.95,arch=x86_64"],
)
def test_another_host_is_planned_for(host: str, user: User) -> None:
    user.plan()
    user.plan(host=host)
    assert user.planned_anew()


def test_another_driver_is_planned_for(user: User) -> None:
    plans = []
    for driver in ("580.95", "550.54", "580.95"):
        plans.append(user.plan(host=f"rtx-5090,driver={driver},python=3.12,glibc=2.39,arch=x86_64"))
        assert user.planned_anew() == (len(plans) < 3)
    assert plans[0] == plans[2] != plans[1]


def test_a_release_that_came_meanwhile_is_found_once_the_listing_is_old(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = user.plan()
    publish(user.server, wheel("xllamacpp", "2026.10.1", tags=TAGS))
    later(monkeypatch, MOST_FRESH - 60)
    assert user.plan() == before
    later(monkeypatch, MOST_FRESH)
    shutil.rmtree(tmp_path / "uv")  # the resolver's own cache has a clock of its own
    after = user.plan()
    assert user.planned_anew()
    assert before.plan.stack is not None
    assert after.plan.stack is not None
    assert (before.plan.stack.version, after.plan.stack.version) == ("2026.9.1", "2026.10.1")


def test_it_holds_no_longer_than_the_oldest_answer(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.plan()
    later(monkeypatch, MOST_FRESH / 2)
    user.plan(host="cpu-only,cpu=zen5,python=3.12,glibc=2.39,arch=x86_64")
    assert user.planned_anew()
    later(monkeypatch, MOST_FRESH)
    user.plan(host="cpu-only,cpu=zen5,python=3.12,glibc=2.39,arch=x86_64")
    assert user.planned_anew()


def test_evidence_that_came_meanwhile_counts(user: User) -> None:
    user.plan()
    user.plan()
    assert not user.planned_anew()
    (name, data), *_ = user.server.files.items()
    evidence = Evidence(
        target=name,
        kind="wheel",
        packages=[Package(name="xllamacpp", version="2026.9.1", path="xllamacpp.dist-info")],
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
    )
    store = open_store(user.places.evidence)
    assert store is not None
    with store:
        store.put(row_of(evidence, "none"))
    user.plan()
    assert user.planned_anew()


def test_another_state_of_the_facts(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.plan()
    monkeypatch.setattr(kept_plans, "state", lambda _: "another state")
    user.plan()
    assert user.planned_anew()


def test_a_folder_of_links_that_changed(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    user.plan()
    user.plan()
    assert not user.planned_anew()
    for name, data in wheel("xllamacpp", "2026.11.1", tags=TAGS).items():
        (links / name).write_bytes(data)
    found = user.plan()
    assert user.planned_anew()
    assert found.plan.stack is not None
    assert found.plan.stack.version == "2026.11.1"


def test_an_index_that_is_not_reached_is_asked_again_after_a_minute(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tuple(
        msgspec.structs.replace(row, url="http://127.0.0.1:9/simple") for row in facts.indexes()
    )
    monkeypatch.setattr(facts, "indexes", lambda: rows)
    gpu = "rtx-5090,driver=580.95,python=3.12,glibc=2.39,arch=x86_64"
    user.plan(host=gpu)
    user.plan(host=gpu)
    assert not user.planned_anew()
    later(monkeypatch, REMEMBERED)
    user.plan(host=gpu)
    assert user.planned_anew()


def test_without_any_index_no_plan_is_kept_and_all_is_said_again(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.plan()
    user.server.shutdown()
    user.server.server_close()
    later(monkeypatch, MOST_FRESH)
    for _ in range(2):
        user.plan()
        assert user.planned_anew()
        assert any("is not reached" in text for text in user.heard.warned)


def test_no_secret_is_kept(user: User) -> None:
    request = Request(engines=("llama.cpp",), indexes=("https://me:word@127.0.0.1:9/simple",))
    user.plan(request)
    user.plan(request)
    assert user.planned_anew()
    files = [path for path in user.places.root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"me:word" in path.read_bytes()]


def test_a_torn_file_is_planned_anew(user: User) -> None:
    user.plan()
    for path in (user.places.catalog / "plans").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    user.plan()
    assert user.planned_anew()
