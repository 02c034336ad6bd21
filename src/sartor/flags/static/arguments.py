"""A parser of command lines as `argparse` has it, of which what is added is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sartor.flags.static.values import Instance, Native, PyClass, Special, Unknown, first_unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.flags.static.interpreter import Interpreter
    from sartor.flags.static.values import Value

BOOLEAN = Special("BooleanOptionalAction")
ACTION = Special("Action")
KNOWN = frozenset(
    [
        "option_strings",
        "dest",
        "action",
        "nargs",
        "const",
        "default",
        "type",
        "choices",
        "required",
        "help",
        "metavar",
        "deprecated",
        "version",
    ]
)


@dataclass
class Added:
    """One call of ``add_argument``: the names, what was given, and where."""

    names: list[str]
    given: dict[str, Value]
    group: str
    when: list[str]
    exclusive: int | None = None


@dataclass
class Arguments:
    """What was added to a parser; ``faults`` are calls of which not even the names are known."""

    added: list[Added] = field(default_factory=list)
    defaults: dict[str, Value] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    groups: int = 0


class _Parser(Native):
    """A parser or a group of one, as a value of the interpreter."""


class Recorder:
    """Makes parsers, and keeps what is added to them."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.arguments = Arguments()
        self._interpreter = interpreter

    def values(self) -> dict[str, Value]:
        """The names of `argparse` that make parsers and name actions."""
        return {
            "argparse.BooleanOptionalAction": BOOLEAN,
            "argparse.Action": ACTION,
            "argparse._StoreAction": Special("_StoreAction"),
            "argparse._StoreTrueAction": Special("_StoreTrueAction"),
            "argparse.ArgumentParser": Special("ArgumentParser"),
            "argparse.Namespace": Special("Namespace"),
        }

    def parser(self, cls: PyClass, group: str = "", exclusive: int | None = None) -> Instance:
        """A parser, or a group of it, whose methods write down what they are given."""

        def add_argument(*names: Value, **given: Value) -> Value:
            return self._add(list(names), given, group, exclusive)

        def add_group(title: Value = "", *_: Value, **given: Value) -> Value:
            name = given.get("title", title)
            return self.parser(cls, name if isinstance(name, str) else "")

        def add_exclusive(**_: Value) -> Value:
            self.arguments.groups += 1
            return self.parser(cls, group, self.arguments.groups)

        def set_defaults(**given: Value) -> Value:
            self.arguments.defaults |= given
            return None

        methods: dict[str, Callable[..., Value]] = {
            "add_argument": add_argument,
            "add_argument_group": add_group,
            "add_mutually_exclusive_group": add_exclusive,
            "set_defaults": set_defaults,
            "register": lambda *_: None,
        }
        own: dict[str, Value] = {name: Native(name, act) for name, act in methods.items()}
        return Instance(cls, own)

    def _add(
        self, names: list[Value], given: dict[str, Value], group: str, exclusive: int | None
    ) -> Value:
        unknown = first_unknown(*names)
        if unknown or not all(isinstance(name, str) for name in names):
            why = unknown.why if unknown else "its name is no text"
            self.arguments.faults.append(f"an option's name is not told: {why}")
            return None
        texts = [str(name) for name in names]
        added = Added(texts, given, group, list(self._interpreter.conditions), exclusive)
        self.arguments.added.append(added)
        more = [k for k in given if k not in KNOWN and not isinstance(given.get("action"), PyClass)]
        if more:
            self.arguments.faults.append(f"{texts[0]} is given `{more[0]}`")
        return Unknown(f"the option {texts[0]}")
