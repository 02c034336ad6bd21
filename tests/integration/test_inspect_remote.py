"""`sartor inspect` on wheels that are on servers, and every fault of these, on the loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sartor.artifact.reading import Progress, read_evidence
from sartor.errors import (
    ArtifactUnreadableError,
    IndexRefusedError,
    IndexUnreachableError,
    NoSuchTargetError,
    SartorError,
    UntrustedBytesError,
    UsageError,
)
from sartor.index.sources import Access
from sartor.inspection import InspectRequest, inspect
from sartor.remote.file import RemoteFile
from sartor.remote.http import Http, Limits
from sartor.remote.wheel import Wanted, how_it_came, read_wheel
from sartor.reporter import Silent
from wheelserver import Manners, WheelServer, make_wheel, noise, serving_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Evidence
    from sartor.verdict.model import Inspection

LIBRARY = (Path(__file__).parent.parent / "data/fatbin/library.so").read_bytes()
MIB = 1 << 20
SMALL, WHOLE, PARTS, AHEAD = (
    f"{name}-1.0-py3-none-manylinux_2_28_x86_64.whl"
    for name in ("small", "whole", "parts", "ahead")
)
PEAK = (
    "import re, runpy, sys\n"
    "try:\n    runpy.run_module('sartor', run_name='__main__')\n"
    "finally:\n"
    "    status = open('/proc/self/status').read()\n"
    "    print(re.search(r'VmHWM:\\s+(\\d+)', status)[1], file=sys.stderr)\n"
)
"""`getrusage` would count what the tests' own process had when it started this one."""
QUICK = Limits(connect=2, answer=3, block=1, waiting=4, tries=3)


@cache
def files() -> dict[str, bytes]:
    """A small wheel; one that is mostly libraries; one that is mostly not; metadata far ahead."""
    library = LIBRARY + noise(3 * MIB)
    data = {"parts/data.bin": noise(34 * MIB, 3)}
    return {
        SMALL: make_wheel({"small/a.so": LIBRARY}, "small"),
        WHOLE: make_wheel(
            {f"whole/{i}.so": LIBRARY + noise(9 * MIB, i) for i in range(4)}, "whole"
        ),
        PARTS: make_wheel({"parts/a.so": library, **data, "parts/b.so": library}, "parts"),
        AHEAD: make_wheel({"ahead/a.so": library}, "ahead", stored=True),
    }


@pytest.fixture(scope="module")
def one_server() -> Iterator[WheelServer]:
    with serving_wheels(files()) as server:
        yield server


@pytest.fixture
def server(one_server: WheelServer, monkeypatch: pytest.MonkeyPatch) -> WheelServer:
    """The server with its best manners, as the only index."""
    one_server.manners = Manners()
    one_server.page, one_server.stated, one_server.page_status = "json", {}, []
    one_server.seen.clear()
    one_server.sent = 0
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{one_server.address}/simple")
    return one_server


def ask(*targets: str, **settings: str) -> list[Inspection]:
    return inspect(InspectRequest(list(targets), [], python=settings.get("python")), Silent())


def read(
    server: WheelServer,
    name: str,
    *,
    size: int | None = None,
    sha256: str | None = None,
    limits: Limits = QUICK,
) -> tuple[Evidence, RemoteFile]:
    """The wheel through the library, with limits for tests."""
    http = Http(Access(), limits)
    try:
        file = RemoteFile(http, server.url(name), name, size, sha256)
        return read_wheel(file, Wanted(lambda _: "none", Progress())), file
    finally:
        http.close()


def digest(name: str) -> str:
    return hashlib.sha256(files()[name]).hexdigest()


def local(name: str, folder: Path) -> Evidence:
    path = folder / name
    path.write_bytes(files()[name])
    return read_evidence(path, lambda _: "none")


def threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name in {"receive", "sha256"}}


