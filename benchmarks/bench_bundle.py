"""A bundle installed in another root without a network, each file held against its digest.

`python benchmarks/bench_bundle.py LOCK --parts DIR --root ROOT --python PYTHON --host HOST` needs
to be root. DIR is where the bundle is made. ROOT is a root file system (debootstrap) with a Python
for `install.py`; what is in its `/opt/stack` goes. PYTHON is the path in it of the interpreter that
the lock is for. Every file that was installed is held against its wheel, each wheel against the
lock. The result is `benchmarks/results/bundle.json`, or `--result`.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path
from typing import IO

RESULTS = Path(__file__).parent / "results"
INSIDE = "/bundle"


def main() -> None:
    asked = arguments().parse_args()
    parts, root = Path(asked.parts), Path(asked.root)
    make = [sys.executable, "-m", "sartor", "bundle", asked.lock, "-o", str(parts), "--json"]
    make += ["--split", asked.split] + (["--there", asked.there] if asked.there else [])
    seconds: dict[str, float] = {}
    made = json.loads(timed(seconds, "make", make))
    again = json.loads(timed(seconds, "make again", make))
    inside = root / INSIDE[1:]
    inside.mkdir(exist_ok=True)
    shutil.rmtree(root / "opt" / "stack", ignore_errors=True)
    isolated = ["unshare", "--net", "--mount", "sh", "-ec"]
    enter = (
        f"mount --bind {parts} {inside}; exec chroot {root} env -i PATH=/usr/bin:/bin HOME=/root "
    )
    install = f"python3 {INSIDE}/install.py --to /opt/stack --python {asked.python}"
    timed(seconds, "check", [*isolated, f"{enter}python3 {INSIDE}/install.py --check"])
    command = [*isolated, f"{enter}{install} --host '{asked.host}'"]
    timed(seconds, "install", command)
    timed(seconds, "install again", command)
    files, faults = installed_faults(root, Path(asked.lock))
    result = RESULTS / f"{asked.result}.json"
    result.write_text(
        json.dumps(
            {
                "commit": commit(),
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                "proves": ["src/sartor/bundle", "src/sartor/bundling.py"],
                "what": f"{made['engine']} {made['version']} for {asked.host}",
                "members": made["members"],
                "parts": made["parts"],
                "left out": len(made["left_out"]),
                "notes": made["notes"],
                "bytes": made["bytes"],
                "digest": made["digest"],
                "same bytes twice": made["digest"] == again["digest"] and again["written"] == 0,
                "seconds": seconds,
                "held against the lock and the wheels": files,
                "faults": faults,
            },
            indent=1,
        )
        + "\n"
    )
    print(result.read_text())
    sys.exit(bool(faults))


def commit() -> str:
    argv = ["git", "-C", str(RESULTS), "rev-parse", "HEAD"]
    return subprocess.check_output(argv, text=True).strip()


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock")
    for name in ("--root", "--python", "--host", "--parts"):
        parser.add_argument(name, required=True)
    parser.add_argument("--split", default="60M")
    parser.add_argument("--there", help="what ROOT's interpreter has already")
    parser.add_argument("--result", default="bundle")
    return parser


def timed(seconds: dict[str, float], name: str, argv: list[str]) -> bytes:
    began = time.perf_counter()
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    seconds[name] = round(time.perf_counter() - began, 1)
    return done.stdout


def installed_faults(root: Path, lock: Path) -> tuple[dict[str, int], list[str]]:
    """Every locked wheel's digest, and every installed file against the bytes in its wheel.

    Wheels may have files of one name; then what is installed must be that of one of them. A RECORD
    is not asked: some are wrong.
    """
    locked = tomllib.loads((lock / "pylock.toml").read_text())["packages"]
    (site,) = root.glob("opt/stack/data/environments/[!.]*/lib/python*/site-packages")
    wanted: dict[str, set[str]] = {}
    wheels, faults = 0, []
    for package in locked:
        (row,) = package["wheels"]
        wheel = root / "opt/stack/bundle/wheels" / row["name"]
        if not wheel.is_file():
            continue  # the target was said to have it
        wheels += 1
        with wheel.open("rb") as file:
            if digest(file) != row["hashes"]["sha256"]:
                faults.append(f"{row['name']}: another sha256 than the lock's")
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not name.endswith(("/", "dist-info/RECORD")) and ".data/" not in name:
                    with archive.open(name) as member:
                        wanted.setdefault(name, set()).add(digest(member))
    for name, digests in wanted.items():
        path = site / name
        if not path.is_file():
            faults.append(f"{name}: missing")
            continue
        with path.open("rb") as file:
            if digest(file) not in digests:
                faults.append(f"{name}: other bytes than in its wheel")
    shared = sum(len(digests) > 1 for digests in wanted.values())
    return {"wheels": wheels, "files": len(wanted), "of several wheels": shared}, faults


def digest(file: IO[bytes]) -> str:
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


if __name__ == "__main__":
    main()
