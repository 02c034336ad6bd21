"""What is read of servers is kept and asked for; what indexes said is remembered for a while."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sartor.artifact import inflate, stream
from sartor.artifact.reading import Progress, read_evidence
from sartor.errors import IndexUnreachableError, NoSuchTargetError, UntrustedBytesError
from sartor.evidence.actions import scan, show
from sartor.evidence.store import open_store
from sartor.index.sources import Access
from sartor.inspection import InspectRequest, inspect
from sartor.paths import Places
from sartor.remote import hasher, listings, view
from sartor.remote.file import RemoteFile
from sartor.remote.http import Http
from sartor.remote.wheel import Wanted, read_wheel
from sartor.reporter import Reporter, Silent
from wheelserver import Manners, WheelServer, make_wheel, noise, serving_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.evidence.model import KeptEvidence
    from sartor.evidence.row import Row
    from sartor.verdict.model import Inspection

LIBRARY = (Path(__file__).parent.parent / "data/fatbin/library.so").read_bytes()
MIB = 1 << 20
TEXT = b"Metadata-Version: 2.1\nName: far\nVersion: 1.0\nRequires-Dist: torch\n"
SMALL, PARTS, FAR = (
    f"{name}-1.0-py3-none-manylinux_2_28_x86_64.whl" for name in ("small", "parts", "far")
)


@cache
def files() -> dict[str, bytes]:
    """A small wheel; one that is mostly not libraries; such a one whose METADATA comes first."""
    library, data = LIBRARY + noise(3 * MIB), noise(34 * MIB, 3)
    members = {"far-1.0.dist-info/METADATA": b"", "far/data.bin": data, "far/a.so": library}
    return {
        SMALL: make_wheel({"small/a.so": LIBRARY}, "small"),
        PARTS: make_wheel({"parts/a.so": library, "parts/data.bin": data}, "parts"),
        FAR: make_wheel(members, "far", metadata=TEXT),
    }


@pytest.fixture
def server() -> Iterator[WheelServer]:
    with serving_wheels(dict(files())) as found:
        yield found


@pytest.fixture(autouse=True)
def only_index(server: WheelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.address}/simple")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home")


class Heard(Reporter):
    """All that was said."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.details: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def detail(self, text: str) -> None:
        self.details.append(text)


def ask(
    places: Places | None, target: str, reporter: Reporter | None = None, *, refresh: bool = False
) -> Inspection:
    request = InspectRequest([target], [], places=places, refresh=refresh)
    (found,) = inspect(request, reporter or Silent())
    return found


def rows(places: Places) -> dict[str, Row]:
    store = open_store(places.evidence)
    assert store is not None
    with store:
        return {row.name: row for row in store.rows()}


def pages(server: WheelServer) -> int:
    """How often pages were asked for since the last time."""
    count = sum(seen.path.startswith("/simple/") for seen in server.seen)
    server.seen.clear()
    return count


