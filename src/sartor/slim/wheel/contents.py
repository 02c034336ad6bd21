"""A wheel that is to be slimmed: its members, its metadata, and whether it may be changed."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor.artifact.inflate import inflate, pieces
from sartor.artifact.members import path_fault, shown
from sartor.artifact.metadata import headers
from sartor.artifact.record import Recorded, read_record
from sartor.artifact.source import Invalid, Source
from sartor.artifact.zip import DEFLATED, METHODS, STORED, ZipMember, ZipMembers
from sartor.errors import NotSlimmableError
from sartor.facts.records import published
from sartor.slim.former import lost, told
from sartor.slim.licence import Forbidden, may_be_changed
from sartor.slim.wheel.archive import Entry, entries
from sartor.slim.wheel.name import parse_name
from sartor.slim.wheel.provenance import FILE, SlimmedWheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.slim.choice import Wanted

VARIANT = "variant.json"
SIGNATURES = ("RECORD.jws", "RECORD.p7s")
OWN = (FILE, VARIANT, "RECORD")
"""What a slimmed wheel has at its end, in this order."""
AFTER_INSTALLING = "install it as it is, and slim the environment"


class Contents(msgspec.Struct, frozen=True):
    """What is known of a wheel before its members are read.

    ``info`` is the folder of its metadata, ``recorded`` what RECORD says of each file,
    ``published`` the sha256 of files of which it is known to say something else.
    """

    source: Source
    members: ZipMembers
    entries: list[Entry]
    info: str
    texts: dict[str, bytes]
    recorded: dict[str, Recorded]
    published: dict[str, str]
    before: SlimmedWheel | None = None

    def path(self, name: str) -> str:
        """Where a file of the metadata is."""
        return f"{self.info}/{name}"

    def plain(self, member: ZipMember) -> Iterator[bytes]:
        """A member's bytes in blocks, of one that is stored or deflated; raises `Invalid`."""
        compressed = pieces(self.source, self.members.data_at(member), member.compressed)
        return compressed if member.method == STORED else inflate(compressed, member.name)


def read_contents(source: Source, name: str) -> Contents:
    """The wheel in ``source``, whose file is called ``name``; raises `Invalid` where it is none."""
    members = ZipMembers(source)
    listed = entries(source, members)
    for entry in listed:
        why = _fault(members, entry.member)
        if why:
            at = entry.member.offset
            raise Invalid(source.name, at, f"its member `{shown(entry.member.name)}`: {why}")
    by_name = {entry.member.name: entry.member for entry in listed}
    info = _info(source, by_name)
    texts = {
        text: _text(members, by_name[f"{info}/{text}"])
        for text in ("METADATA", "WHEEL", "RECORD", FILE, VARIANT)
        if f"{info}/{text}" in by_name
    }
    record = read_record(texts["RECORD"])
    if record.faults:
        raise Invalid(source.name, by_name[f"{info}/RECORD"].offset, f"RECORD: {record.faults[0]}")
    recorded = {one.path: one for one in record.files}
    absent = next((path for path in recorded if path not in by_name), None)
    if absent is not None:
        raise Invalid(source.name, 0, f"RECORD lists `{shown(absent)}`, which is not in the wheel")
    parts = parse_name(name)
    known = published(parts.distribution.lower(), parts.version)
    before = _before(source, texts.get(FILE))
    return Contents(source, members, listed, info, texts, recorded, known, before)


def _fault(members: ZipMembers, member: ZipMember) -> str | None:
    """Why a member cannot even be copied."""
    if member.name.endswith("/"):
        return path_fault(member.name.rstrip("/"))
    if member.method not in {STORED, DEFLATED}:  # it is copied as it is compressed
        member = replace(member, method=DEFLATED)
    return members.fault(member)


def unread(member: ZipMember) -> str | None:
    """Why nothing is known of a member's bytes; None where they are read."""
    if member.method in {STORED, DEFLATED}:
        return None
    method = METHODS.get(member.method, str(member.method))
    return (
        f"`{shown(member.name)}` is compressed with {method}: it is copied, and was not looked at"
    )


def _info(source: Source, by_name: dict[str, ZipMember]) -> str:
    found = {
        posixpath.dirname(name)
        for name in by_name
        if name.endswith(".dist-info/RECORD") and name.count("/") == 1
    }
    if len(found) != 1:
        raise Invalid(source.name, 0, f"a wheel has one RECORD, and this has {len(found)}")
    (info,) = found
    for text in ("METADATA", "WHEEL"):
        if f"{info}/{text}" not in by_name:
            raise Invalid(source.name, 0, f"it has no `{info}/{text}`: it is no wheel")
    return info


def _text(members: ZipMembers, member: ZipMember) -> bytes:
    """A text, whole; raises `Invalid`, its checksum's fault among them."""
    source = members.member_source(member)
    return source.read(0, source.size)


def _before(source: Source, data: bytes | None) -> SlimmedWheel | None:
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=SlimmedWheel)
    except msgspec.DecodeError as error:
        raise Invalid(
            source.name, 0, f"its `{FILE}` is not one of this Sartor's: {error}"
        ) from error


def check_allowed(contents: Contents, name: str, wanted: Wanted) -> None:
    """Raises `NotSlimmableError` where the wheel may not be changed, or lacks what is wanted."""
    fields = headers(contents.texts["METADATA"], contents.info, [])
    refuse_forbidden(name, parse_name(name).distribution, *fields.get("name", []))
    signed = next((text for text in SIGNATURES if _has(contents, text)), None)
    if signed:
        raise NotSlimmableError(
            f"`{name}` is signed (`{signed}`): changed, its signature would not hold",
            hint=AFTER_INSTALLING,
        )
    if contents.before is None and VARIANT in contents.texts:
        raise NotSlimmableError(
            f"`{name}` is a variant wheel (PEP 825): what it is for is its maker's to say",
            hint=AFTER_INSTALLING,
        )
    _check_former(contents.before, name, wanted)


def refuse_forbidden(name: str, *projects: str) -> None:
    """Raises `NotSlimmableError` where a licence forbids to change the wheel of a project."""
    for project in projects:
        decision = may_be_changed(project)
        if isinstance(decision, Forbidden):
            raise NotSlimmableError(
                f"`{name}` is left as it is: {decision.because}",
                found=[f"source: {decision.source}"],
                hint="install it as it is; an index (`--index`) takes it as it is",
            )


def _has(contents: Contents, text: str) -> bool:
    return any(entry.member.name == contents.path(text) for entry in contents.entries)


def _check_former(before: SlimmedWheel | None, name: str, wanted: Wanted) -> None:
    if before is None:
        return
    what = lost(before.gpus, wanted, keep_ptx=before.keep_ptx)
    if what is not None:
        raise NotSlimmableError(
            told(name, before.gpus, what),
            hint=f"slim its source: `{before.source.name}`, sha256 {before.source.sha256}",
        )
