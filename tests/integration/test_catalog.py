"""Listings, METADATA, parts and evidence of the catalog, of real servers on the loopback."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from indexserver import serving
from projects import isolate, pages, publish, publishing, simple, wheel
from sartor.catalog import clients, shelved
from sartor.catalog.catalog import Catalog
from sartor.catalog.kept_plans import KeptPlans, key
from sartor.evidence.snapshot import open_snapshot
from sartor.index.wheels import IndexFile
from sartor.matrix.parts import parts_of
from sartor.paths import Places
from sartor.plan.known import (
    DEFAULT,
    Known,
    Listing,
    ListingQuestion,
    Machine,
    MetadataQuestion,
    PartsQuestion,
    Unread,
    Wanted,
)
from sartor.remote import listings
from sartor.remote.http import Limits
from sartor.reporter import Reporter, Silent
from sartor.verdict.model import Target
from wheelserver import make_wheel, noise, serving_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.artifact.model import Package

BLACKWELL = Target("sm_120", "12.0", driver="575.57", driver_cuda="12.9")
VOLTA = Target("sm_70", "7.0", driver="535.104", driver_cuda="12.2")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    isolate(monkeypatch, str(tmp_path), {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"})
    quick = Limits(connect=1, answer=0.4, block=1, waiting=2, backoff=0.01, tries=2)
    monkeypatch.setattr(clients, "PATIENCE", quick)
    return Places(tmp_path / "sartor")


class Heard(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


def listed(places: Places, *asked: tuple[str, str], refresh: bool = False) -> list[Listing]:
    questions = tuple(ListingQuestion(*one) for one in asked)
    with Catalog(places, Silent(), refresh=refresh) as catalog:
        known = catalog.answer(Wanted(listings=questions), Known())
    return [known.listings[question] for question in questions]


@contextmanager
def listening(answer: bytes | None) -> Iterator[tuple[str, list[int]]]:
    """A server that hangs up, or (None) says nothing; with how many connections it took."""
    taken: list[int] = []
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                taken.append(1)
                held.append(connection)
                if answer is not None:
                    connection.sendall(answer)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple", taken
        server.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


def test_what_indexes_have(places: Places) -> None:
    with publishing(wheel("alpha", "1.0"), uploaded="2026-03-04T05:06:07Z") as index:
        address = simple(index)
        here, not_here = listed(places, (address, "alpha"), (address, "beta"))
    assert (here.state, [f.name for f in here.files]) == ("reached", ["alpha-1.0-py3-none-any.whl"])
    assert here.files[0].uploaded == "2026-03-04T05:06:07Z"
    assert (not_here.state, not_here.files, not_here.why) == ("reached", [], None)


@pytest.mark.parametrize("answer", [b"", None])
def test_an_index_that_is_not_reached_is_asked_once(places: Places, answer: bytes | None) -> None:
    names = [f"project-{number}" for number in range(12)]
    with listening(answer) as (address, taken):
        found = listed(places, *((address, name) for name in names))
        first = len(taken)
        again = listed(places, (address, "project-0"))
        remembered = len(taken)
        listed(places, (address, "project-0"), refresh=True)
    assert {one.state for one in found} == {"not reached"}
    assert {one.why for one in found} == {again[0].why}
    assert address.removesuffix("/simple") in (again[0].why or "")
    assert first == remembered == clients.PATIENCE.tries
    assert len(taken) == 2 * first


def test_a_server_that_comes_back_is_asked_again_after_a_minute(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((name, data),) = wheel("alpha", "1.0").items()
    (tmp_path / name).write_bytes(data)
    with serving([tmp_path / name]) as index:
        address, port = index.url, index.server_port
        index.server_close()
    assert listed(places, (address, "alpha"))[0].state == "not reached"
    with serving([tmp_path / name], port):
        assert listed(places, (address, "alpha"))[0].state == "not reached"
        monkeypatch.setattr(clients, "REMEMBERED", 0.0)
        assert listed(places, (address, "alpha"))[0].state == "reached"


def test_one_index_that_is_not_reached_stops_no_other(places: Places) -> None:
    with publishing(wheel("alpha", "1.0")) as index, listening(None) as (silent, _):
        good, bad = listed(places, (simple(index), "alpha"), (silent, "alpha"))
    assert (good.state, bad.state) == ("reached", "not reached")


@pytest.mark.parametrize("status", [403, 500])
def test_a_refusal_is_neither_reached_nor_missing(places: Places, status: int) -> None:
    with publishing(wheel("alpha", "1.0"), wheel("beta", "1.0")) as index:
        index.page_status += [status] * 4
        refused = listed(places, (simple(index), "alpha"))[0]
        index.page_status.clear()
        other = listed(places, (simple(index), "beta"))[0]
    assert refused.state == "not reached"
    assert str(status) in (refused.why or "")
    assert other.state == "reached"


def test_without_a_network_the_page_that_was_kept(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publishing(wheel("alpha", "1.0")) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", simple(index))
        fresh = listed(places, (DEFAULT, "alpha"))[0]
    moment = listings.now() + 3600
    for module in (listings, clients):
        monkeypatch.setattr(module, "now", lambda: moment)
    monkeypatch.setattr("sartor.remote.indexes.now", lambda: moment)
    monkeypatch.setattr("sartor.catalog.listing.now", lambda: moment)
    heard = Heard()
    with Catalog(places, heard) as catalog:
        kept, unknown = catalog.listing("alpha"), catalog.listing("beta")
    assert kept.files == fresh.files
    assert kept.state == unknown.state == "not reached"
    assert "as it said 60 minutes ago" in (kept.why or "")
    assert unknown.files == []
    assert len(heard.warned) == 1


def test_the_users_own_index_its_folders_and_its_links(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for name, data in wheel("alpha", "2.0").items():
        (links / name).write_bytes(data)
    with publishing(wheel("alpha", "1.0")) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", simple(index))
        monkeypatch.setenv("UV_FIND_LINKS", str(links))
        found = listed(places, (DEFAULT, "alpha"))[0]
    assert found.state == "reached"
    assert {file.name[6:9] for file in found.files} == {"1.0", "2.0"}


def declared(places: Places, file: IndexFile, index: str = DEFAULT) -> Package | Unread:
    question = MetadataQuestion(index, file)
    with Catalog(places, Silent()) as catalog:
        return catalog.answer(Wanted(metadata=(question,)), Known()).metadata[question]


def test_metadata_that_is_served_beside_the_wheel(places: Places) -> None:
    with publishing(wheel("alpha", "1.0", ["beta>=2"], python=">=3.10")) as index:
        file = listed(places, (simple(index), "alpha"))[0].files[0]
        package = declared(places, file)
        index.seen.clear()
        assert declared(places, file) == package
        assert index.seen == []
        index.metadata[file.name] = b"Name: other\n"
        lied = declared(places, msgspec.structs.replace(file, sha256="0" * 64))
    assert not isinstance(package, Unread)
    assert (package.name, package.version) == ("alpha", "1.0")
    assert (package.requires, package.requires_python) == (["beta>=2"], ">=3.10")
    assert package.file_tags == ["py3-none-any"]
    assert isinstance(lied, Unread)


def test_metadata_by_range_out_of_a_large_wheel(places: Places) -> None:
    name = "alpha-1.0-py3-none-any.whl"
    data = make_wheel({"alpha/data.bin": noise(40 << 20)}, "alpha", "1.0", stored=True)
    with serving_wheels({name: data}) as index:
        package = declared(places, IndexFile(name, index.url(name)))
        assert index.sent < 1 << 20
        index.manners.ranges = False
        whole = declared(places, IndexFile(name, index.url(name), len(data)))
        assert isinstance(whole, Unread)
        assert "no ranges" in whole.why
    assert not isinstance(package, Unread)
    assert package.name == "alpha"


def test_metadata_of_a_file_here(places: Places, tmp_path: Path) -> None:
    ((name, data),) = wheel("alpha", "1.0", ["beta"]).items()
    (tmp_path / name).write_bytes(data)
    package = declared(places, IndexFile(name, (tmp_path / name).as_uri()))
    assert not isinstance(package, Unread)
    assert package.requires == ["beta"]
    gone = declared(places, IndexFile(name, (tmp_path / "gone" / name).as_uri()))
    assert isinstance(gone, Unread)
    assert isinstance(declared(places, IndexFile("a-1.tar.gz", "file:///a-1.tar.gz")), Unread)


def test_a_sha256_that_another_server_claims_speaks_for_itself_alone(places: Places) -> None:
    with publishing(wheel("alpha", "1.0")) as good, publishing(wheel("alpha", "1.0")) as evil:
        name = "alpha-1.0-py3-none-any.whl"
        evil.files[name] = make_wheel({}, "evil", "1.0")
        claimed = declared(places, IndexFile(name, evil.url(name), sha256="1" * 64))
        honest = declared(places, IndexFile(name, good.url(name), sha256="1" * 64))
    assert not isinstance(claimed, Unread)
    assert not isinstance(honest, Unread)
    assert (claimed.name, honest.name) == ("evil", "alpha")


def test_the_oracle_gives_the_metadata_of_the_machines_own_wheel(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = wheel("alpha", "1.0", ["arm"], tags="cp312-cp312-manylinux_2_28_aarch64")
    with publishing(arm, wheel("alpha", "1.0", ["any"])) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", simple(index))
        with Catalog(places, Silent()) as catalog:
            found = [
                catalog.metadata("alpha", "1.0", Machine(cpu, "2.35", "3.12"))
                for cpu in ("aarch64", "x86_64")
            ]
            none = catalog.metadata("alpha", "9.0", Machine("x86_64", "2.35", "3.12"))
    assert [one.requires for one in found if not isinstance(one, Unread)] == [["arm"], ["any"]]
    assert isinstance(none, Unread)


def shipped() -> str:
    """The sha256 of a wheel of the shipped snapshot that has features."""
    store = open_snapshot()
    assert store is not None
    with store:
        rows = store.rows(documents=False)
        return next(row.sha256 for row in rows if row.project == "vllm" and row.is_current)


def test_parts_are_those_that_the_map_shows_and_are_judged_once(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = PartsQuestion(shipped(), (BLACKWELL, VOLTA))
    unknown = PartsQuestion("0" * 64, (BLACKWELL,))
    wanted = Wanted(parts=(question, unknown), evidence=(question.sha256, unknown.sha256))
    with Catalog(places, Silent()) as catalog:
        known = catalog.answer(wanted, Known())
    evidence, parts = known.evidence[question.sha256], known.parts[question]
    assert evidence is not None
    assert parts is not None
    assert (parts.are == "features", parts.targets) == parts_of(evidence, question.targets)
    assert any(part.core for part in parts.targets[0])
    assert known.parts[unknown] is None
    assert known.evidence[unknown.sha256] is None
    monkeypatch.setattr(shelved.Shelved, "_judged", lambda *_: pytest.fail("judged again"))
    with Catalog(places, Silent()) as catalog:
        assert catalog.answer(Wanted(parts=(question,)), Known()).parts[question] == parts
        with pytest.raises(pytest.fail.Exception):
            catalog.answer(Wanted(parts=(PartsQuestion(question.sha256, (VOLTA,)),)), Known())


def test_nothing_is_kept_where_nothing_is_to_be(places: Places) -> None:
    with (
        publishing(wheel("alpha", "1.0")) as index,
        Catalog(places, Silent(), store=False) as catalog,
    ):
        question = ListingQuestion(simple(index), "alpha")
        known = catalog.answer(Wanted(listings=(question,)), Known())
        asked = MetadataQuestion(DEFAULT, known.listings[question].files[0])
        known = catalog.answer(Wanted(metadata=(asked,)), known)
    assert not isinstance(known.metadata[asked], Unread)
    assert not places.root.exists()


def test_what_answers_took(places: Places) -> None:
    with (
        publishing(wheel("alpha", "1.0")) as index,
        Catalog(places, Silent()) as catalog,
    ):
        assert catalog.cost[:2] == (0, 0)
        catalog.answer(Wanted(listings=(ListingQuestion(simple(index), "alpha"),)), Known())
        assert catalog.cost.requests == len(index.seen) == 1
        assert catalog.cost.bytes > 100
        assert catalog.cost.seconds > 0


def test_a_plan_is_kept_while_all_that_it_rests_on_holds(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    plans, name = KeptPlans(places, Silent()), key("a host", {"a": "request"})
    with publishing(wheel("alpha", "1.0")) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", simple(index))
        with Catalog(places, Silent()) as catalog:
            wanted = Wanted(listings=(ListingQuestion(DEFAULT, "alpha"),))
            plans.keep(name, b"{}", catalog.validity(catalog.answer(wanted, Known())))
    assert plans.find(name) == b"{}"
    assert plans.find(key("another host")) is None
    (links / "alpha-2.0-py3-none-any.whl").write_bytes(b"")
    assert plans.find(name) is None


def test_a_plan_without_an_index_is_kept_for_a_minute(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = KeptPlans(places, Silent())
    with Catalog(places, Silent()) as catalog:
        wanted = Wanted(listings=(ListingQuestion(DEFAULT, "alpha"),))
        known = catalog.answer(wanted, Known())
        plans.keep(key(1), b"{}", catalog.validity(known))
    assert plans.find(key(1)) == b"{}"
    later = listings.now() + clients.REMEMBERED + 1
    monkeypatch.setattr("sartor.catalog.kept_plans.now", lambda: later)
    assert plans.find(key(1)) is None


def test_a_folder_that_cannot_be_written_is_said_once(places: Places) -> None:
    places.root.write_text("a file in its way")
    heard = Heard()
    with publishing(wheel("alpha", "1.0"), wheel("beta", "1.0")) as index:
        questions = tuple(ListingQuestion(simple(index), name) for name in ("alpha", "beta"))
        with Catalog(places, heard) as catalog:
            known = catalog.answer(Wanted(listings=questions), Known())
            publish(index, {})
            asked = tuple(
                MetadataQuestion(DEFAULT, known.listings[question].files[0])
                for question in questions
            )
            known = catalog.answer(Wanted(metadata=asked), known)
    assert {one.state for one in known.listings.values()} == {"reached"}
    assert not any(isinstance(one, Unread) for one in known.metadata.values())
    assert len(heard.warned) == len({*heard.warned})
    assert pages(index) == ["alpha", "beta"] or pages(index) == ["beta", "alpha"]
