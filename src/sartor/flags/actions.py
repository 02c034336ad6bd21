"""What `sartor flags` does, one function for each of its forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from sartor.errors import UsageError
from sartor.flags.check import Case, check
from sartor.flags.command import parse_command
from sartor.flags.compare import compare
from sartor.flags.facts import reader_of
from sartor.flags.fetch import Asked, history, parse_engine
from sartor.flags.history import History
from sartor.flags.translate import Sides, translate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.flags.facts import ReaderFact
    from sartor.flags.fetch import Flags
    from sartor.flags.model import FlagFindings, OptionsDiff, OptionSet, Translation


class Checking(NamedTuple):
    """A command line, the engine's version it is for, the GPUs, and what it was written for."""

    command: str
    engine: str
    sm: tuple[str, ...] = ()
    written_for: str | None = None


def only(engines: Sequence[str]) -> str:
    """The one engine that is named; raises `UsageError` for several."""
    if len(engines) != 1:
        raise UsageError(
            "one version is shown or checked at a time",
            found=[f"named: {', '.join(engines)}"],
            hint="two are for `--translate COMMAND FROM TO`; to compare, `--diff OTHER`",
        )
    return engines[0]


def shown(flags: Flags, engine: str, word: str | None, *, again: bool = False) -> OptionSet:
    """The options and variables of a version; of a ``word`` those that have it."""
    found = flags.get(parse_engine(engine), again=again)
    if word is None:
        return found
    word = word.lower().replace("_", "-")
    return msgspec.structs.replace(
        found,
        options=[o for o in found.options if word in f"{o.names} {o.help}".lower()],
        variables=[v for v in found.variables if word in v.name.lower().replace("_", "-")],
    )


def compared(flags: Flags, engine: str, other: str) -> OptionsDiff:
    """What came, went and changed from the other version to this one."""
    asked = parse_engine(engine)
    return compare(flags.get(_other(asked, other)), flags.get(asked))


def checked(flags: Flags, asked: Checking) -> FlagFindings:
    """What is to say of a command line."""
    engine = parse_engine(asked.engine)
    case = _case(flags, engine)
    if asked.written_for is not None:
        case = case._replace(written_for=flags.get(_other(engine, asked.written_for)))
    line = parse_command(asked.command, case.known.engine)
    return check(line, case._replace(sm=asked.sm))


def translated(flags: Flags, command: str, engines: Sequence[str]) -> Translation:
    """A command line for another version or engine. Raises `UsageError` unless two are named."""
    if len(engines) != 2:
        raise UsageError(
            "a command line is translated from one version to another",
            found=[f"named: {', '.join(engines)}"],
            hint="`sartor flags --translate 'vllm serve …' vllm==0.10.0 vllm==0.32.0`",
        )
    before, after = (_case(flags, parse_engine(text)) for text in engines)
    return translate(parse_command(command, before.known.engine), Sides(before, after))


def _other(asked: Asked, text: str) -> Asked:
    """Another version of the same package, or one that is named as a whole."""
    return parse_engine(text if "=" in text else f"{asked.project}=={text}")


def _case(flags: Flags, asked: Asked) -> Case:
    known = flags.get(asked)
    return Case(known, History(history(_usual(known))), _fact(asked))


def _fact(asked: Asked) -> ReaderFact:
    row = reader_of(asked.project)
    if row is None:  # `parse_engine` lets no other through
        raise UsageError(f"`{asked.project}` is no engine whose flags are read")
    return row


def _usual(known: OptionSet) -> str:
    """The package whose releases tell when something came and went: the engine's own."""
    row = reader_of(known.project)
    return next(iter(row.platforms)) if row is not None else known.project