@pytest.mark.parametrize("name", [SMALL, WHOLE, PARTS, AHEAD])
@pytest.mark.parametrize("page", ["json", "html"])
def test_a_project_is_read_as_its_wheel_would_be(
    server: WheelServer, name: str, page: str, tmp_path: Path
) -> None:
    server.page = "html" if page == "html" else "json"
    (found,) = ask(f"{name.partition('-')[0]}==1.0")
    wanted = local(name, tmp_path)
    assert [lib.path for lib in found.libraries] == [lib.path for lib in wanted.libraries]
    assert [lib.images for lib in found.libraries] == [lib.images for lib in wanted.libraries]
    assert found.packages == wanted.packages
    assert (found.target, found.kind, found.size) == (name, "wheel", wanted.size)
    assert found.sha256 == digest(name)
    assert found.fetched_bytes is not None
    if name == PARTS:
        assert found.fetched_bytes < 0.3 * len(files()[name])
        assert "was not checked" in found.not_checked[0].why
    else:
        assert found.not_checked == []
        assert found.fetched_bytes <= len(files()[name]) + 2 * MIB


def test_an_address_is_read_and_its_fragment_is_its_hash(server: WheelServer) -> None:
    (found,) = ask(f"{server.url(WHOLE)}#sha256={digest(WHOLE)}")
    assert found.target == WHOLE
    assert len(found.libraries) == 4
    with pytest.raises(UntrustedBytesError, match="sha256"):
        ask(f"{server.url(WHOLE)}#sha256={'0' * 64}")


@pytest.mark.parametrize("name", [WHOLE, PARTS, AHEAD])
@pytest.mark.parametrize(
    "manners",
    [
        Manners(drop_every=MIB),
        Manners(drop_every=700_000, etag=None),
        Manners(suffix_ranges=False, accept_ranges=True),
        Manners(etag='W/"weak"'),
        Manners(answers=[(429, {"Retry-After": "1"}), (503, {"Retry-After": "0"}), (502, {})]),
        Manners(answers=[(503, {"Retry-After": "Fri, 01 Jan 1999 00:00:00 GMT"})]),
    ],
    ids=["drops", "drops, no etag", "no suffix ranges", "weak etag", "busy", "date"],
)
def test_what_a_server_may_do(server: WheelServer, name: str, manners: Manners) -> None:
    server.manners = replace(manners, answers=list(manners.answers))
    evidence, file = read(server, name, sha256=digest(name))
    assert len(evidence.libraries) == {WHOLE: 4, PARTS: 2, AHEAD: 1}[name]
    assert file.fetched <= 2 * len(files()[name]) + 8 * MIB


def test_what_broke_off_is_taken_up_with_the_identity(server: WheelServer) -> None:
    server.manners = Manners(drop_every=2 * MIB)
    read(server, WHOLE, sha256=digest(WHOLE))
    taken_up = [seen for seen in server.seen[2:] if seen.range]
    assert len(taken_up) > 10
    assert {seen.if_range for seen in taken_up} == {'"one"'}


@pytest.mark.parametrize("name", [WHOLE, PARTS, AHEAD])
@pytest.mark.parametrize(
    "manners",
    [
        Manners(ranges=False),
        Manners(ranges=False, chunked=True),
        Manners(ranges=False, close_only=True),
        Manners(ranges=False, accept_ranges=True),
    ],
    ids=["plain", "chunked", "until it closes", "claims ranges"],
)
def test_without_ranges_the_whole_goes_by(server: WheelServer, name: str, manners: Manners) -> None:
    server.manners = manners
    evidence, file = read(server, name, sha256=digest(name))
    assert evidence.sha256 == digest(name)
    assert len(evidence.libraries) == {WHOLE: 4, PARTS: 2, AHEAD: 1}[name]
    assert file.fetched <= 2 * len(files()[name]) + 8 * MIB
    assert any("gives no ranges" in note.why for note in how_it_came(file)) == (name != AHEAD)


LIES = {
    "shorter": Manners(length_off=5),
    "other part": Manners(range_off=3),
    "other total": Manners(total_off=9),
    "no range said": Manners(no_content_range=True),
    "encoded": Manners(encode=True),
    "encoded whole": Manners(encode=True, ranges=False),
    "endless": Manners(endless=True, ranges=False),
    "endless chunks": Manners(endless=True, ranges=False, chunked=True),
    "changes": Manners(etag_changes_after=1),
    "not a ZIP": Manners(body=noise(40 * MIB)),
    "not a ZIP, no ranges": Manners(body=noise(40 * MIB), ranges=False),
    "empty": Manners(body=b""),
    "one bit": Manners(flip=20 * MIB),
    "one bit, no ranges": Manners(flip=20 * MIB, ranges=False),
    "redirected for ever": Manners(redirect_loop=True),
    "led away": Manners(redirect_to="gopher://127.0.0.1/x"),
    "led nowhere": Manners(redirect_to="http://[::1/x"),
    "stalls": Manners(stall_after=300_000),
    "teapot": Manners(always=418),
}


