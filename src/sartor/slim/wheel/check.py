"""A slimmed wheel is read again before it gets its name, as any wheel is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.inflate import inflate, pieces
from sartor.artifact.record import read_record
from sartor.artifact.zip import STORED, ZipMember, ZipMembers
from sartor.slim.wheel.contents import OWN
from sartor.slim.wheel.texts import Stored

if TYPE_CHECKING:
    from collections.abc import Collection
    from concurrent.futures import ThreadPoolExecutor

    from sartor.artifact.source import Source
    from sartor.slim.wheel.contents import Contents

COMPARED = 1 << 20
TOGETHER = 64
"""Members that one thread compares before it takes others."""


class _Both(msgspec.Struct, frozen=True):
    """A member of the new wheel, and of the old one where it is copied from there."""

    new: ZipMember
    old: ZipMember | None
    stored: Stored | None


def wheel_fault(
    contents: Contents,
    written: Source,
    changed: dict[str, Stored],
    pool: ThreadPoolExecutor,
    gone: Collection[str] = (),
) -> str | None:
    """What is wrong with the wheel that was ``written``; None where nothing is.

    ``changed`` has what RECORD must say of the members that are new; those that are ``gone`` must
    be nowhere, and all others there, in their order, with the same compressed bytes. Raises
    `Invalid` where it cannot be read.
    """
    members = ZipMembers(written)
    own = {contents.path(name) for name in OWN}
    left = {*own, *gone}
    old = {e.member.name: e.member for e in contents.entries if e.member.name not in left}
    new = {member.name: member for member in members.members}
    ends = [contents.path(name) for name in OWN]
    if [*new] != [*old, *ends]:
        return "it has other members than it should have"
    pairs = [
        _Both(member, None if name in changed or name in own else old[name], changed.get(name))
        for name, member in new.items()
    ]
    batches = [pairs[i : i + TOGETHER] for i in range(0, len(pairs), TOGETHER)]

    def first_fault(batch: list[_Both]) -> str | None:
        faults = (_member_fault(contents, members, written, both) for both in batch)
        return next((fault for fault in faults if fault is not None), None)

    found = next((fault for fault in pool.map(first_fault, batches) if fault is not None), None)
    if found is not None:
        return found
    source = members.member_source(new[contents.path("RECORD")])
    return _record_fault(contents, source.read(0, source.size), changed, gone)


def _member_fault(
    contents: Contents, members: ZipMembers, written: Source, both: _Both
) -> str | None:
    start, size = members.data_at(both.new), both.new.compressed
    if both.old is not None:
        was, now = both.old, both.new
        at = contents.members.data_at(was)
        same = (was.crc, was.size, was.compressed, was.method) == (
            now.crc,
            now.size,
            size,
            now.method,
        )
        blocks = range(0, size, COMPARED)
        if same and all(
            contents.source.read(at + i, min(COMPARED, size - i))
            == written.read(start + i, min(COMPARED, size - i))
            for i in blocks
        ):
            return None
        return f"`{now.name}` is not as it was"
    if both.stored is None:
        return None
    digest, count = hashlib.sha256(), 0
    blocks_ = pieces(written, start, size)
    for block in blocks_ if both.new.method == STORED else inflate(blocks_, both.new.name):
        digest.update(block)
        count += len(block)
    if (digest.digest(), count) != (both.stored.sha256, both.stored.size):
        return f"`{both.new.name}` is not what was planned"
    return None


def _record_fault(
    contents: Contents, data: bytes, changed: dict[str, Stored], gone: Collection[str]
) -> str | None:
    record = read_record(data)
    if record.faults:
        return f"its RECORD: {record.faults[0]}"
    now = {one.path: one for one in record.files}
    for path, what in changed.items():
        if (now[path].digest, now[path].size) != (what.sha256, what.size):
            return f"its RECORD says something else of `{path}`"
    if any(path in now for path in gone):
        return "its RECORD names a file that was left out"
    others = {*gone, *changed, *(contents.path(name) for name in OWN)}
    kept = [path for path in contents.recorded if path not in others]
    if any(now.get(path) != contents.recorded[path] for path in kept):
        return "its RECORD says something else of a file that stayed"
    return None
