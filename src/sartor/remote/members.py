"""Single members of a wheel, on a server or in a file here, without the rest of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sartor.artifact.source import FileSource, Invalid
from sartor.artifact.zip import ZipMembers
from sartor.remote.view import View
from sartor.remote.wheel import unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.artifact.source import Source
    from sartor.artifact.zip import ZipMember
    from sartor.remote.file import RemoteFile

NEAR = 256 << 10
"""Bytes between two members that are rather fetched than asked for twice."""
MOST_MEMBER = 8 << 20
"""Bytes of one member; the largest source file of an engine has some 300 KB."""


class WheelMembers:
    """A wheel's files by name, each held against its CRC-32. Raises as `RemoteFile` does.

    What is asked for by name is one request; `prefetch` gets many in few.
    """

    def __init__(self, archive: ZipMembers, view: Callable[[int, int], Source]) -> None:
        self._archive = archive
        self._view = view
        self._members = {m.name: m for m in archive.members if not m.name.endswith("/")}
        self._kept: dict[str, bytes] = {}

    @property
    def names(self) -> list[str]:
        """All files of the wheel, sorted."""
        return sorted(self._members)

    def read(self, name: str) -> bytes | None:
        """The bytes of one file; None where the wheel has none of that name."""
        member = self._members.get(name)
        if member is None:
            return None
        if name not in self._kept:
            self._fetch([member])
        return self._kept[name]

    def prefetch(self, wanted: Callable[[str], bool]) -> None:
        """Get every file that is wanted, those that lie together in one request."""
        near: list[ZipMember] = []
        for member in self._archive.chosen(lambda name: wanted(name) and name not in self._kept):
            if near and member.offset - self._archive.end_of(near[-1]) > NEAR:
                self._fetch(near)
                near = []
            near.append(member)
        if near:
            self._fetch(near)

    def _fetch(self, members: Iterable[ZipMember]) -> None:
        ordered = list(members)
        source = self._view(ordered[0].offset, self._archive.end_of(ordered[-1]))
        try:
            for member in ordered:
                self._kept[member.name] = self._plain(member, source)
        finally:
            if isinstance(source, View):
                source.close()

    def _plain(self, member: ZipMember, source: Source) -> bytes:
        why = self._archive.fault(member)
        if why or member.size > MOST_MEMBER:
            raise Invalid(member.name, member.offset, why or f"it has {member.size} bytes")
        stream = self._archive.streamed(member, source)
        data = stream.read(0, member.size)
        stream.finish()
        return data


def remote_members(file: RemoteFile) -> WheelMembers:
    """The members of a wheel on a server. Raises `ArtifactUnreadableError` for no wheel."""
    file.look()
    try:
        with closing(View(file)) as view:
            archive = ZipMembers(view)
    except Invalid as fault:
        raise unreadable(file, fault) from fault
    return WheelMembers(archive, lambda start, end: View(file, start, end))


def local_members(url: str) -> WheelMembers:
    """The members of a wheel in a file here (``file:``), which is read at once as it is needed."""
    source = FileSource(Path(unquote(urlsplit(url).path)))
    return WheelMembers(ZipMembers(source), lambda _, __: source)