@pytest.mark.parametrize("kind", LIES)
@pytest.mark.parametrize("name", [WHOLE, PARTS])
def test_what_is_refused(server: WheelServer, kind: str, name: str) -> None:
    if kind == "one bit" and name == PARTS:
        pytest.skip("the bit is in what is not read")
    server.manners = LIES[kind]
    with pytest.raises(SartorError) as error:
        read(server, name, size=len(files()[name]), sha256=digest(name))
    assert error.value.hint
    if kind not in {"stalls", "shorter", "empty"}:
        assert server.sent < 3 * len(files()[name])


@pytest.mark.parametrize(
    ("manners", "kind"),
    [
        (Manners(always=403), IndexRefusedError),
        (Manners(always=401), IndexRefusedError),
        (Manners(always=404), NoSuchTargetError),
        (Manners(always=500), IndexRefusedError),
        (Manners(answers=[(429, {"Retry-After": "3600"})]), IndexRefusedError),
        (Manners(redirect_loop=True), IndexUnreachableError),
        (Manners(range_off=1), UntrustedBytesError),
        (Manners(body=noise(2 * MIB)), ArtifactUnreadableError),
    ],
)
def test_each_fault_is_its_own_error(
    server: WheelServer, manners: Manners, kind: type[SartorError]
) -> None:
    server.manners = manners
    with pytest.raises(kind) as error:
        read(server, WHOLE)
    assert error.value.hint


def test_a_changed_library_is_not_judged(server: WheelServer) -> None:
    """Where only parts are fetched: the checksum, and the RECORD, say what the hash cannot."""
    server.manners = Manners(flip=MIB)
    evidence, _ = read(server, PARTS, sha256=digest(PARTS))
    assert [lib.path for lib in evidence.libraries] == ["parts/b.so"]
    assert any(note.path == "parts/a.so" for note in evidence.not_read)


def test_a_library_other_than_its_record_is_not_judged(server: WheelServer) -> None:
    library = LIBRARY + noise(3 * MIB)
    right, wrong = (
        base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
        for data in (library, b"other")
    )
    swapped = make_wheel(
        {"parts/a.so": library, "parts/data.bin": noise(34 * MIB, 3), "parts/b.so": library},
        "parts",
        swap=(right, wrong),
    )
    server.manners = Manners(body=swapped)
    evidence, _ = read(server, PARTS)
    assert evidence.libraries == []
    assert sum("RECORD" in note.why for note in evidence.not_read) == 2


