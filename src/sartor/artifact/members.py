"""What a target is made of: files with names, whose bytes are read one after another.

An archive with a directory, a stream that only goes forward and a folder look the same to whoever
walks them, so that one reader serves wheels, images and environments.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, Protocol

from sartor.artifact import fatbin
from sartor.artifact.elf import Machine
from sartor.artifact.ptx import SNIFFED, looks_like_ptx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.artifact.model import NotRead
    from sartor.artifact.source import Source

FileKind = Literal["elf", "cubin", "fatbin", "ptx"]

LIBRARY = re.compile(r"[^/]\.so(\.[0-9][\w.]*)?$|[^/]\.(cubin|fatbin|ptx)$")
LIBRARY_WORDS = (".so", ".cubin", ".fatbin", ".ptx")
SLIMMED = "sartor-slim/slimmed.json"
"""What was slimmed in an environment, in its folder; see `sartor.artifact.slimmed`."""
METADATA = re.compile(
    r"[^/]\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|sartor\.json)$"
    rf"|(^|/){re.escape(SLIMMED)}$"
)
PROGRAM = re.compile(r"(^|/)s?bin/[^/.]+$")

MOST_TEXT = 64 << 20
"""Of a metadata file; the RECORD of the largest wheel known has some 3 MB."""
MOST_LIBRARY = 16 << 30
MOST_PLAIN = 64 << 30
"""All files of one archive or layer together, inflated: what bounds the time that it can take."""
MOST_PATH = 4096

ELF = b"\x7fELF"
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
ELF_HEADER = 64
FATBIN = fatbin.MAGIC.to_bytes(4, "little")


class Members(Protocol):
    """The files of one target. ``not_read`` grows while it is walked."""

    not_read: list[NotRead]

    def walk(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Source]]:
        """Each regular file whose path is ``wanted``, with its bytes.

        Paths are relative, separated by ``/``, and printable. A source is valid until the next
        step. What one file lacks raises `Invalid` from its source; what the whole lacks raises it
        from here, and then all that was yielded is void.
        """

    def close(self) -> None:
        """Give back what is open."""


def is_library(path: str) -> bool:
    """Whether a file of that name is a shared library, or a file of device code."""
    # What is quick first, for it is asked of every file.
    likely = path.endswith(LIBRARY_WORDS) or ".so." in path
    return likely and LIBRARY.search(path) is not None


def is_metadata(path: str) -> bool:
    """Whether the path is of a file that says what a distribution is, or what was slimmed."""
    likely = ".dist-info/" in path or path.endswith(SLIMMED)
    return likely and METADATA.search(path) is not None


def is_program(path: str) -> bool:
    """Whether the path is that of a program, which may be linked with device code."""
    return PROGRAM.search(path) is not None


def matters(path: str) -> bool:
    """What is read of a package: its libraries and its metadata."""
    return is_library(path) or is_metadata(path)


def file_kind(source: Source) -> FileKind | None:
    """What the bytes are, by their first ones; None: nothing that holds code; or `Invalid`."""
    head = source.read(0, min(source.size, ELF_HEADER))
    if head.startswith(ELF):
        order: Literal["big", "little"] = "big" if head[5:6] == b"\2" else "little"
        return "cubin" if int.from_bytes(head[18:20], order) == Machine.CUDA else "elf"
    if head.startswith(FATBIN):
        return "fatbin"
    text = source.read(0, min(source.size, SNIFFED))
    return "ptx" if looks_like_ptx(text) else None


def most_bytes(path: str) -> int:
    """How large a file of that name may be, inflated, to be read."""
    return MOST_TEXT if is_metadata(path) else MOST_LIBRARY


def shown(name: str) -> str:
    """The name as it may stand in a message: nothing in it that a terminal or JSON would act on."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def path_fault(name: str) -> str | None:
    """Why a member's name is no path inside the archive; None where it is one."""
    if not name or len(name) > MOST_PATH:
        return f"its name has {len(name)} characters"
    if not name.isprintable():
        return "its name has characters that cannot be printed"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "its name is an absolute path"
    if "\\" in name:
        return "its name has a backslash in it"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "its name has empty, `.` or `..` parts"
    return None


class SingleFile:
    """One file, as the only member of itself."""

    def __init__(self, path: str, source: Source, close: Callable[[], None]) -> None:
        self.not_read: list[NotRead] = []
        self.close = close
        self._path = path
        self._source = source

    def walk(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Source]]:  # noqa: ARG002
        """The file, whatever it is called: it was asked for by name."""
        yield self._path, self._source
