"""A wheel on a server, read where it is: its directory, then what matters of it.

Where most of the file matters, or the server gives no ranges, the whole of it goes by, and its
sha256 is checked. Else only the members that matter are fetched, several at a time, each held
against its CRC-32 and against what the wheel's RECORD says of it.
"""

from __future__ import annotations

import base64
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.members import is_library, matters
from sartor.artifact.metadata import MOST_RECORD
from sartor.artifact.model import Evidence, NotRead
from sartor.artifact.reading import Progress, Walk
from sartor.artifact.source import BytesSource, Invalid
from sartor.artifact.zip import ZipMembers
from sartor.errors import ArtifactUnreadableError
from sartor.remote import file as remote_file
from sartor.remote.room import LARGE, ROOM, Room
from sartor.remote.view import HashedView, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.reading import NamesWanted
    from sartor.artifact.source import Source
    from sartor.artifact.zip import ZipMember
    from sartor.remote.file import RemoteFile

MOST_OF_IT = 0.75
"""From this part of the file on, all of it is fetched: the rest is the price of its hash."""
THREADS = 3
GAP, JOB = 256 << 10, 8 << 20
"""Small members that lie together are one request."""
ARCHIVE = (b"PK\3\4", b"PK\5\6")


class Wanted(NamedTuple):
    """What a wheel's reading needs besides the file. ``metadata_sha256``: the index's word."""

    names: NamesWanted
    progress: Progress
    metadata_sha256: str | None = None


def read_wheel(file: RemoteFile, wanted: Wanted) -> Evidence:
    """What a wheel holds; raises the errors of `RemoteFile`, and `ArtifactUnreadableError`."""
    file.look()
    walk = Walk(wanted.names, wanted.progress, file.name)
    try:
        with closing(View(file)) as view:
            directory: Source = view if file.whole is None else BytesSource(file.whole, file.name)
            archive = ZipMembers(directory)
        chosen = list(archive.chosen(matters))
        notes = _read(file, archive, chosen, walk)
    except Invalid as fault:
        raise unreadable(file, fault) from fault
    packages = walk.packages()
    _check_metadata(file, walk, wanted.metadata_sha256)
    return Evidence(
        target=file.name,
        kind="wheel" if any(m.name.endswith(".dist-info/METADATA") for m in chosen) else "zip",
        size=file.size,
        sha256=file.sha256 or file.stated_sha256,
        packages=packages,
        libraries=sorted(walk.libraries, key=lambda library: library.path),
        not_read=[*archive.not_read, *walk.not_read, *notes],
    )


def _read(
    file: RemoteFile, archive: ZipMembers, chosen: Sequence[ZipMember], walk: Walk
) -> list[NotRead]:
    needed = sum(m.compressed for m in chosen)
    if file.whole is not None:
        source = BytesSource(file.whole, file.name)
        for member in chosen:
            _meet(walk, archive, member, source)
        return []
    everything = file.ranges == "not given" or file.size <= remote_file.WHOLE
    if everything or needed >= MOST_OF_IT * file.size:
        return _read_whole(file, archive, chosen, walk)
    _read_parts(file, archive, chosen, walk)
    why = (
        f"{file.fetched} of its {file.size} bytes were fetched, so its sha256 was not checked; "
        "each file that was read was held against its checksums in the wheel"
    )
    return [NotRead(file.name, why)]


def _read_whole(
    file: RemoteFile, archive: ZipMembers, chosen: Sequence[ZipMember], walk: Walk
) -> list[NotRead]:
    """Everything goes by once, in its order; what is read again is not hashed again."""
    notes = []
    with closing(HashedView(file)) as view:
        for member in chosen:
            _meet(walk, archive, member, view)
        file.found_sha256(view.finish())
        if view.again:
            why = "for more names of kernels, parts were fetched again; these were not hashed again"
            notes.append(NotRead(file.name, why))
    if file.ranges == "not given":
        why = (
            f"its server gives no ranges: {file.fetched} bytes were fetched of a file of "
            f"{file.size}, which was read twice, for its directory is at its end"
        )
        notes.append(NotRead(file.name, why))
    return notes


