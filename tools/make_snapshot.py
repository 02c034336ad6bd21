"""Make the snapshot that is shipped: `python tools/make_snapshot.py [--list FILE] [--out FILE]`.

The list, `tools/snapshot.toml`, has a row ``[[wheel]]`` for each project: its ``versions``, the
``machines`` (`["x86_64", "aarch64"]`) and the ``python`` (`3.12`) whose wheels are meant. They are
read where they are, on the configured indexes; nothing of them is kept on the disk.

A row that today's readers and facts would write as it is, is taken over, once the index states its
sha256. What was read lies beside the snapshot, in the folder `.snapshot-work`, until all was read:
a run that was ended goes on where it was. Where a wheel fails, it is named, the
snapshot is written with the rest, and the status is 1. The same rows give the same file.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from sartor.errors import SartorError
from sartor.evidence.fit import fitted
from sartor.evidence.reading import Asked
from sartor.evidence.row import packed, plain, row_of
from sartor.evidence.snapshot import SNAPSHOT, open_snapshot
from sartor.evidence.store import open_store
from sartor.index.wheels import Fits, IndexFile, why_not
from sartor.paths import human_bytes, write_atomically
from sartor.remote.targets import Keeping, Remotes
from sartor.reporter import Silent
from sartor.verdict.dispatch import wants_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sartor.artifact.model import Evidence
    from sartor.artifact.reading import Names, NamesWanted
    from sartor.evidence.row import Row
    from sartor.evidence.store import Store

LIST = Path(__file__).with_name("snapshot.toml")
WORK = ".snapshot-work"
JOBS = 3
WHOLE = Keeping(whole=True)
"""The hash of each wheel is computed: what is shipped answers for files of anybody."""
LEVEL = 19
"""Of zstd: an eighth less than the store's, and ten times slower."""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wheels of some versions of a project, those that one Python installs on each machine."""

    project: str
    versions: list[str]
    python: str = "3.12"
    machines: tuple[str, ...] = ("x86_64", "aarch64")


