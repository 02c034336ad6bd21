"""The options and environment variables that an engine's version knows."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

OptionType = Literal["str", "int", "float", "json", "bool", "none", "other"]
Plain = Any
"""A value as JSON has it."""


class Option(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One option, or the positional argument.

    ``action`` is argparse's, or the class's name where the engine has its own. ``type`` is what
    one value is, found by trying the engine's own function on texts; ``type_name`` is that
    function's name; ``words`` are texts beside that type which it takes (``auto``, ``1k``).
    ``nargs`` is argparse's. ``known_values`` are names that the metavar offers beside others.
    ``default`` is plain; where it is an object, ``default_text`` says what, and where it is not
    told, ``default_unknown`` says why. ``deprecated`` is the package's own word on that, and
    ``replaced_by`` the option that it names. ``when`` is a condition that its source does not tell.
    ``not_read`` says what else of it is not told. ``exclusive`` numbers groups that exclude.
    """

    names: tuple[str, ...]
    dest: str
    action: str = "store"
    type: OptionType = "str"
    type_name: str | None = None
    words: tuple[str, ...] = ()
    nargs: int | str | None = None
    const: Plain = None
    choices: tuple[Plain, ...] | None = None
    known_values: tuple[str, ...] | None = None
    metavar: str | None = None
    default: Plain = None
    default_text: str | None = None
    default_unknown: str | None = None
    required: bool = False
    deprecated: str | None = None
    replaced_by: str | None = None
    help: str = ""
    group: str = ""
    when: str | None = None
    not_read: tuple[str, ...] = ()
    exclusive: int | None = None

    @property
    def name(self) -> str:
        """The name that stands for it: the first long one."""
        return next((n for n in self.names if n.startswith("--")), self.names[0])

    @property
    def is_positional(self) -> bool:
        """Whether it is given by its place."""
        return not self.names[0].startswith("-")


class Variable(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One environment variable. ``default`` is its text in the source; ``where`` a file."""

    name: str
    type: str | None = None
    default: str | None = None
    choices: tuple[str, ...] | None = None
    deprecated: str | None = None
    replaced_by: str | None = None
    where: str | None = None


class Unread(msgspec.Struct, frozen=True):
    """What of a package was not read, and why."""

    what: str
    why: str


class OptionSet(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.options/1"):
    """What one version of an engine knows, read from the wheel ``file`` of ``project``.

    ``sha256`` is what the index states of that. ``platform`` is the one for which the package's
    questions about the machine were answered. ``reader`` is the version of Sartor's reader.
    """

    engine: str
    project: str
    version: str
    file: str
    sha256: str | None
    reader: int
    platform: str | None = None
    options: list[Option] = []
    variables: list[Variable] = []
    not_read: list[Unread] = []

    def find(self, name: str) -> Option | None:
        """The option of that name."""
        return next((o for o in self.options if name in o.names), None)


State = Literal[
    "ok", "unknown", "removed", "renamed", "changed", "invalid", "contradicts", "unsupported"
]


class FlagFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What is to say of one option or variable of a command line.

    ``flag`` is the name as it was typed. ``since`` is the version from which it is so, where the
    releases that are known tell it; ``replacement`` what to write instead.
    """

    flag: str
    state: State
    since: str | None = None
    replacement: str | None = None
    because: str | None = None
    closest: list[str] = []


class FlagFindings(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.flags/1"):
    """What `sartor flags --check` says of a command line: each option and variable in its order.

    ``not_checked`` are things that could not be judged, and why.
    """

    engine: str
    version: str
    findings: list[FlagFinding]
    not_checked: list[str] = []

    @property
    def wrong(self) -> list[FlagFinding]:
        """The findings that are not ``ok``."""
        return [f for f in self.findings if f.state != "ok"]


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one option or variable differs between two versions; ``before`` and ``after`` as text."""

    name: str
    what: str
    before: str | None = None
    after: str | None = None


class OptionsDiff(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.options-diff/1"):
    """What came, went and changed from one version to another."""

    engine: str
    before: str
    after: str
    added: list[str]
    removed: list[Change]
    changed: list[Change]
    variables_added: list[str]
    variables_removed: list[str]
    not_compared: list[str] = []


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one option or variable: ``words`` is what is written now, maybe nothing."""

    flag: str
    outcome: Literal["kept", "replaced", "no-counterpart", "dropped"]
    words: list[str] = []
    because: str | None = None


class Translation(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.translation/1"):
    """A command line for another version or engine, and what became of each part of it.

    ``findings`` are what is to say of the new one.
    """

    before: str
    after: str
    command: str
    steps: list[Step]
    findings: list[FlagFinding]
