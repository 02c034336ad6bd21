"""An engine's words as its parser takes them: options with their values, after argparse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from sartor.flags.model import Option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.flags.facts import ReaderFact
    from sartor.flags.model import OptionSet

NUMBER = re.compile(r"-\d+$|-\d*\.\d+$")
OPTIMIZATION = re.compile(r"-O=?(\w+)")
NO_VALUE = frozenset({"store_true", "store_false", "store_const", "append_const", "boolean"})
NO_VALUE_EITHER = frozenset({"count", "help", "version"})
FLAG_CLASS = re.compile(r"Store(?:True|False|Const)|Boolean", re.IGNORECASE)


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One option as it was typed. ``option`` is None where the engine has none of that name.

    ``name`` is the whole name it stands for; ``keys`` are the keys of ``--name.key.key``.
    ``fault`` says what its form lacks; ``abbreviated`` that argparse completes it.
    """

    typed: str
    name: str
    option: Option | None
    values: list[str]
    keys: list[str] = []
    fault: str | None = None
    abbreviated: bool = False


class Parsed(msgspec.Struct, frozen=True):
    """The options in their order, and the words that belong to none."""

    given: list[Given]
    positional: list[str]


def takes_no_value(option: Option) -> bool:
    """Whether nothing may follow the option."""
    if option.action in NO_VALUE | NO_VALUE_EITHER or option.nargs == 0:
        return True
    return option.nargs is None and bool(FLAG_CLASS.search(option.action))


def parse_words(words: Sequence[str], known: OptionSet, fact: ReaderFact) -> Parsed:
    """The words as the engine's parser would take them; what it would refuse is said of each."""
    given: list[Given] = []
    positional: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            positional += rest
            break
        if not is_option(word):
            positional.append(word)
            continue
        given.append(_one(word, rest, known, fact))
    return Parsed(given, positional)


def is_option(word: str) -> bool:
    """Whether argparse takes a word for an option, and not for a value."""
    return word.startswith("-") and len(word) > 1 and not NUMBER.match(word) and " " not in word


def _one(word: str, rest: list[str], known: OptionSet, fact: ReaderFact) -> Given:
    """One option, its values taken from the words that follow."""
    name, equals, attached = word.partition("=")
    if fact.underscores and name.startswith("--"):
        head, dot, tail = name.partition(".")
        name = head.replace("_", "-") + dot + tail
    optimization = OPTIMIZATION.fullmatch(word) if known.find("-O") else None
    if optimization and known.find(name) is None:
        option = known.find("--optimization-level") or known.find("-O")
        return Given(typed="-O", name="-O", option=option, values=[optimization[1]])
    name, *keys = name.rstrip("+").split(".") if fact.underscores else [name]
    option, abbreviated, fault = found_option(name, known)
    if option is None:
        values = [attached] if equals else _loose(rest)
        return Given(
            typed=word.partition("=")[0], name=name, option=None, values=values, fault=fault
        )
    values, missing = _values(option, equals, attached, rest, bool(keys))
    return Given(
        typed=word.partition("=")[0],
        name=name,
        option=option,
        values=values,
        keys=keys,
        fault=missing,
        abbreviated=abbreviated,
    )


def found_option(name: str, known: OptionSet) -> tuple[Option | None, bool, str | None]:
    """The option of a name or of its beginning, whether that was completed, and what is wrong."""
    option = known.find(name)
    if option is not None or not name.startswith("--"):
        return option, False, None
    names = [n for o in known.options for n in o.names if n.startswith(name)]
    if len(names) == 1:
        return known.find(names[0]), True, None
    if names:
        return None, False, f"it may stand for {', '.join(names[:4])}"
    return None, False, None


def _loose(rest: list[str]) -> list[str]:
    """What follows an option that is not known: its value, if it looks like one."""
    return [rest.pop(0)] if rest and not is_option(rest[0]) else []


def _values(
    option: Option, equals: str, attached: str, rest: list[str], dotted: bool
) -> tuple[list[str], str | None]:
    if dotted:
        if equals:
            return [attached], None
        return ([rest.pop(0)], None) if rest else ([], "it lacks its value")
    if takes_no_value(option):
        return ([attached], "it takes no value") if equals else ([], None)
    if equals:
        return [attached], None
    least, most = _counts(option.nargs)
    found: list[str] = []
    while rest and len(found) < most and not is_option(rest[0]):
        found.append(rest.pop(0))
    if len(found) < least:
        return found, "it lacks its value" if least == 1 else f"it lacks {least} values"
    return found, None


def _counts(nargs: int | str | None) -> tuple[int, int]:
    """The least and the most values that follow."""
    if isinstance(nargs, int):
        return nargs, nargs
    return {"?": (0, 1), "*": (0, 1 << 20), "+": (1, 1 << 20)}.get(nargs or "", (1, 1))
