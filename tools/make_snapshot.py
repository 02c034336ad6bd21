"""Make the snapshot that is shipped: `python tools/make_snapshot.py LIST FOLDER… [--out FILE]`.

LIST is a TOML file with a row ``[[wheel]]`` for each release: ``requirement`` (`vllm==0.32.0`),
``python`` (`3.12`) and ``machines`` (`["x86_64", "aarch64"]`). The wheels are looked for in the
folders, and read; one that is not there is named, and the status is 1. Rows that the snapshot has
already, as today's readers would write them, are taken over. The same rows give the same file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from pathlib import Path

import msgspec
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from sartor.evidence.actions import scan
from sartor.evidence.snapshot import SNAPSHOT, open_snapshot
from sartor.evidence.store import open_store
from sartor.paths import Places, write_atomically
from sartor.report.evidence import evidence_lines
from sartor.reporter import Silent

NEWEST_GLIBC_MINOR = 45


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One release: of each machine the first wheel that its Python installs."""

    requirement: str
    python: str = "3.12"
    machines: tuple[str, ...] = ("x86_64",)


class WantedList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole list."""

    wheel: list[Wanted]


def find(wanted: Wanted, machine: str, folders: list[Path]) -> Path | None:
    """The wheel for one machine: the one with the best tag, and of these the last by name."""
    order = {tag: i for i, tag in enumerate(supported(wanted.python, machine))}
    requirement = Requirement(wanted.requirement)
    found: list[tuple[int, str, Path]] = []
    for file in (file for folder in folders for file in folder.glob("*.whl")):
        try:
            name, version, _, tags = parse_wheel_filename(file.name)
        except InvalidWheelFilename:
            continue
        best = min((order[tag] for tag in tags if tag in order), default=None)
        fits = name == canonicalize_name(requirement.name) and version in requirement.specifier
        if fits and best is not None:
            found.append((-best, file.name, file))
    return max(found)[2] if found else None


def supported(python: str, machine: str) -> list[Tag]:
    """Every tag that a CPython on that machine installs, the best first."""
    version = tuple(int(part) for part in python.split("."))
    minors = [f"manylinux_2_{n}_{machine}" for n in range(NEWEST_GLIBC_MINOR, 4, -1)]
    platforms = [*minors, f"manylinux2014_{machine}", f"linux_{machine}"]
    own = list(cpython_tags(version, platforms=platforms))
    return [*own, *compatible_tags(version, platforms=platforms)]


def make(wheels: list[Path], out: Path) -> list[str]:
    """Write the snapshot of these wheels; what of them failed is in the lines."""
    with tempfile.TemporaryDirectory() as folder:
        places = Places(Path(folder))
        taken_over(places, out)
        document = scan(places, sorted(map(str, wheels)), Silent())
        kept = {row.sha256 for row in document.rows}
        own = open_store(places.evidence, make=False)
        fresh = open_store(Path(folder) / "fresh.sqlite")
        if own is None or fresh is None:
            raise SystemExit("no store was made")
        new = Path(folder) / "new.sqlite"
        with own, fresh:
            for row in own.rows():
                if row.sha256 in kept:
                    fresh.put(row)
            fresh.copy_to(new)
        write_atomically(out, new.read_bytes())
    return evidence_lines(document)


def taken_over(places: Places, out: Path) -> None:
    """Put the rows of the last snapshot that are as good as new into the store."""
    last, own = open_snapshot(out), open_store(places.evidence)
    if own is not None and last is not None:
        with own, last:
            for row in last.rows():
                if row.is_current:
                    own.put(row)


def main() -> int:
    """Find, read, write; 1 where a wheel of the list is not in the folders, or failed."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("list", type=Path)
    arguments.add_argument("folders", type=Path, nargs="+")
    arguments.add_argument("--out", type=Path, default=SNAPSHOT)
    options = arguments.parse_args()
    wanted = msgspec.convert(tomllib.loads(options.list.read_text("utf-8")), WantedList)
    wheels, missing = [], []
    for one in wanted.wheel:
        for machine in one.machines:
            file = find(one, machine, options.folders)
            if file is None:
                missing.append(f"{one.requirement} for {machine}, Python {one.python}")
            else:
                wheels.append(file)
    lines = make(wheels, options.out)
    print("\n".join([*lines, *(f"not there: {text}" for text in missing)]))
    return int(bool(missing) or any(line.startswith("failed") for line in lines))


if __name__ == "__main__":
    sys.exit(main())
