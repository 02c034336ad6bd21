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

from sartor.artifact.members import ELF

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from sartor.slim.unused import Unused

ARCHIVES = (b"!<arch>\n", b"!<thin>\n")
"""What static archives begin with."""
LIBRARY = re.compile(r"\.so(?:\.[\d.]+)?$|(?:^|/)[^./]+$")
"""Libraries, and what may be programs by their names."""
SOURCE = re.compile(r"\.(?:py|cmake|pc|la)$")
"""Python's sources, and what tells builds which archives to link."""
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
    where modules would be removed, sources where archives would, and where modules are for one
    Python of several. An archive that is none is left out.
    """
    found = [one for one in found if one.kind != "archives" or _is_archive(read(one.path))]
    asked = [one for one in found if one.removable or one.kind == "one-interpreter"]
    names = {one.path: posixpath.basename(one.path) for one in asked}
    if not names:
        return found
    modules = {names[one.path] for one in asked if one.removable and one.kind != "archives"}
    naming = {path: _in_source(read(path), names.values()) for path in files if SOURCE.search(path)}
    if modules:
        libraries = (path for path in files if LIBRARY.search(path))
        naming |= {path: _in_library(read(path), modules) for path in libraries}
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


def _in_source(blocks: Iterator[bytes], names: Collection[str]) -> set[str]:
    """Which of the names a text has, or a glob for them where it loads what it finds."""
    text = b"".join(blocks)
    found = {name for name in names if name.encode() in text}
    if any(loader in text for loader in LOADERS):
        globs = {_last(match[1]) for match in GLOB.finditer(text)}
        found |= {name for name in names for glob in globs if fnmatchcase(name, glob)}
    return found


def _in_library(blocks: Iterator[bytes], names: Collection[str]) -> set[str]:
    """Which of the names are among the bytes of a library or program; none in another file."""
    words = {name: name.encode() for name in names}
    start, most = _start(words.values()), max(map(len, words.values()))
    found, end = set(), b""
    for number, block in enumerate(blocks):
        if number == 0 and not block.startswith(ELF):
            return set()
        data = end + block
        if start in data:
            found |= {name for name, word in words.items() if word in data}
        end = data[-most:]
    return found


def _start(words: Collection[bytes]) -> bytes:
    """What all of them begin with: one search tells that none of them is there."""
    low, high = min(words), max(words)
    same = (number for number, pair in enumerate(zip(low, high, strict=False)) if len({*pair}) > 1)
    return low[: next(same, len(low))]


def _last(glob: bytes) -> str:
    """The part of a glob that is for names; nothing where it takes all names."""
    last = posixpath.basename(glob.decode("utf-8", "replace"))
    return last if LETTER.search(last) else ""
