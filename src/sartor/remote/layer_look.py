"""A look at a layer's beginning and end, by range: some kilobytes of what may be gigabytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from sartor.artifact.image import plain_tar
from sartor.artifact.members import GZIP_MAGIC
from sartor.artifact.source import Invalid
from sartor.artifact.tar import TarReader
from sartor.remote.layer_plan import Look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.tar import TarMember
    from sartor.remote.file import RemoteFile

BEGINNING = 32 << 10
SIZE_FIELD = struct.Struct("<I")
"""The last field of a gzip file: its plain size, modulo 4 GiB."""
MOST_MEMBERS = 1000


def look_at(file: RemoteFile) -> Look:
    """The members that begin in the first `BEGINNING` bytes, and what gzip says of the size.

    Raises what `RemoteFile.stream` raises.
    """
    before = file.fetched
    beginning = b"".join(file.stream(0, min(BEGINNING, file.size)))
    members = list(_members(iter([beginning]), file.name))
    plain_size = None
    if beginning.startswith(GZIP_MAGIC) and members:
        last = b"".join(file.stream(file.size - SIZE_FIELD.size, file.size))
        plain_size = SIZE_FIELD.unpack(last)[0]
    return Look(members, plain_size, file.fetched - before)


def _members(stored: Iterator[bytes], name: str) -> Iterator[TarMember]:
    try:
        reader = TarReader(plain_tar(stored, name), name)
        for count, member in enumerate(reader.members()):
            if count == MOST_MEMBERS:
                return
            yield member
    except Invalid:  # as far as it reaches
        return
