"""What wheels declare: METADATA without the rest of the wheel, kept by its sha256 and address."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sartor.artifact.metadata import MOST_METADATA, read_package
from sartor.artifact.source import Invalid
from sartor.errors import SartorError
from sartor.plan.known import Unread
from sartor.remote.address import address_digest

if TYPE_CHECKING:
    from sartor.artifact.model import Package
    from sartor.catalog.clients import Clients
    from sartor.index.wheels import IndexFile
    from sartor.kept import KeptFiles
    from sartor.remote.members import WheelMembers


class Declared:
    """Gives the package that a wheel declares. Of several threads each may ask.

    The text comes from the file that the index serves beside the wheel (PEP 658), held against the
    hash that it states; else out of the wheel, by range. A wheel is never fetched as a whole. The
    text of a sha256 does not change; kept is it for the address too, for who states that sha256 of
    other bytes is not to speak for the true ones.
    """

    def __init__(self, clients: Clients, kept: KeptFiles) -> None:
        self._clients = clients
        self._kept = kept

    def package(self, file: IndexFile) -> Package | Unread:
        """The package as its METADATA declares it; raises nothing."""
        parts = urlsplit(file.url)
        if not file.name.endswith(".whl"):
            return Unread(f"`{file.name}` is no wheel, so that it declares nothing without a build")
        name = f"{file.sha256}-{address_digest(file.url)}" if file.sha256 else None
        text = self._kept.get(name) if name and parts.scheme != "file" else None
        if text is None:
            try:
                text = self._read(file, parts.scheme)
            except SartorError as error:
                return Unread(error.message)
            except (Invalid, OSError) as fault:
                return Unread(f"`{file.name}` cannot be read: {fault}")
            if text is None:
                return Unread(f"`{file.name}` has no METADATA")
            if name and parts.scheme != "file":
                self._kept.put(name, text)
        return declared(file.name, text)

    def _read(self, file: IndexFile, scheme: str) -> bytes | None:
        from sartor.remote.members import local_members, remote_members

        if scheme == "file":
            return metadata_of(local_members(file.url))
        client = self._clients(file.url)
        if file.metadata_sha256:
            from sartor.remote.served import served_metadata

            text = served_metadata(client, file.url, file.metadata_sha256)
            if text is not None:
                return text
        from sartor.remote.file import RemoteFile

        remote = RemoteFile(client, file.url, file.name, file.size, file.sha256)
        remote.in_parts = True
        return metadata_of(remote_members(remote))


def metadata_of(members: WheelMembers) -> bytes | None:
    """The METADATA of a wheel; None where it has none."""
    own = (n for n in members.names if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
    name = next(own, None)
    return None if name is None else (members.read(name) or b"")[:MOST_METADATA]


def declared(file_name: str, text: bytes) -> Package:
    """The package of a METADATA; its tags are those of the wheel's name."""
    stem = "-".join(file_name.removesuffix(".whl").split("-")[:2])
    return read_package(f"{stem}.dist-info", text, file_name=file_name).package
