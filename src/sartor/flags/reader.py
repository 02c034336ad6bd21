"""`read_options`: a package's files → the options and environment variables that it knows.

Nothing of the package is imported or run; its definitions are evaluated by `sartor.flags.static`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sartor.flags.added import options_of
from sartor.flags.model import Option, OptionSet, Unread
from sartor.flags.static.arguments import Recorder
from sartor.flags.static.classes import attribute_docs
from sartor.flags.static.interpreter import Interpreter
from sartor.flags.static.known import match_class
from sartor.flags.static.library import builtin_values, library_values
from sartor.flags.static.values import Instance, Native, PyClass, Raised, TooMuch, Unknown
from sartor.flags.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sartor.flags.facts import ReaderFact
    from sartor.flags.static.values import Value


class Release(NamedTuple):
    """One wheel of a release, and the sha256 that its index states."""

    project: str
    version: str
    file: str
    sha256: str | None


STRANGE = (RecursionError, TypeError, ValueError, AttributeError, LookupError, MemoryError)
READER_VERSION = 1
"""Raise it with every change that changes what is said of a package."""


def read_options(
    fact: ReaderFact,
    release: Release,
    read: Callable[[str], bytes | None],
    names: Sequence[str] = (),
) -> OptionSet:
    """The options of a package; ``read`` gives a file of it, None where it has none.

    ``names`` are all its files, where the variables are searched in the whole of it.
    """
    interpreter = Interpreter(read, {}, {})
    recorder = Recorder(interpreter)
    interpreter.known |= library_values(interpreter) | recorder.values()
    interpreter._builtin = builtin_values(interpreter)
    notes: list[Unread] = []
    try:
        _prepare(interpreter, fact, release.project)
        _enter(interpreter, recorder, fact)
    except TooMuch as fault:
        notes.append(Unread("options", f"the evaluation was ended: {fault}"))
    except Raised as raised:
        notes.append(Unread("options", f"the definitions fail when they are evaluated: {raised}"))
    except STRANGE as error:  # a package's source may be anything
        notes.append(Unread("options", f"the evaluation fails: {type(error).__name__}"))
    arguments = recorder.arguments
    faults = [*arguments.faults, *interpreter.failed_ways]
    notes += [Unread("options", why) for why in dict.fromkeys(faults)]
    options = [_help(), *options_of(interpreter, arguments.added)]
    variables, more = variables_of(fact, interpreter, read, names)
    notes += [
        Unread(option.name, "; ".join(why)) for option in options if (why := _not_told(option))
    ]
    return OptionSet(
        engine=fact.engine,
        project=release.project,
        version=release.version,
        file=release.file,
        sha256=release.sha256,
        reader=READER_VERSION,
        platform=fact.platforms[release.project].name,
        options=options,
        variables=variables,
        not_read=[*notes, *more],
    )


def _prepare(interpreter: Interpreter, fact: ReaderFact, project: str) -> None:
    """Set what stands for the machine, and run the modules that register names."""
    for dotted in fact.attribute_docs:
        interpreter.known[dotted] = _docs()
    for dotted, cls in fact.platforms[project].objects.items():
        interpreter.known[dotted] = _object_of(interpreter, cls)
    for name in fact.registers:
        if interpreter.modules.get(name) is not None:
            interpreter.run_module(name)
            _resolve_all(interpreter, name)


def _docs() -> Native:
    return Native(
        "get_attr_docs", lambda cls: attribute_docs(cls) if isinstance(cls, PyClass) else {}
    )


def _object_of(interpreter: Interpreter, dotted: str) -> Value:
    """An object of a class of the package, made without its ``__init__``."""
    try:
        cls = interpreter.name(dotted)
    except Raised as raised:
        return Unknown(str(raised))
    return Instance(cls) if isinstance(cls, PyClass) else Unknown(f"`{dotted}` is no class")


def _resolve_all(interpreter: Interpreter, name: str) -> None:
    """Look up every name that a module imports: what registers itself does so then."""
    module = interpreter.modules.get(name)
    for bound in list(module.scope.names) if module else ():
        try:
            interpreter.imported(name, bound)
        except Raised:
            continue


def _enter(interpreter: Interpreter, recorder: Recorder, fact: ReaderFact) -> None:
    """Call the function that adds the options, with a parser that writes them down."""
    interpreter.watched = match_class()
    parser = recorder.parser(interpreter.watched)
    for entry in fact.entries:
        module, _, path = entry.partition(":")
        if interpreter.modules.get(module) is None:
            continue
        parts = path.split(".")
        try:
            value = interpreter.imported(module, parts[0])
            for part in parts[1:]:
                value = interpreter.attribute(value, part)
        except Raised:
            continue
        if fact.subparsers:
            makes = Native("add_parser", lambda *_, **__: parser)
            subparsers = Instance(parser.cls, {"add_parser": makes})
            interpreter.call(value, [Unknown("a subcommand"), subparsers], {})
        else:
            interpreter.call(value, [parser], {})
        return
    raise Raised("LookupError", None, f"the package has none of {', '.join(fact.entries)}")


def _help() -> Option:
    """What argparse adds itself."""
    return Option(
        names=("-h", "--help"),
        dest="help",
        action="help",
        type="none",
        nargs=0,
        default="==SUPPRESS==",
        help="show this help message and exit",
    )


def _not_told(option: Option) -> list[str]:
    """What of an option is not told by the source."""
    found = list(option.not_read)
    if option.default_unknown:
        found.append(f"default: {option.default_unknown}")
    if option.when:
        found.append(f"it is there where {option.when}, which the source does not tell")
    if option.type == "other":
        found.append("type: what its values are is not told")
    return found
