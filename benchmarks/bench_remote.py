"""`sartor inspect PROJECT==VERSION` against curl and isal, over the network, in the same run.

The peer knows where the members are: it asks for nothing but their bytes, by range, and inflates
them when they have come. Rounds take turns, for a mirror's cache and the network change. Both begin
with nothing. Then the same with what the first call kept: a second call, as a whole process.

usage: python benchmarks/bench_remote.py [REQUIREMENT] [ROUNDS]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from isal import isal_zlib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from timing import interleaved, write_result

from sartor.artifact.members import matters
from sartor.artifact.zip import LOCAL, ZipMembers
from sartor.index.sources import access, index_sources
from sartor.index.wheels import Fits, choose
from sartor.remote.file import RemoteFile
from sartor.remote.http import Http
from sartor.remote.indexes import Indexes
from sartor.remote.listings import Listings
from sartor.remote.view import View
from sartor.reporter import Silent

MEMORY = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL,"
    " stderr=subprocess.DEVNULL, check=True);"
    " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
AGAIN = ((), ("--python", "3.12"), ("--gpu", "rtx-5090"))
Stretch = tuple[str, int, int, list[tuple[int, int]]]
"""Address, first and last byte, and the deflated members in it: where they begin, how long."""


def stretches(requirement: str) -> list[Stretch]:
    """What the peer fetches: each member that matters, those that lie together as one range."""
    sources = index_sources()
    http = Http(access(sources))
    wanted = Requirement(requirement)
    indexes = Indexes(sources, lambda: http, Listings(None, Silent()), Silent())
    listed = indexes.files(canonicalize_name(wanted.name))
    found: list[Stretch] = []
    for wheel in choose(wanted, listed, Fits()).wheels:
        file = RemoteFile(http, wheel.url, wheel.name)
        file.look()
        archive = ZipMembers(View(file))
        for member in archive.chosen(matters):
            begin, end = member.offset, archive.end_of(member)
            header = LOCAL.unpack(View(file, begin, end).read(begin, LOCAL.size))
            data = begin + LOCAL.size + header[-1] + header[-2]
            if found and found[-1][0] == wheel.url and found[-1][2] + 1 == begin:
                url, start, _, members = found.pop()
                found.append((url, start, end - 1, [*members, (data - start, member.compressed)]))
            else:
                found.append((wheel.url, begin, end - 1, [(data - begin, member.compressed)]))
    http.close()
    return found


def curl_and_isal(wanted: list[Stretch]) -> float:
    """One curl for all ranges, on one connection; then each member through isal, and dropped."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        config = Path(folder) / "config"
        lines = []
        for number, (url, first, last, _) in enumerate(wanted):
            lines += [f'url = "{url}"', f'output = "{folder}/{number}"', f"range = {first}-{last}"]
            lines += ["next"] if number + 1 < len(wanted) else []
        config.write_text("\n".join(lines))
        began = time.perf_counter()
        subprocess.run(["curl", "-sSfL", "-K", str(config)], check=True)
        for number, (_, _, _, members) in enumerate(wanted):
            data = memoryview((Path(folder) / str(number)).read_bytes())
            for start, size in members:
                machine = isal_zlib.decompressobj(-15)
                machine.decompress(data[start : start + size])
        return time.perf_counter() - began


def inspect_seconds(requirement: str) -> float:
    """The whole command, start of Python and index included."""
    began = time.perf_counter()
    argv = [sys.executable, "-m", "sartor", "inspect", requirement, "--no-store", "--json"]
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def again(requirement: str, rounds: int) -> dict[str, dict[str, float]]:
    """Second calls, as a user makes them, after one that read what they ask for."""
    with tempfile.TemporaryDirectory() as home:
        variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        variables["SARTOR_HOME"] = home

        def call(*options: str) -> float:
            argv = [sys.executable, "-m", "sartor", "inspect", requirement, *options]
            began = time.perf_counter()
            subprocess.run(
                argv,
                env=variables,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            return time.perf_counter() - began

        call(*AGAIN[-1])
        return interleaved({" ".join(o) or "plain": partial(call, *o) for o in AGAIN}, rounds)


def main() -> None:
    """Measure, write the result, print it."""
    requirement = sys.argv[1] if len(sys.argv) > 1 else "vllm==0.32.0"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    wanted = stretches(requirement)
    argv = [sys.executable, "-m", "sartor", "inspect", requirement, "--no-store", "--json"]
    printed = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    seconds = interleaved(
        {
            "curl, then isal": partial(curl_and_isal, wanted),
            f"sartor inspect {requirement}": partial(inspect_seconds, requirement),
        },
        rounds,
    )
    peer, ours = seconds.values()
    kib = subprocess.run(
        [sys.executable, "-c", MEMORY, *argv], capture_output=True, text=True, check=True
    ).stdout
    write_result(
        "remote",
        ["src/sartor/remote", "src/sartor/artifact", "src/sartor/inspection.py"],
        {
            "requirement": requirement,
            "rounds": rounds,
            "seconds": seconds,
            "ratios": {
                "ours / peer, median": round(ours["median"] / peer["median"], 2),
                "ours / peer, min": round(ours["min"] / peer["min"], 2),
            },
            "second_call_seconds": again(requirement, 4 * rounds),
            "wanted": {"ours / peer": 1.3, "peak_mib": 300, "second_call_seconds": 0.4},
            "peak_mib": round(int(kib) / 1024, 1),
            "wheels": [
                {k: one.get(k) for k in ("target", "size", "fetched_bytes")}
                for one in printed.get("inspections", [printed])
            ],
            "peer_bytes": sum(last - first + 1 for _, first, last, _ in wanted),
        },
    )


if __name__ == "__main__":
    main()
