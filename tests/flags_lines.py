"""The command lines of `data/flags/lines.toml`, with what is to say of each."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

FILE = Path(__file__).parent / "data" / "flags" / "lines.toml"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One command line. ``wrong`` are the states of its parts that are not ``ok``.

    ``proof`` are triples: a release, a file of it, and a shell command that succeeds over that.
    """

    engine: str
    command: str
    proof: list[tuple[str, str, str]]
    wrong: dict[str, str] = {}
    since: str | None = None
    replacement: str | None = None
    closest: str | None = None
    because: str | None = None


def cases() -> list[Case]:
    """All of them."""
    return msgspec.convert(tomllib.loads(FILE.read_text("utf-8"))["case"], list[Case])
