"""A wheel on a server, read where it is: its directory, then what matters of it.

Where most of the file matters, or the server gives no ranges, the whole of it goes by, and its
sha256 is checked. Else only the members that matter are fetched, several at a time, each held
against its CRC-32 and against what the wheel's RECORD says of it.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.members import is_library, matters
from sartor.artifact.metadata import MOST_RECORD
from sartor.artifact.model import Evidence, NotRead
from sartor.artifact.reading import Progress, Walk
from sartor.artifact.record import digest_text
from sartor.artifact.source import BytesSource, Invalid
from sartor.artifact.zip import ZipMembers
from sartor.errors import ArtifactUnreadableError
from sartor.remote import file as remote_file
from sartor.remote.room import LARGE, ROOM, Room
from sartor.remote.view import HashedView, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    """What a wheel's reading needs besides the file.

    ``metadata_sha256`` is the index's word on its METADATA; ``metadata`` fetches the file that
    the index serves beside the wheel (PEP 658), held against that, or gives None where it is not
    there. ``whole``: the whole wheel is fetched, so that its hash is checked.
    """

    names: NamesWanted
    progress: Progress
    metadata_sha256: str | None = None
    metadata: Callable[[], bytes | None] = lambda: None
    whole: bool = False


def read_wheel(file: RemoteFile, wanted: Wanted) -> Evidence:
    """What a wheel holds; raises the errors of `RemoteFile`, and `ArtifactUnreadableError`.

    What there is to say of how it came here, `how_it_came` says afterwards.
    """
    file.look()
    walk = Walk(wanted.names, wanted.progress, file.name)
    try:
        with closing(View(file)) as view:
            directory: Source = view if file.whole is None else BytesSource(file.whole, file.name)
            archive = ZipMembers(directory)
        chosen = list(archive.chosen(matters))
        _read(file, archive, chosen, walk, wanted)
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
        libraries=walk.found_libraries(),
        not_read=[*archive.not_read, *walk.not_read],
    )


def how_it_came(file: RemoteFile) -> list[NotRead]:
    """What a reader should know of the way that a file was read; nothing where all is well."""
    notes = []
    if file.sha256 is None:
        notes.append(
            f"{file.fetched} of its {file.size} bytes were fetched, so its sha256 was not checked; "
            "each file that was read was held against its checksums in the wheel"
        )
    if file.read_again:
        notes.append(
            "for more names of kernels, parts were fetched again; these were not hashed again"
        )
    if file.ranges == "not given" and file.whole is None:
        notes.append(
            f"its server gives no ranges: {file.fetched} bytes were fetched of a file of "
            f"{file.size}, which was read twice, for its directory is at its end"
        )
    return [NotRead(file.name, why) for why in notes]


def _read(
    file: RemoteFile,
    archive: ZipMembers,
    chosen: Sequence[ZipMember],
    walk: Walk,
    wanted: Wanted,
) -> None:
    needed = sum(m.compressed for m in chosen)
    if file.whole is not None:
        source = BytesSource(file.whole, file.name)
        for member in chosen:
            _meet(walk, archive, member, source)
        return
    everything = wanted.whole or file.ranges == "not given" or file.size <= remote_file.WHOLE
    if everything or needed >= MOST_OF_IT * file.size:
        _read_whole(file, archive, chosen, walk)
    else:
        _read_parts(file, archive, chosen, walk, wanted.metadata)


def _read_whole(
    file: RemoteFile, archive: ZipMembers, chosen: Sequence[ZipMember], walk: Walk
) -> None:
    """Everything goes by once, in its order; what is read again is not hashed again."""
    with closing(HashedView(file)) as view:
        for member in chosen:
            _meet(walk, archive, member, view)
        file.found_sha256(view.finish())
        file.read_again = view.again


def _read_parts(
    file: RemoteFile,
    archive: ZipMembers,
    chosen: Sequence[ZipMember],
    walk: Walk,
    metadata: Callable[[], bytes | None],
) -> None:
    """The members alone, several jobs at a time; what they give comes in the wheel's order.

    A METADATA that does not lie in the tail, which is here, is taken from the file that the index
    serves beside the wheel; `_check_metadata` and the RECORD say whether that is the same.
    """
    room = Room(ROOM)
    far = [m for m in chosen if _is_main_metadata(m) and m.offset < file.size - len(file.tail)]
    served = metadata() if len(far) == 1 else None
    if served is not None:
        folder, name = posixpath.split(far[0].name)
        walk.texts[folder] = {name: served}
        chosen = [m for m in chosen if m is not far[0]]
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

    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="member")
    try:
        for done in [pool.submit(work, job) for job in jobs]:
            walk.join(done.result())
    except BaseException:
        file.leave()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    _hold_against_record(walk, digests)
    if served is not None:
        _hold_metadata_against_record(file, walk, far[0].name, served)


def _is_main_metadata(member: ZipMember) -> bool:
    return member.name.endswith(".dist-info/METADATA") and member.name.count("/") == 1


def _hold_metadata_against_record(file: RemoteFile, walk: Walk, path: str, served: bytes) -> None:
    """The file that the index serves beside the wheel is the METADATA that is in the wheel."""
    folder = posixpath.dirname(path)
    stated = recorded_sha256(walk.texts[folder].get("RECORD", b""), lambda listed: listed == path)
    if stated.get(path) not in {None, digest_text(hashlib.sha256(served).digest())}:
        raise file.untrusted(
            "the METADATA that the index serves beside it is not the one that its RECORD states"
        )


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
        found = digest_text(digests.get(library.path, b""))
        if stated.get(library.path, found) == found:
            kept.append(library)
        else:
            why = "its sha256 is not the one that the wheel's RECORD states: it is not judged"
            walk.not_read.append(NotRead(library.path, why))
    walk.libraries[:] = kept


def recorded_sha256(record: bytes, wanted: Callable[[str], bool] = is_library) -> dict[str, str]:
    """The sha256, as `digest_text` has it, of each library (or other path) that a RECORD lists."""
    found = {}
    for raw in io.BytesIO(record[:MOST_RECORD]):
        parts = raw.decode("utf-8", "replace").strip().rsplit(",", 2)
        if len(parts) == 3 and parts[1].startswith("sha256="):
            path = parts[0].strip('"')
            if wanted(path):
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
