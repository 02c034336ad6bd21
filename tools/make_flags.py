"""Make the snapshot of options that is shipped: `python tools/make_flags.py [--again]`.

Every release on the configured index from an engine's first version on is read, several at once;
those that the snapshot has already, as today's reader would write them, are taken over, so that it
may be stopped and run again. The same wheels give the same file.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sartor.errors import SartorError
from sartor.flags.facts import readers
from sartor.flags.fetch import Asked, Flags
from sartor.flags.model import OptionSet
from sartor.flags.reader import READER_VERSION
from sartor.flags.snapshot import SNAPSHOT, open_snapshot, packed
from sartor.paths import write_atomically
from sartor.reporter import Silent

THREADS = 2


def wanted() -> list[Asked]:
    """Every release, by engine, package and version."""
    with Flags(None, Silent()) as flags:
        return [
            Asked(project, str(version))
            for row in readers()
            for project in row.platforms
            for version in flags.versions(project)
        ]


def read(asked: Asked) -> OptionSet | str:
    """The options of one release, or why there are none."""
    try:
        with Flags(None, Silent()) as flags:
            found = flags.get(asked, again=True)
    except SartorError as error:
        return f"{asked}: {error.message}"
    print(f"{asked}: {len(found.options)} options, {len(found.variables)} variables", flush=True)
    return found


def main() -> int:
    """Read what is not there yet, write the file; 1 where a release could not be read."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--again", action="store_true", help="read every release anew")
    arguments.add_argument("--out", type=Path, default=SNAPSHOT)
    options = arguments.parse_args()
    there = None if options.again else open_snapshot(options.out)
    found: dict[Asked, OptionSet | str | None] = {}
    for asked in wanted():
        last = there.get(asked.project, asked.version) if there else None
        found[asked] = last if last is not None and last.reader == READER_VERSION else None
    missing = [asked for asked, one in found.items() if one is None]
    with ThreadPoolExecutor(THREADS) as pool:
        found |= dict(zip(missing, pool.map(read, missing), strict=True))
    sets = [one for one in found.values() if isinstance(one, OptionSet)]
    write_atomically(options.out, packed(sets))
    failed = [one for one in found.values() if isinstance(one, str)]
    print("\n".join([f"{len(sets)} releases in {options.out}", *failed]))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