class Clock:
    """What listings take for the time: so many seconds ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in ("listings", "indexes", "pages"):
        monkeypatch.setattr(f"sartor.remote.{module}.now", found.now)
    return found


def test_a_second_call_asks_nobody(server: WheelServer, places: Places) -> None:
    heard = Heard()
    first = ask(places, "small==1.0", heard)
    assert "asked for `small`" in heard.details[0]
    assert "its sha256 computed" in heard.details[1]
    server.seen.clear()
    heard = Heard()
    second = ask(places, "small==1.0", heard)
    assert server.seen == []
    assert second == msgspec.structs.replace(first, fetched_bytes=0)
    assert ["not asked for" in heard.details[0], "known from" in heard.details[1]] == [True, True]


def test_nothing_is_asked_or_kept_where_that_is_said(server: WheelServer, places: Places) -> None:
    ask(places, "small==1.0")
    before = {p: p.read_bytes() for p in places.root.rglob("*") if p.is_file()}
    server.seen.clear()
    assert ask(None, "small==1.0").fetched_bytes == len(files()[SMALL])
    assert pages(server) == 1
    assert {p: p.read_bytes() for p in places.root.rglob("*") if p.is_file()} == before


def test_what_is_kept_is_what_reading_the_file_would_keep(
    server: WheelServer, places: Places, tmp_path: Path
) -> None:
    ask(places, "small==1.0")
    path = tmp_path / SMALL
    path.write_bytes(files()[SMALL])
    row = rows(places)[SMALL]
    assert row.evidence() == msgspec.structs.replace(
        read_evidence(path, lambda _: "none"), target=SMALL
    )
    assert (row.stated_by, row.extent, row.origin) == (None, "complete", "read")
    heard = Heard()
    assert ask(places, str(path), heard).target == str(path)
    assert any("known from" in text for text in heard.details)


def test_how_a_wheel_came_is_not_kept_with_it(server: WheelServer, places: Places) -> None:
    """That a server gives no ranges is no word about the file."""
    server.manners = Manners(ranges=False)
    found = ask(places, "parts==1.0")
    assert any("gives no ranges" in note.why for note in found.not_checked)
    assert ask(places, "parts==1.0").not_checked == []
    assert rows(places)[PARTS].extent == "complete"


def test_what_was_read_in_parts_answers_at_its_address_alone(
    server: WheelServer, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask(places, "parts==1.0")
    assert "was not checked" in first.not_checked[0].why
    kept = rows(places)[PARTS]
    assert kept.stated_by is not None
    assert kept.sha256 == hashlib.sha256(files()[PARTS]).hexdigest()
    assert server.address.encode() not in places.evidence.read_bytes()
    second = ask(places, "parts==1.0")
    assert second.fetched_bytes == 0
    assert ["was not checked" in note.why for note in second.not_checked] == [True]
    url = f"{server.url(PARTS)}#sha256={kept.sha256}"
    assert ask(places, url).fetched_bytes == 0
    assert (ask(places, server.url(PARTS)).fetched_bytes or 0) > 0  # nobody states its hash

    with serving_wheels(dict(files())) as other:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{other.address}/simple")
        monkeypatch.setattr("sartor.evidence.row.now", lambda: "2099-01-01T00:00:00Z")
        assert (ask(places, "parts==1.0").fetched_bytes or 0) > 0
        elsewhere = rows(places)[PARTS]
        assert elsewhere.stated_by not in {None, kept.stated_by}
        assert ask(places, "parts==1.0").fetched_bytes == 0

        path = tmp_path / PARTS
        path.write_bytes(files()[PARTS])
        heard = Heard()
        ask(places, str(path), heard)
        assert not any("known from" in text for text in heard.details)
        assert rows(places)[PARTS].stated_by is None
        assert ask(places, "parts==1.0").fetched_bytes == 0
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.address}/simple")
    assert ask(places, "parts==1.0").fetched_bytes == 0


def test_bytes_under_a_stated_hash_do_not_speak_for_the_file(
    server: WheelServer, places: Places, tmp_path: Path
) -> None:
    """A file server that sends other members, under the hash of the good wheel."""
    library = LIBRARY + noise(3 * MIB)
    other = make_wheel({"parts/b.so": library, "parts/data.bin": noise(34 * MIB, 5)}, "parts")
    server.manners = Manners(body=other)
    assert [lib.path for lib in ask(places, "parts==1.0").libraries] == ["parts/b.so"]
    path = tmp_path / PARTS
    path.write_bytes(files()[PARTS])
    assert [lib.path for lib in ask(places, str(path)).libraries] == ["parts/a.so"]


@pytest.mark.parametrize(
    ("headers", "after", "asked"),
    [
        ({}, 590, 0),
        ({}, 610, 1),
        ({"Cache-Control": "max-age=60"}, 50, 0),
        ({"Cache-Control": "max-age=60"}, 70, 1),
        ({"Cache-Control": "max-age=60", "Age": "50"}, 15, 1),
        ({"Cache-Control": "public, max-age=31536000"}, 610, 1),
        ({"Cache-Control": "no-cache"}, 0, 1),
        ({"Cache-Control": "no-store"}, 0, 1),
        ({"Expires": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0, 1),
        ({"Vary": "*"}, 0, 1),
        ({}, -100, 1),
    ],
)
def test_a_page_is_asked_again_when_it_is_no_longer_fresh(
    server: WheelServer,
    places: Places,
    clock: Clock,
    headers: dict[str, str],
    after: float,
    asked: int,
) -> None:
    server.page_headers = headers
    ask(places, "small==1.0")
    assert pages(server) == 1
    clock.ahead = after
    ask(places, "small==1.0")
    assert pages(server) == asked
    assert any(places.listings.glob("*")) == ("no-store" not in str(headers))


@pytest.mark.parametrize("etag", ['"one"', 'W/"one"', None])
def test_what_changed_is_seen_once_freshness_is_over(
    server: WheelServer, places: Places, clock: Clock, etag: str | None
) -> None:
    server.page_headers = {"ETag": etag} if etag else {}
    assert ask(places, "small==1.0").findings == ask(places, "small==1.0").findings
    clock.ahead = 700
    server.seen.clear()
    ask(places, "small==1.0")
    assert [seen.if_none_match for seen in server.seen] == [etag]
    server.stated = {SMALL: {"yanked": "broken"}}
    server.page_headers = {"ETag": '"two"'} if etag else {}
    server.seen.clear()
    assert not [f for f in ask(places, "small==1.0").findings if f.code == "yanked"]
    clock.ahead = 1400
    assert [f.code for f in ask(places, "small==1.0").findings if f.code == "yanked"] == ["yanked"]


def test_refresh_asks_whatever_is_fresh(server: WheelServer, places: Places) -> None:
    ask(places, "small==1.0")
    server.stated = {SMALL: {"yanked": "broken"}}
    server.seen.clear()
    found = ask(places, "small==1.0", refresh=True)
    assert [f.code for f in found.findings if f.code == "yanked"] == ["yanked"]
    assert (pages(server), found.fetched_bytes) == (1, 0)


def test_that_nothing_is_there_is_never_said_from_memory(
    server: WheelServer, places: Places
) -> None:
    with pytest.raises(NoSuchTargetError):
        ask(places, "newer")
    with pytest.raises(NoSuchTargetError):
        ask(places, "small==1.1")
    for name, version in (("newer", "1.0"), ("small", "1.1")):
        file = f"{name}-{version}-py3-none-any.whl"
        server.files[file] = make_wheel({f"{name}/a.so": LIBRARY}, name, version)
    assert ask(places, "newer").target == "newer-1.0-py3-none-any.whl"
    assert ask(places, "small==1.1").target == "small-1.1-py3-none-any.whl"


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"\xff\x00", b"[" * 100_000, b'{"schema":"sartor.listing/3"}', None]
)
def test_a_damaged_page_is_asked_again(
    server: WheelServer, places: Places, damage: bytes | None
) -> None:
    first = ask(places, "small==1.0")
    (file,) = places.listings.iterdir()
    file.write_bytes(file.read_bytes()[:-9] if damage is None else damage)
    server.seen.clear()
    assert ask(places, "small==1.0") == msgspec.structs.replace(first, fetched_bytes=0)
    assert pages(server) == 1
    ask(places, "small==1.0")
    assert pages(server) == 0


def test_no_credential_is_in_what_is_kept(
    server: WheelServer, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.manners = Manners(user="me:s3cret")
    index = server.address.replace("http://", "http://me:s3cret@") + "/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", index)
    ask(places, "small==1.0")
    assert ask(places, "small==1.0").fetched_bytes == 0
    kept = [p for p in places.root.rglob("*") if p.is_file()]
    assert any(p.parent == places.listings for p in kept)
    for path in kept:
        assert b"s3cret" not in path.read_bytes()
        assert b"me:" not in path.read_bytes()
    assert places.listings.stat().st_mode & 0o077 == 0
    assert all(p.stat().st_mode & 0o077 == 0 for p in places.listings.iterdir())
    server.stated = {SMALL: {"url": f"../../files/{SMALL}?signature=t0ken"}}
    assert ask(places, "small==1.0", refresh=True).fetched_bytes == 0
    assert list(places.listings.iterdir()) == []


def test_neither_client_nor_parser_is_loaded_where_all_is_known(
    server: WheelServer, places: Places
) -> None:
    code = (
        "import sys\nfrom sartor.cli import run\nrun(['inspect', 'small==1.0', '--json'])\n"
        "loaded = {'requests', 'pypi_simple', 'urllib3', 'ssl', 'httpx'} & {*sys.modules}\n"
        "print(sorted(loaded), file=sys.stderr)"
    )
    variables = {**os.environ, "SARTOR_HOME": str(places.root)}
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
        )
        said.append(done.stderr.splitlines()[-1])
    assert "requests" in said[0]
    assert said[1] == "[]"


def test_without_a_network(server: WheelServer, places: Places, clock: Clock) -> None:
    """While the page is fresh nothing else is needed; after that it is an error that says so."""
    ask(places, "small==1.0")
    server.server_close()  # who connects now is refused
    assert ask(places, "small==1.0").fetched_bytes == 0
    clock.ahead = 700
    with pytest.raises(IndexUnreachableError) as error:
        ask(places, "small==1.0")
    assert "network" in (error.value.hint or "")


def small_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of which so little is kept that parts are read once more."""
    for name, value in (("WHOLE", MIB), ("HEAD", 2048), ("TAIL", 2048), ("RECENT", 64 << 10)):
        monkeypatch.setattr(stream, name, value)
    monkeypatch.setattr(inflate, "FAR_STEP", 64 << 10)
    for module in (hasher, view):
        monkeypatch.setattr(module, "PIECE", 16 << 10)


