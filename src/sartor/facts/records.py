"""Files that are not as their RECORD says, and in order: `facts/records.toml`, read once."""

from __future__ import annotations

from functools import cache

from sartor.facts import Fact, read_table

FILE = "records.toml"


class WrongRecordFact(Fact, frozen=True):
    """One release, and its files' sha256 as published, where its RECORD has others."""

    distribution: str
    version: str
    files: dict[str, str]


def published(distribution: str, version: str) -> dict[str, str]:
    """The sha256 of the files of a release whose RECORD is wrong, by their path in it."""
    rows = wrong_records()
    return next(
        (r.files for r in rows if (r.distribution, r.version) == (distribution, version)), {}
    )


@cache
def wrong_records() -> tuple[WrongRecordFact, ...]:
    """Every such release."""
    return read_table(FILE, "wrong_record", WrongRecordFact)


class AddedToFact(Fact, frozen=True):
    """Files to which tools of the machine's add, by their path in the wheel."""

    files: list[str]


@cache
def added_to() -> frozenset[str]:
    """Every such file."""
    rows = read_table(FILE, "added_to", AddedToFact)
    return frozenset(file for row in rows for file in row.files)
