"""Choose images out of libraries and put them, as they stand there, into one file to carry along.

usage: python collect.py FOLDER PART OUT.tar.xz

FOLDER holds wheels unpacked into folders named as in plan.jsonl beside this script; each of its
lines is ``{"part", "path", "most", "bytes", "whole"}``. Of a library the smallest images of each
sort (architecture, flags, ISA, header) are taken, ``most`` of a sort, until they hold ``bytes``;
``whole``: all its containers. A part is what travels at once to the machine with the GPU.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from gpu.images.fatbins import library_containers
from sartor.artifact.source import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.fatbin import Entry

Row = dict[str, object]
SMALL = 512 << 10


def chosen(entries: list[Entry], most: int, size: int) -> list[Entry]:
    """The smallest of each sort, round by round over the sorts, until ``size`` bytes are full."""
    sorts: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda e: e.size):
        sorts[entry.kind, entry.arch, entry.flags, entry.ptx_isa, entry.header_size].append(entry)
    found: list[Entry] = []
    for turn in range(most):
        for group in sorts.values():
            if turn < len(group) and (size > group[turn].size or _always(turn, group[turn])):
                found.append(group[turn])
                size -= group[turn].size
    return found


def _always(turn: int, entry: Entry) -> bool:
    """Whether it is taken though the budget is spent: the smallest of its sort, if small."""
    return turn == 0 and entry.size <= SMALL


def pieces(plan: Row, path: Path) -> Iterator[Row]:
    """What is taken of one library, in the words of the index."""
    found = list(library_containers(path))
    linked = {e.offset: relocatable for c, relocatable in found for e in c.entries}
    if plan.get("whole"):
        for each, relocatable in found:
            size = each.end - each.offset
            yield {"what": "container", "offset": each.offset, "size": size, "rdc": relocatable}
        return
    entries = [e for c, _ in found for e in c.entries]
    for e in chosen(entries, int(str(plan["most"])), int(str(plan["bytes"]))):
        size = e.header_size + e.size
        yield {"what": "entry", "offset": e.offset, "size": size, "rdc": linked[e.offset]}


def main() -> None:
    """Write the tar file: ``index.jsonl`` and ``data``."""
    index, data = io.StringIO(), io.BytesIO()
    folder, part = Path(sys.argv[1]), int(sys.argv[2])
    for line in Path(__file__).with_name("plan.jsonl").read_text("utf-8").splitlines():
        plan: Row = json.loads(line)
        path, before = folder / str(plan["path"]), data.tell()
        if plan["part"] != part:
            continue
        with FileSource(path) as source:
            for row in pieces(plan, path):
                placed = {"library": plan["path"], **row, "at": data.tell()}
                index.write(json.dumps(placed) + "\n")
                data.write(source.read(int(str(row["offset"])), int(str(row["size"]))))
        print(plan["path"], f"{(data.tell() - before) >> 10} KiB")  # noqa: T201
    with tarfile.open(sys.argv[3], "w:xz", preset=1) as out:
        for name, content in (
            ("index.jsonl", index.getvalue().encode()),
            ("data", data.getvalue()),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    main()