@pytest.mark.parametrize("flip", [None, 30_000])
def test_what_is_read_once_more_is_held_against_what_was_hashed(
    monkeypatch: pytest.MonkeyPatch, server: WheelServer, flip: int | None
) -> None:
    small_streams(monkeypatch)
    name = "more-1.0-py3-none-any.whl"
    library = LIBRARY + noise(5 * MIB)
    server.files[name] = make_wheel({"more/a.so": library, "more/z.so": library}, "more")
    digest = hashlib.sha256(server.files[name]).hexdigest()
    server.manners = Manners(flip=flip, flip_after=2)  # the tail, the file, then what is read again
    http = Http(Access())
    file = RemoteFile(http, server.url(name), name, None, digest)
    with contextlib.closing(http):
        if flip is None:
            evidence = read_wheel(file, Wanted(lambda _: "all", Progress()))
            assert len(evidence.libraries) == 2
            assert (file.sha256, file.read_again) == (digest, False)
            assert file.fetched > len(server.files[name]) + 20_000
        else:
            with pytest.raises(UntrustedBytesError, match="changed while it was read"):
                read_wheel(file, Wanted(lambda _: "all", Progress()))


def metadata_digest() -> str:
    return hashlib.sha256(TEXT).hexdigest()


def ranges_of(server: WheelServer) -> list[str | None]:
    return [seen.range for seen in server.seen if seen.path == f"/files/{FAR}"]


