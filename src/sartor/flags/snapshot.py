"""The options of all releases as they are shipped: each option once, each release by its numbers.

The file is one zstd frame of JSON, made by `tools/make_flags.py` and the same from the same
releases; addresses and dates are in it nowhere.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from sartor.flags.model import Option, OptionSet, Unread, Variable

SNAPSHOT = Path(__file__).parent / "snapshot.json.zst"
LEVEL = 19


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """One release: its options and variables by their places in the tables."""

    engine: str
    project: str
    version: str
    file: str
    sha256: str | None
    reader: int
    platform: str | None
    options: list[int]
    variables: list[int]
    not_read: list[int]

    def key(self) -> tuple[str, str]:
        """Project and version."""
        return self.project, self.version


class Snapshot(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.flags-snapshot/1"):
    """The tables and the releases, oldest first within a project.

    Options are decoded once a release is asked for.
    """

    options: list[msgspec.Raw]
    variables: list[msgspec.Raw]
    not_read: list[Unread]
    releases: list[Listed]

    def versions(self, project: str) -> list[str]:
        """The versions of a project, oldest first."""
        return [r.version for r in self.releases if r.project == project]

    def get(self, project: str, version: str) -> OptionSet | None:
        """One release; None where it is not in it."""
        listed = next((r for r in self.releases if r.key() == (project, version)), None)
        return None if listed is None else self._set(listed)

    def sets(self, project: str) -> list[OptionSet]:
        """All releases of a project, oldest first."""
        return [self._set(r) for r in self.releases if r.project == project]

    def _set(self, listed: Listed) -> OptionSet:
        return OptionSet(
            engine=listed.engine,
            project=listed.project,
            version=listed.version,
            file=listed.file,
            sha256=listed.sha256,
            reader=listed.reader,
            platform=listed.platform,
            options=[_option(bytes(self.options[i])) for i in listed.options],
            variables=[_variable(bytes(self.variables[i])) for i in listed.variables],
            not_read=[self.not_read[i] for i in listed.not_read],
        )


@cache
def _option(data: bytes) -> Option:
    return msgspec.json.decode(data, type=Option)


@cache
def _variable(data: bytes) -> Variable:
    return msgspec.json.decode(data, type=Variable)


@cache
def open_snapshot(path: Path = SNAPSHOT) -> Snapshot | None:
    """The releases that are shipped; None where this copy of Sartor has none."""
    import zstandard

    if not path.is_file():
        return None
    data = zstandard.ZstdDecompressor().decompress(path.read_bytes())
    return msgspec.json.decode(data, type=Snapshot)


def packed(sets: list[OptionSet]) -> bytes:
    """The file of these releases, in the order in which they are given."""
    import zstandard

    options: dict[bytes, int] = {}
    variables: dict[bytes, int] = {}
    notes: dict[Unread, int] = {}
    releases = [
        Listed(
            one.engine,
            one.project,
            one.version,
            one.file,
            one.sha256,
            one.reader,
            one.platform,
            [_place(options, msgspec.json.encode(o)) for o in one.options],
            [_place(variables, msgspec.json.encode(v)) for v in one.variables],
            [notes.setdefault(n, len(notes)) for n in one.not_read],
        )
        for one in sets
    ]
    whole = Snapshot(
        [msgspec.Raw(o) for o in options],
        [msgspec.Raw(v) for v in variables],
        list(notes),
        releases,
    )
    return zstandard.ZstdCompressor(LEVEL, write_checksum=True).compress(msgspec.json.encode(whole))


def _place(table: dict[bytes, int], data: bytes) -> int:
    return table.setdefault(data, len(table))
