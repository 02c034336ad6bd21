"""Wheels read from servers that misbehave at random: one error or a reading, bounded, nothing left.

Each seed is one server's behaviour: faults in some or all of its answers, of every kind that
`hostileserver` knows. Asked for each: an `Evidence` or a `SartorError` within seconds; where the
hash was checked, the evidence of the honest file; no thread that stays, no memory that grows.

usage: python tests/hostile_readings.py [BEHAVIOURS] [FIRST_SEED]
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hostileserver import hostile
from sartor.artifact.reading import Progress
from sartor.errors import SartorError
from sartor.index.sources import Access
from sartor.remote import file as remote_file
from sartor.remote import wheel as remote_wheel
from sartor.remote.file import RemoteFile
from sartor.remote.http import Http, Limits
from sartor.remote.wheel import Wanted, read_wheel
from wheelserver import make_wheel, noise

if TYPE_CHECKING:
    from hostileserver import HostileServer
    from sartor.artifact.model import Evidence

LIMITS = Limits(connect=0.5, answer=0.15, block=0.15, waiting=0.3, backoff=0.004, tries=3, drops=8)
SECONDS = 8.0
MORE_MEMORY = 160 << 20
LIBRARY = (Path(__file__).parent / "data/fatbin/library.so").read_bytes()


def small_limits() -> None:
    """The real ones would want wheels of 40 MB; these take every path with one of 300 KB."""
    remote_file.TAIL = 20 << 10
    remote_file.KEPT = 40 << 10
    remote_file.WHOLE = 60 << 10
    remote_wheel.GAP, remote_wheel.JOB = 1 << 10, 30 << 10


def a_wheel(*, mostly: bool) -> bytes:
    """One that is fetched as a whole, or in parts."""
    data = {} if mostly else {"made/data.bin": noise(200 << 10)}
    library = LIBRARY + noise(60 << 10)
    return make_wheel({"made/a.so": library, **data, "made/b.so": library}, "made")


def one(server: HostileServer, seed: int, honest: Evidence | None) -> tuple[str, Evidence | None]:
    """One behaviour; what came of it."""
    server.behave(seed)
    digest = hashlib.sha256(server.data).hexdigest()
    http = Http(Access(), LIMITS)
    began = time.monotonic()
    file = RemoteFile(
        http, f"http://127.0.0.1:{server.port}/made-1.0-py3-none-any.whl", "made", None, digest
    )
    try:
        found = read_wheel(file, Wanted(lambda _: "none", Progress()))
    except SartorError as error:
        outcome, found_one = error.code, None
    else:
        outcome, found_one = "read", found
        checked = file.sha256 == digest
        if checked and honest is not None and found.libraries != honest.libraries:
            raise AssertionError(f"seed {seed}: other evidence under the right hash")
    finally:
        http.close()
    if time.monotonic() - began > SECONDS:
        raise AssertionError(f"seed {seed}: {time.monotonic() - began:.1f} s")
    return outcome, found_one


def settled() -> bool:
    """Whether the threads of the readers end."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if not [t for t in threading.enumerate() if t.name in {"receive", "sha256"}]:
            return True
        time.sleep(0.05)
    return False


def fuzz(count: int, first: int = 0) -> dict[str, object]:
    """So many behaviours; raises `AssertionError` at the first that is not met as it should be."""
    small_limits()
    outcomes: Counter[str] = Counter()
    slowest, before = 0.0, 0
    with hostile(a_wheel(mostly=True)) as whole, hostile(a_wheel(mostly=False)) as parts:
        honest: dict[int, Evidence] = {}
        for server in (whole, parts):
            server.behave_well()
            http = Http(Access(), LIMITS)
            file = RemoteFile(
                http, f"http://127.0.0.1:{server.port}/made-1.0-py3-none-any.whl", "made"
            )
            honest[server.port] = read_wheel(file, Wanted(lambda _: "none", Progress()))
            http.close()
        for number in range(count):
            server = (whole, parts)[number % 2]
            began = time.monotonic()
            outcome, _ = one(server, first + number, honest[server.port])
            slowest = max(slowest, time.monotonic() - began)
            outcomes[outcome] += 1
            if number == count // 10:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            if number % 1000 == 999:
                sys.stderr.write(f"{number + 1} {dict(outcomes)} slowest {slowest:.2f} s" + "\n")
        if not settled():
            raise AssertionError("threads are left")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    if before and peak - before > MORE_MEMORY:
        raise AssertionError(f"memory grew from {before} to {peak}")
    return {
        "behaviours": count,
        "outcomes": dict(outcomes),
        "slowest_seconds": round(slowest, 2),
        "peak_mib": peak >> 20,
        "grown_mib": (peak - before) >> 20 if before else None,
    }


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]] or [50_000]
    sys.stdout.write(json.dumps(fuzz(*arguments), indent=2) + "\n")