def asked_beside(server: WheelServer) -> int:
    return sum(seen.path.endswith(".metadata") for seen in server.seen)


def test_metadata_that_is_served_beside_a_wheel_is_used(server: WheelServer) -> None:
    """One request for it, and none for the member; without it, a range is read for that."""
    by_range = ask(None, "far==1.0")
    assert (asked_beside(server), len(ranges_of(server))) == (0, 3)
    assert any(r and r.startswith("bytes=0-") for r in ranges_of(server))
    server.seen.clear()
    server.metadata = {FAR: TEXT}
    server.stated = {FAR: {"core-metadata": {"sha256": metadata_digest()}}}
    served = ask(None, "far==1.0")
    assert (asked_beside(server), len(ranges_of(server))) == (1, 2)
    assert not any(r and r.startswith("bytes=0-") for r in ranges_of(server))
    assert served.packages == by_range.packages
    assert served.packages[0].requires == ["torch"]
    assert [lib.path for lib in served.libraries] == ["far/a.so"]


def test_metadata_that_is_promised_and_not_there_is_read_by_range(server: WheelServer) -> None:
    server.stated = {FAR: {"core-metadata": {"sha256": metadata_digest()}}}
    assert ask(None, "far==1.0").packages[0].requires == ["torch"]
    assert (asked_beside(server), len(ranges_of(server))) == (1, 3)


def test_metadata_without_a_hash_is_not_asked_for(server: WheelServer) -> None:
    server.metadata = {FAR: TEXT}
    server.stated = {FAR: {"core-metadata": True}}
    assert ask(None, "far==1.0").packages[0].requires == ["torch"]
    assert asked_beside(server) == 0


def test_metadata_near_the_end_of_a_wheel_is_there_already(server: WheelServer) -> None:
    with zipfile.ZipFile(io.BytesIO(files()[PARTS])) as archive:
        text = archive.read("parts-1.0.dist-info/METADATA")
    server.metadata = {PARTS: text}
    server.stated = {PARTS: {"core-metadata": {"sha256": hashlib.sha256(text).hexdigest()}}}
    ask(None, "parts==1.0")
    assert asked_beside(server) == 0


@pytest.mark.parametrize("stated", [metadata_digest(), None])
def test_metadata_that_lies_is_refused(server: WheelServer, stated: str | None) -> None:
    """Other bytes than the index states; and what index and file agree on, but not the wheel."""
    lie = TEXT.replace(b"torch", b"touch")
    server.metadata = {FAR: lie}
    stated = stated or hashlib.sha256(lie).hexdigest()
    server.stated = {FAR: {"core-metadata": {"sha256": stated}}}
    with pytest.raises(UntrustedBytesError, match="METADATA"):
        ask(None, "far==1.0")


