"""Which files that by their names are of no use something else in the package names all the same.

A library that is linked with one has its name among its needs, and code that opens one by its path
has the name, or a glob for it (``glob("infllm_ops*.so")``). Such a file stays, whoever it is for.
"""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sartor.slim.unused import Unused

ARCHIVES = (b"!<arch>\n", b"!<thin>\n")
"""What static archives begin with."""
SOURCES = re.compile(r"\.(?:py|cmake|pc|la)$")
"""Python's sources, and what tells builds which archives to link."""
NAMING = re.compile(SOURCES.pattern + r"|\.so(?:\.[\d.]+)?$")
"""The same, and libraries."""
LOADERS = (
    b"load_library",
    b"spec_from_file_location",
    b"ExtensionFileLoader",
    b"CDLL",
    b"LoadLibrary",
    b"load_dynamic",
)
"""What loads a library or a module by its path."""
GLOB = re.compile(rb"""["']([^"'\n]*[*?\[][^"'\n]*)["']""")
LETTER = re.compile(r"[A-Za-z]")


def settled(
    found: list[Unused], files: Iterable[str], read: Callable[[str], Iterator[bytes]]
) -> list[Unused]:
    """The files that were ``found`` by their names, those with their namer that may not go.

    ``files`` are all of the package, and ``read`` gives one's bytes in blocks. Libraries are read
    where files would be removed, sources too where modules are for one Python of several. An
    archive that is none is left out.
    """
    found = [one for one in found if one.kind != "archives" or _is_archive(read(one.path))]
    asked = [one for one in found if one.removable or one.kind == "one-interpreter"]
    names = {one.path: posixpath.basename(one.path) for one in asked}
    if not names:
        return found
    ends = SOURCES if not any(one.removable for one in asked) else NAMING
    naming = {path: _named(path, set(names.values()), read) for path in files if ends.search(path)}
    by: dict[str, str] = {}
    while fresh := {
        one: path
        for one, name in names.items()
        for path, named in naming.items()
        if one not in by and name in named and path != one and (path not in names or path in by)
    }:
        by |= fresh
    return [
        replace(one, removable=False, named_by=by[one.path]) if one.path in by else one
        for one in found
    ]


def _is_archive(blocks: Iterator[bytes]) -> bool:
    head = b""
    for block in blocks:
        head += block
        if len(head) >= len(ARCHIVES[0]):
            break
    return head.startswith(ARCHIVES)


def _named(path: str, names: set[str], read: Callable[[str], Iterator[bytes]]) -> set[str]:
    """Which of the names a file has; in Python's sources a glob for one is as good."""
    if SOURCES.search(path):
        text = b"".join(read(path))
        found = {name for name in names if name.encode() in text}
        if any(loader in text for loader in LOADERS):
            globs = {_last(match[1]) for match in GLOB.finditer(text)}
            found |= {n for n in names for glob in globs if fnmatchcase(n, glob)}
        return found
    words = {name: name.encode() for name in names}
    most = max(map(len, words.values()))
    found, end = set(), b""
    for block in read(path):
        data = end + block
        found |= {name for name, word in words.items() if name not in found and word in data}
        end = data[-most:]
    return found


def _last(glob: bytes) -> str:
    """The part of a glob that is for names; nothing where it takes all names."""
    last = posixpath.basename(glob.decode("utf-8", "replace"))
    return last if LETTER.search(last) else ""
