"""Wheels read from servers that misbehave at random: one error or a reading, bounded, nothing left.

Each seed is one server's behaviour: faults in some or all of its answers, of every kind that
`hostileserver` knows; every third is read with the names of all kernels, for which parts are
fetched again. Asked for each: an `Evidence` or a `SartorError` within seconds; where the
hash was checked, the evidence of the honest file; no thread that stays, no memory that grows.

usage: python tests/hostile_readings.py [BEHAVIOURS] [FIRST_SEED] [--keep]

`--keep` writes the log and the outcome below benchmarks/results/heavy.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import threading
import time
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hostileserver import hostile
from sartor.artifact import inflate, stream
from sartor.artifact.reading import Progress
from sartor.errors import SartorError
from sartor.index.sources import Access
from sartor.remote import file as remote_file
from sartor.remote import hasher, http, view
from sartor.remote import wheel as remote_wheel
from sartor.remote.file import RemoteFile
from sartor.remote.http import Http, Limits
from sartor.remote.served import served_metadata
from sartor.remote.wheel import Wanted, read_wheel
from wheelserver import make_wheel, noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from hostileserver import HostileServer
    from sartor.artifact.model import Evidence
    from sartor.artifact.reading import Names

LIMITS = Limits(connect=0.5, answer=0.15, block=0.15, waiting=0.3, backoff=0.004, tries=3, drops=8)
SECONDS = 8.0
MORE_MEMORY = 160 << 20
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PROVES = ["src/sartor/remote", "tests/hostile_readings.py", "tests/hostileserver.py"]
NAMES: tuple[Names, ...] = ("none", "all")
LIBRARY = (Path(__file__).parent / "data/fatbin/library.so").read_bytes()


def small_limits() -> None:
    """The real ones would want wheels of 40 MB; these take every path with one of 300 KB."""
    remote_file.TAIL = 20 << 10
    remote_file.KEPT = 40 << 10
    remote_file.WHOLE = 60 << 10
    remote_wheel.GAP, remote_wheel.JOB = 1 << 10, 30 << 10
    http.BLOCK = inflate.FAR_STEP = inflate.STEP = 8 << 10
    for module in (hasher, view):
        vars(module)["PIECE"] = 4 << 10
    stream.WHOLE, stream.RECENT = 40 << 10, 8 << 10
    stream.HEAD = stream.TAIL = 2 << 10


def a_wheel(*, mostly: bool) -> tuple[bytes, bytes]:
    """One that is fetched as a whole, or in parts, and its METADATA, which comes first."""
    text = b"Metadata-Version: 2.1\nName: made\nVersion: 1.0\n"
    data = {} if mostly else {"made/data.bin": noise(200 << 10)}
    library = LIBRARY + noise(60 << 10)
    members = {"made-1.0.dist-info/METADATA": text, "made/a.so": library, **data}
    wheel = make_wheel({**members, "made/b.so": library}, "made")
    with zipfile.ZipFile(BytesIO(wheel)) as archive:
        return wheel, archive.read("made-1.0.dist-info/METADATA")


def reading(server: HostileServer, names: Names) -> tuple[RemoteFile, Callable[[], Evidence]]:
    """The wheel of a server, and how to read it; the client is left when it was read."""
    client = Http(Access(), LIMITS)
    url = f"http://127.0.0.1:{server.port}/made-1.0-py3-none-any.whl"
    stated = hashlib.sha256(server.metadata).hexdigest()
    file = RemoteFile(client, url, "made", None, hashlib.sha256(server.data).hexdigest())
    wanted = Wanted(
        lambda _: names, Progress(), stated, lambda: served_metadata(client, url, stated)
    )

    def read() -> Evidence:
        try:
            return read_wheel(file, wanted)
        finally:
            client.close()

    return file, read


def one(server: HostileServer, seed: int, honest: Evidence) -> str:
    """One behaviour; what came of it."""
    server.behave(seed)
    began = time.monotonic()
    file, read = reading(server, names_of(seed))
    try:
        found = read()
    except SartorError as error:
        outcome = error.code
    else:
        hashed = file.sha256 is not None and not file.read_again
        outcome = "read, hashed" if hashed else "read"
        if hashed and found != msgspec.structs.replace(honest, target=found.target):
            raise AssertionError(f"seed {seed}: other evidence under the right hash")
    if time.monotonic() - began > SECONDS:
        raise AssertionError(f"seed {seed}: {time.monotonic() - began:.1f} s")
    return outcome


def names_of(seed: int) -> Names:
    """Every third behaviour is met with a request for all names."""
    return "none" if seed % 3 else "all"


def settled() -> bool:
    """Whether the threads of the readers end."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if not [t for t in threading.enumerate() if t.name in {"receive", "sha256"}]:
            return True
        time.sleep(0.05)
    return False


def resident_mib() -> int:
    """What this process has in memory now; a leak grows it from one thousand to the next."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (pages * resource.getpagesize()) >> 20


def fuzz(count: int, first: int = 0) -> dict[str, object]:
    """So many behaviours; raises `AssertionError` at the first that is not met as it should be."""
    small_limits()
    outcomes: Counter[str] = Counter()
    slowest, before = 0.0, 0
    resident: list[int] = []
    with hostile(*a_wheel(mostly=True)) as whole, hostile(*a_wheel(mostly=False)) as parts:
        honest: dict[tuple[int, Names], Evidence] = {}
        for server in (whole, parts):
            server.behave_well()
            for names in NAMES:
                honest[server.port, names] = reading(server, names)[1]()
        for number in range(count):
            server = (whole, parts)[number % 2]
            began = time.monotonic()
            seed = first + number
            outcome = one(server, seed, honest[server.port, names_of(seed)])
            slowest = max(slowest, time.monotonic() - began)
            outcomes[outcome] += 1
            if number == count // 10:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
            if number % 1000 == 999:
                sys.stderr.flush()
                resident.append(resident_mib())
                said = f"{dict(outcomes)} slowest {slowest:.2f} s, {resident[-1]} MiB"
                sys.stderr.write(f"{number + 1} {said}\n")
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
        "resident_mib_each_1000": resident,
    }


def keep(behaviours: int, first: int = 0) -> None:
    """Run, with the log and the result where those of the other heavy tests are."""
    sys.path.insert(0, str(BENCHMARKS))
    from timing import write_result

    name = "heavy/hostile_servers"
    began = time.monotonic()
    with (BENCHMARKS / f"results/{name}.log").open("w", encoding="utf-8") as log:
        sys.stderr = log
        found = fuzz(behaviours, first)
    command = f"tests/hostile_readings.py {behaviours} {first} --keep"
    extra = {"script": command, "log": "hostile_servers.log"}
    write_result(name, PROVES, {**extra, **found, "seconds": round(time.monotonic() - began)})


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word != "--keep"] or [50_000]
    if "--keep" in sys.argv:
        keep(*numbers)
    else:
        sys.stdout.write(json.dumps(fuzz(*numbers), indent=2) + "\n")