def test_scanning_projects_and_addresses(server: WheelServer, places: Places) -> None:
    url = server.url(PARTS)
    digest = hashlib.sha256(files()[PARTS]).hexdigest()
    words = ["small==1.0", f"{url}#sha256={digest}", url, "nothing-of-that-name"]
    found = scan(places, words, Silent()).rows
    assert [(row.name, row.outcome) for row in found] == [
        (SMALL, "added"),
        (PARTS, "added"),
        (PARTS, "failed"),
        ("nothing-of-that-name", "failed"),
    ]
    assert "sha256" in (found[2].why or "")
    again = [row.outcome for row in scan(places, words[:2], Silent()).rows]
    assert again == ["known", "known"]
    server.seen.clear()
    assert [row.outcome for row in scan(places, words[:1], Silent(), again=True).rows] == ["same"]
    assert [seen.path for seen in server.seen if "/files/" in seen.path]

    def shown(selection: str) -> list[KeptEvidence]:
        return show(places, selection).rows

    for selection in ("small", "small==1.0", "Small==1", "small>=0.9", url.replace(PARTS, SMALL)):
        assert [row.name for row in shown(selection)] == [SMALL]
    assert [row.stated_by is not None for row in shown("parts")] == [True]


def test_scanning_goes_on_after_a_wheel_that_fails(server: WheelServer, places: Places) -> None:
    other = "small-1.0-py3-none-manylinux_2_28_aarch64.whl"
    server.files[other] = make_wheel({"small/a.so": LIBRARY}, "small")
    server.stated = {other: {"size": 5}}
    found = scan(places, ["small==1.0"], Silent()).rows
    assert [(row.name, row.outcome) for row in found] == [(other, "failed"), (SMALL, "added")]


def sartor(places: Places, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sartor", *words, "--json"],
        env={**os.environ, "SARTOR_HOME": str(places.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def document(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    output, talk = process.communicate(timeout=60)
    assert b"Traceback" not in talk
    found: dict[str, Any] = json.loads(output)
    return found


def test_the_same_command_several_times_at_once(server: WheelServer, places: Places) -> None:
    running = [sartor(places, "inspect", "parts==1.0") for _ in range(4)]
    found = [document(process) for process in running]
    assert [one["target"] for one in found] == [PARTS] * 4
    assert {process.returncode for process in running} == {0}
    assert list(rows(places)) == [PARTS]
    assert len(list(places.listings.iterdir())) == 1
    server.seen.clear()
    assert document(sartor(places, "inspect", "parts==1.0"))["fetched_bytes"] == 0
    assert server.seen == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_interrupted_is_not_kept(
    server: WheelServer, places: Places, number: signal.Signals
) -> None:
    server.manners = Manners(stall_after=300_000)
    process = sartor(places, "inspect", "parts==1.0")
    until = time.monotonic() + 20
    while not any("/files/" in seen.path for seen in server.seen) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert rows(places) == {}
    server.manners = Manners()
    assert document(sartor(places, "inspect", "parts==1.0"))["target"] == PARTS
    assert list(rows(places)) == [PARTS]


@pytest.mark.needs_root
def test_a_full_disk(server: WheelServer, tmp_path: Path) -> None:
    """Neither the page nor the evidence finds room: both are said, and what was read is shown."""
    home = tmp_path / "small"
    home.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(home)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("DID NOT RUN: this machine mounts nothing")
    places = Places(home)
    try:
        assert document(sartor(places, "inspect", "small==1.0"))["target"] == SMALL
        free = os.statvfs(home)
        (home / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize))
        process = sartor(places, "inspect", "far==1.0")
        output, talk = process.communicate(timeout=60)
        assert (process.returncode, json.loads(output)["target"]) == (0, FAR)
        assert b"what the index said is not kept" in talk
        assert b"evidence store" in talk
        assert b"Traceback" not in talk
        (home / "ballast").unlink()
        assert document(sartor(places, "inspect", "small==1.0"))["fetched_bytes"] == 0
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_old_pages_make_room(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "MOST_PAGES", 10)
    kept = listings.Listings(places.listings, Silent())
    for number in range(30):
        kept.put(None, f"p{number}", listings.Page(files=[], asked_at=1.0))
        path = places.listings
        assert len(list(path.iterdir())) <= 10
    assert kept.get(None, "p29") is not None