def _read_parts(
    file: RemoteFile, archive: ZipMembers, chosen: Sequence[ZipMember], walk: Walk
) -> None:
    """The members alone, several jobs at a time; what they give comes in the wheel's order."""
    room = Room(ROOM)
    jobs = _jobs(archive, chosen)
    digests: dict[str, bytes] = {}

    def work(job: Sequence[ZipMember]) -> Walk:
        end = max(archive.end_of(m) for m in job)
        mine = walk.another()
        with closing(View(file, job[0].offset, end)) as view:
            for member in job:
                digest = hashlib.sha256()
                with room.taking(min(member.size, LARGE)):
                    if _meet(mine, archive, member, view, digest):
                        digests[member.name] = digest.digest()
        return mine

    pool = ThreadPoolExecutor(THREADS)
    try:
        for done in [pool.submit(work, job) for job in jobs]:
            walk.join(done.result())
    except BaseException:
        file.leave()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    _hold_against_record(walk, digests)


def _jobs(archive: ZipMembers, chosen: Sequence[ZipMember]) -> list[list[ZipMember]]:
    """Members in the order of the file; those that are small and lie together are one job."""
    jobs: list[list[ZipMember]] = []
    end = size = 0
    for member in chosen:
        near = member.offset - end <= GAP
        if jobs and near and size + member.compressed <= JOB:
            jobs[-1].append(member)
        else:
            jobs.append([member])
            size = 0
        size += member.compressed
        end = archive.end_of(member)
    return jobs


def _meet(
    walk: Walk,
    archive: ZipMembers,
    member: ZipMember,
    through: Source,
    digest: hashlib._Hash | None = None,
) -> bool:
    """Read one member to its end; False where it cannot be: nothing is kept of it then."""
    before = len(walk.libraries)
    try:
        source = archive.streamed(member, through, digest)
        walk.meet(member.name, source)
        source.finish()
    except Invalid as fault:
        del walk.libraries[before:]
        note = NotRead(member.name, fault.reason, fault.offset)
        if note not in walk.not_read:
            walk.not_read.append(note)
        return False
    return True


def _hold_against_record(walk: Walk, digests: dict[str, bytes]) -> None:
    """Take out each library whose bytes are not those that the wheel's RECORD states."""
    stated: dict[str, str] = {}
    for texts in walk.texts.values():
        stated |= recorded_sha256(texts.get("RECORD", b""))
    kept = []
    for library in walk.libraries:
        found = base64.urlsafe_b64encode(digests.get(library.path, b"")).rstrip(b"=").decode()
        if stated.get(library.path, found) == found:
            kept.append(library)
        else:
            why = "its sha256 is not the one that the wheel's RECORD states: it is not judged"
            walk.not_read.append(NotRead(library.path, why))
    walk.libraries[:] = kept


def recorded_sha256(record: bytes) -> dict[str, str]:
    """The sha256 (URL-safe base64 without padding) of each library that a RECORD lists."""
    found = {}
    for raw in io.BytesIO(record[:MOST_RECORD]):
        parts = raw.decode("utf-8", "replace").strip().rsplit(",", 2)
        if len(parts) == 3 and parts[1].startswith("sha256="):
            path = parts[0].strip('"')
            if is_library(path):
                found[path] = parts[1].removeprefix("sha256=").rstrip("=")
    return found


def _check_metadata(file: RemoteFile, walk: Walk, stated: str | None) -> None:
    """The wheel's METADATA is the one that the index serves beside it, where it states its hash."""
    texts = [t["METADATA"] for t in walk.texts.values() if "METADATA" in t]
    if stated is None or len(texts) != 1:
        return
    if hashlib.sha256(texts[0]).hexdigest() != stated:
        raise file.untrusted("its METADATA is not the one whose sha256 the index states")


def unreadable(file: RemoteFile, fault: Invalid) -> ArtifactUnreadableError:
    """The file came, and is no archive that holds together."""
    return ArtifactUnreadableError(
        f"`{file.address}` cannot be read: {fault.reason}",
        found=[str(fault)],
        hint="what is read from an address is a wheel; one that is damaged is so on its server",
    )
