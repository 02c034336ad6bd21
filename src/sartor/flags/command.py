"""A command line as somebody types it → the engine's own words, and the environment around them."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from sartor.errors import UsageError
from sartor.flags.facts import containers, readers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.flags.facts import ReaderFact

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
BETWEEN = frozenset({"&&", ";", "||", "|", "&"})
ENVIRONMENT = ("-e", "--env")


class Start(NamedTuple):
    """Where an engine's own words begin: its facts, and the place of the first of them."""

    fact: ReaderFact
    place: int


class CommandLine(NamedTuple):
    """``words`` are the options and what they are given, ``before`` what stands ahead of these.

    ``environment`` are the variables that are set for it, in their order.
    """

    engine: str
    before: list[str]
    words: list[str]
    environment: dict[str, str]


def parse_command(text: str, engine: str) -> CommandLine:
    """Take a command line apart; ``engine`` is the one meant where it does not say.

    Takes `vllm serve`, `python -m module`, `docker run … image args`, variables ahead of a command,
    `export`, line continuations and the shell's quotes. Raises `UsageError` where quotes are left
    open, or it starts another engine.
    """
    try:
        lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words = list(lexer)
    except ValueError as error:
        raise UsageError(
            f"the command line cannot be taken apart: {error}",
            hint="put it into single quotes as a whole; JSON in it into double ones",
        ) from error
    environment: dict[str, str] = {}
    for part in _parts(words):
        found = _start(part)
        set_here = _variables(part if found is None else part[: found.place])
        environment |= set_here
        if found is not None:
            return _of_engine(found, part, environment, engine)
        if _is_options(part):
            return CommandLine(engine, [], part, environment)
        image = _image(part)
        if image is not None:
            return CommandLine(engine, part[: image + 1], part[image + 1 :], environment)
    if environment:
        return CommandLine(engine, [], [], environment)
    raise UsageError(
        "no engine is started there",
        found=[f"read: {' '.join(words)[:120]}"],
        hint=f"write the command as it is typed: `{readers()[0].commands[0]} MODEL --option value`",
    )


def _of_engine(
    found: Start, part: list[str], environment: dict[str, str], engine: str
) -> CommandLine:
    if found.fact.engine != engine:
        raise UsageError(
            f"the command line starts {found.fact.engine}, and is checked against {engine}",
            hint=f"name a version of {found.fact.engine}, or translate it first (`--translate`)",
        )
    return CommandLine(engine, part[: found.place], part[found.place :], environment)


def engine_of(text: str) -> str | None:
    """The engine that a command line starts; None where it does not say."""
    try:
        words = shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError:
        return None
    found = _start(words)
    return None if found is None else found.fact.engine


def _parts(words: Sequence[str]) -> list[list[str]]:
    """The commands that the shell would run one after the other."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word in BETWEEN:
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def _start(words: Sequence[str]) -> Start | None:
    """Where the engine's own words begin; None where no engine is named."""
    for place, word in enumerate(words):
        for fact in readers():
            for command in fact.commands:
                own = command.split()
                here = [word.rpartition("/")[2], *words[place + 1 : place + len(own)]]
                if here == own:
                    return Start(fact, place + len(own))
            if word == "-m" and words[place + 1 : place + 2] and words[place + 1] in fact.modules:
                return Start(fact, place + 2)
    return None


def _variables(words: Sequence[str]) -> dict[str, str]:
    """The variables that are set: ``A=b command``, ``export A=b``, ``docker run -e A=b``."""
    found: dict[str, str] = {}
    in_container = bool(_container(words))
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        text = word.partition("=")[2] if word.startswith("--env=") else word
        if in_container and not (before in ENVIRONMENT or word.startswith("--env=")):
            continue
        match = ASSIGNMENT.fullmatch(text)
        if match is not None:
            found[match[1]] = match[2]
    return found


def _is_options(words: Sequence[str]) -> bool:
    """Whether these are an engine's options alone: all that is ahead of them sets variables."""
    rest = [word for word in words if not ASSIGNMENT.fullmatch(word) or word.startswith("-")]
    return bool(rest) and rest[0].startswith("-") and words[0] == rest[0]


def _container(words: Sequence[str]) -> int | None:
    """The place after ``docker run`` and its like."""
    for place in range(len(words) - 1):
        name = words[place].rpartition("/")[2]
        if any(name in row.programs and words[place + 1] == "run" for row in containers()):
            return place + 2
    return None


def _image(words: Sequence[str]) -> int | None:
    """The place of the image that ``docker run`` starts; None where there is none."""
    place = _container(words)
    if place is None:
        return None
    alone = {flag for row in containers() for flag in row.flags}
    while place < len(words):
        word = words[place]
        if not word.startswith("-"):
            return place
        takes = not ("=" in word or word in alone or _is_cluster(word, alone))
        place += 2 if takes else 1
    return None


def _is_cluster(word: str, alone: set[str]) -> bool:
    """Several short flags in one word: ``-it``."""
    return not word.startswith("--") and all(f"-{c}" in alone for c in word[1:])