def test_no_credential_goes_to_another_host_or_into_a_message(
    server: WheelServer, tmp_path: Path
) -> None:
    with serving_wheels(files()) as other:
        other.manners = Manners(always=403)
        server.manners = Manners(user="me:s3cret", redirect_to=other.url(SMALL) + "?sig=t0ken")
        index = server.address.replace("http://", "http://me:s3cret@") + "/simple"
        done = subprocess.run(
            [sys.executable, "-m", "sartor", "inspect", "small", "--json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**_environment(tmp_path), "UV_DEFAULT_INDEX": index},
        )
        assert other.seen
        assert {seen.authorization for seen in other.seen} == {None}
    error = json.loads(done.stdout)
    assert error["code"] == "index-refused"
    for secret in ("s3cret", "t0ken", "me:"):
        assert secret not in done.stdout + done.stderr
    server.manners = Manners(user="me:s3cret")
    done = subprocess.run(
        [sys.executable, "-m", "sartor", "inspect", "small", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**_environment(tmp_path), "UV_DEFAULT_INDEX": index},
    )
    assert json.loads(done.stdout)["fetched_bytes"] == len(files()[SMALL])
    assert "s3cret" not in done.stdout + done.stderr
    assert not list(tmp_path.rglob("*.whl"))


def test_credentials_of_netrc(server: WheelServer, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    server.manners = Manners(user="me:s3cret")
    done = subprocess.run(
        [sys.executable, "-m", "sartor", "inspect", server.url(SMALL), "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=_environment(tmp_path),
    )
    assert json.loads(done.stdout)["size"] == len(files()[SMALL])


def _environment(home: Path) -> dict[str, str]:
    foreign = ("PIP_", "UV_", "HTTP", "http", "ALL_", "all_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return {**kept, "HOME": str(home), "PIP_CONFIG_FILE": "/dev/null", "UV_NO_CONFIG": "1"}


def test_projects_and_versions_that_are_not_there(server: WheelServer) -> None:
    with pytest.raises(NoSuchTargetError, match="no package index has a project"):
        ask("nothing-of-that-name")
    with pytest.raises(NoSuchTargetError) as error:
        ask("small==1.1")
    assert "1.0" in " ".join(error.value.found)
    with pytest.raises(UsageError):
        ask(f"{server.address}/page")


def test_a_yanked_wheel_is_read_where_its_version_is_named(server: WheelServer) -> None:
    server.stated = {SMALL: {"yanked": "broken"}}
    with pytest.raises(NoSuchTargetError):
        ask("small")
    (found,) = ask("small==1.0")
    assert [(f.code, "broken" in f.text) for f in found.findings if f.code == "yanked"] == [
        ("yanked", True)
    ]


def test_the_word_of_the_index_on_size_and_metadata_holds(server: WheelServer) -> None:
    server.stated = {SMALL: {"size": 5}}
    with pytest.raises(UntrustedBytesError, match="the index says 5"):
        ask("small")
    server.stated = {SMALL: {"core-metadata": {"sha256": "0" * 64}}}
    with pytest.raises(UntrustedBytesError, match="METADATA"):
        ask("small")


def test_a_path_goes_before_a_project(
    server: WheelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small").write_bytes(LIBRARY)
    (found,) = ask("small")
    assert (found.kind, found.fetched_bytes, server.seen) == ("library", None, [])
    with pytest.raises(NoSuchTargetError):
        ask("./whole")


def test_nothing_is_left_running(server: WheelServer) -> None:
    ask("small", "parts")
    server.manners = Manners(range_off=1)
    with pytest.raises(UntrustedBytesError):
        ask("whole")
    for thread in threading.enumerate():
        if thread.name in {"receive", "sha256"}:
            thread.join(5)
    assert threads() == set()


def test_memory_stays_under_its_bound_whatever_the_manners(
    server: WheelServer, tmp_path: Path
) -> None:
    """Two hundred megabytes of libraries, as a whole and without ranges."""
    libraries = {f"big/{i}.so": LIBRARY + noise(16 * MIB, i) * 3 for i in range(4)}
    name = "big-1.0-py3-none-any.whl"
    with serving_wheels({name: make_wheel(libraries, "big", stored=True)}) as other:
        for manners in (Manners(), Manners(ranges=False)):
            other.manners = manners
            done = subprocess.run(
                [sys.executable, "-c", PEAK, "inspect", other.url(name), "--json"],
                capture_output=True,
                text=True,
                check=True,
                timeout=120,
                env=_environment(tmp_path),
            )
            assert int(done.stderr.split()[-1]) < 300 << 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_it_at_once(
    server: WheelServer, tmp_path: Path, number: signal.Signals
) -> None:
    server.manners = Manners(stall_after=300_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "sartor", "inspect", server.url(WHOLE), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(tmp_path),
    )
    until = time.monotonic() + 20
    while not server.seen and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert json.loads(output)["code"] == "interrupted"


def test_a_proxy_is_taken_from_pip(server: WheelServer, tmp_path: Path) -> None:
    """A proxy is asked for another host's file in absolute form; here it is the server itself."""
    done = subprocess.run(
        [sys.executable, "-m", "sartor", "inspect", f"http://x.invalid/files/{SMALL}", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**_environment(tmp_path), "PIP_PROXY": server.address, "NO_PROXY": ""},
    )
    assert json.loads(done.stdout)["target"] == SMALL
    assert {seen.path for seen in server.seen} == {f"http://x.invalid/files/{SMALL}"}