class WantedList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole list."""

    wheel: list[Wanted]


class Release(NamedTuple):
    """What is asked of an index at a time; as a rule that is one wheel."""

    project: str
    version: str
    fits: Fits

    def __str__(self) -> str:
        return f"{self.project} {self.version} for {self.fits.architecture}"

    def has(self, name: str) -> bool:
        """Whether the wheel of that name is one of it."""
        project, version, _, _ = parse_wheel_filename(name)
        meant = (canonicalize_name(self.project), Version(self.version))
        return (project, version) == meant and why_not(IndexFile(name, ""), self.fits) is None


def releases(path: Path = LIST) -> list[Release]:
    """What the list asks for."""
    wanted = msgspec.convert(tomllib.loads(path.read_text("utf-8")), WantedList)
    return [
        Release(one.project, version, Fits(machine, None, one.python))
        for one in wanted.wheel
        for version in one.versions
        for machine in one.machines
    ]


def names(path: str) -> Names:
    """As `sartor inspect` wants them of a library for a GPU."""
    return "one" if wants_names(path) else "none"


def is_good(row: Row) -> bool:
    """Whether the row answers what `sartor inspect` asks, as reading the wheel now would."""
    return fitted(row, row.evidence(), row.name, names) is not None


def read(release: Release, work: Path) -> list[str]:
    """Read what is not known of a release into the store; a line for each wheel."""

    def known(sha256: str, _: NamesWanted) -> Evidence | None:
        row = own.get(sha256)
        if row is None or not is_good(row):
            return None
        taken_over.append(sha256)
        return row.evidence()

    lines: list[str] = []
    taken_over: list[str] = []
    own = opened(work)
    with own, closing(Remotes(Silent(), known=known, keeping=WHOLE)) as remotes:
        asked = Asked(names)
        requirement = Requirement(f"{release.project}==={release.version}")
        for reading in remotes.read(requirement, asked, release.fits):
            row = row_of(of_the_bytes(reading.evidence), asked.level)
            if row.sha256 in taken_over:
                lines.append(f"known   {row.name}")
                continue
            own.put(smallest(row))
            fetched = human_bytes(reading.fetched_bytes or 0)
            lines.append(f"read    {row.name}, {fetched} of {human_bytes(row.size)}")
    return lines


def smallest(row: Row) -> Row:
    """The row with its document packed as small as it goes: made once, and shipped often."""
    return msgspec.structs.replace(row, document=packed(plain(row.document, row.name), LEVEL))


def of_the_bytes(evidence: Evidence) -> Evidence:
    """The evidence without notes on how it came here, and on wheels that were left aside."""
    notes = [note for note in evidence.not_read if not note.path.endswith(".whl")]
    return msgspec.structs.replace(evidence, not_read=notes)


def read_all(asked: Iterable[Release], work: Path, jobs: int) -> Iterator[tuple[bool, str]]:
    """Read several at once; lines in the order of the list, and whether each is good news."""

    def one(release: Release) -> tuple[bool, list[str]]:
        try:
            return True, read(release, work)
        except SartorError as error:
            return False, [f"failed  {release}: {error.message}", *error.found]

    pool = ThreadPoolExecutor(jobs)
    try:
        for good, lines in pool.map(one, asked):
            yield from ((good, line) for line in lines)
    finally:
        pool.shutdown(cancel_futures=True)


def opened(path: Path) -> Store:
    """The store at ``path``, which can be written."""
    store = open_store(path)
    if store is None:
        raise SystemExit(f"no store was made at {path}")
    store.check_writable()
    return store


def take_over(out: Path, work: Path) -> None:
    """Put the rows of the last snapshot that are as good as new into the working store."""
    last = open_snapshot(out)
    with opened(work) as own:
        if last is not None:
            with last:
                for row in last.rows():
                    if is_good(row):
                        own.put(row)


def write(out: Path, work: Path, asked: list[Release]) -> list[Row]:
    """Write those rows that are good and asked for; what was written."""
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "new.sqlite"
        with opened(work) as own, opened(Path(folder) / "fresh.sqlite") as fresh:
            kept = [row for row in own.rows() if any(r.has(row.name) for r in asked)]
            kept = [row for row in kept if is_good(row)]
            for row in kept:
                fresh.put(row)
            fresh.copy_to(new)
        data = new.read_bytes()
        if not out.is_file() or out.read_bytes() != data:
            write_atomically(out, data)
    return kept


def lacking(asked: Iterable[Release], rows: Sequence[Row]) -> list[str]:
    """The releases of which there is no row."""
    return [str(release) for release in asked if not any(release.has(row.name) for row in rows)]


def make(asked: list[Release], out: Path = SNAPSHOT, jobs: int = JOBS) -> Iterator[str]:
    """Make the snapshot; lines that say what was done, those of failures with ``failed``."""
    work = out.with_name(WORK) / "store.sqlite"
    take_over(out, work)
    failed = False
    for good, line in read_all(asked, work, jobs):
        failed = failed or not good
        yield line
    rows = write(out, work, asked)
    yield f"{len(rows)} wheels, {human_bytes(out.stat().st_size)}: {out}"
    yield from (f"failed  {text}: there is no row" for text in lacking(asked, rows) if not failed)
    if not failed:
        shutil.rmtree(work.parent)


def main() -> int:
    """Make it, and say what failed; 1 where something did."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--list", type=Path, default=LIST)
    arguments.add_argument("--out", type=Path, default=SNAPSHOT)
    arguments.add_argument("--jobs", type=int, default=JOBS, help="wheels that are read at once")
    options = arguments.parse_args()
    status = 0
    for line in make(releases(options.list), options.out, options.jobs):
        print(line, flush=True)
        status = 1 if line.startswith("failed") else status
    return status


if __name__ == "__main__":
    sys.exit(main())
