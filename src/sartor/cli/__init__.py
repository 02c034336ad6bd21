"""The command line: a module for each command, one parser, one place where errors are shown."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from sartor import __version__
from sartor.errors import DiskFullError, InterruptedBySignal, SartorError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

COMMANDS = {
    "up": "from this machine to an answering endpoint: detect, plan, build, verify, serve",
    "detect": "show what this machine is: GPUs, driver, CPU, memory, tools",
    "plan": "choose a whole stack for a model and a machine, from evidence, and explain it",
    "lock": "write down what a plan chooses, for pip and uv: the same stack on every day",
    "bundle": "carry a locked stack, with Sartor itself, to a machine without a network",
    "fit": "say whether a model fits: on which GPUs, with what context, how many at once",
    "verify": "prove an environment in grades: files, libraries, kernels, outputs",
    "inspect": "open packages and say what their machine code does on a GPU",
    "slim": "reduce packages to the device code that some GPUs load",
    "flags": "show, compare, check and translate the options of an engine's version",
    "evidence": "keep what was read of packages: show, scan, export, import, verify",
    "status": "show what runs, since when, on which port",
    "logs": "show the log of a server or of a build",
    "stop": "stop servers and clean up what killed ones left",
    "schema": "print the JSON Schemas of all documents",
}


class _Formatter(argparse.HelpFormatter):
    """argparse makes one for every option that is added, and asks `shutil` for the width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


@cache
def _columns() -> int:
    """The width of the terminal, as `shutil.get_terminal_size` finds it."""
    with contextlib.suppress(KeyError, ValueError):
        if (stated := int(os.environ["COLUMNS"])) > 0:
            return stated
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class Parser(argparse.ArgumentParser):
    """argparse, with its complaints raised as `UsageError` and options written out in full."""

    def __init__(self, **settings: Any) -> None:
        fixed = {"allow_abbrev": False, "formatter_class": _Formatter}
        super().__init__(**{**settings, **fixed})

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that ``--json`` holds for errors too."""
        meant = None
        if message.startswith("unrecognized arguments: -"):
            word = message.split()[2].partition("=")[0]
            own = {text for action in self._actions for text in action.option_strings}
            every = all_options()
            if word in every:
                meant = f"`{word}` is another command's; `{self.prog} --help` shows what there is"
            else:
                meant = did_you_mean(word, own) or did_you_mean(word, every)
        raise UsageError(message, hint=meant or f"`{self.prog} --help` shows what there is")


def all_options() -> set[str]:
    """Every option of every command."""
    found: set[str] = set()
    for name in COMMANDS:
        one = argparse.ArgumentParser(add_help=False)
        importlib.import_module(f"sartor.cli.{name}").add_arguments(one)
        for each in (one, *nested(one).values()):
            found |= {text for action in each._actions for text in action.option_strings}
    return found


def nested(one: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a command's own commands (`evidence show`), by name."""
    return next((dict(a.choices) for a in one._actions if isinstance(a.choices, dict)), {})


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The whole command line; each command's module adds its own arguments.

    ``only`` leaves the other commands out, for a call in which it is the one that was named.
    """
    top = Parser(prog="sartor", description=(__doc__ or "").partition("\n")[0], add_help=True)
    top.description = "Gives a machine the inference stack that is proved to fit it."
    top.add_argument("--version", "-V", action="store_true", help="print the version")
    top.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    commands = top.add_subparsers(
        prog=top.prog,  # which argparse would take out of a whole help text
        dest="command",
        metavar="COMMAND",
        parser_class=Parser,
    )
    for name, text in COMMANDS.items() if only is None else [(only, COMMANDS[only])]:
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,  # its own default would undo a --json before the command
            help="print one JSON document on stdout",
        )
        importlib.import_module(f"sartor.cli.{name}").add_arguments(sub)
    return top


def run(arguments: Sequence[str]) -> int:
    """Parse, run one command, show what it raises; returns the exit status."""
    as_json = "--json" in arguments
    command = next((word for word in arguments if not word.startswith("-")), None)
    removed = "; what was half done is removed" if command == "up" else ""
    with _signals_raise_once(removed):
        try:
            only = command if command in COMMANDS else None
            return _dispatch(_parsed(parser(only), arguments))
        except SartorError as error:
            return _show(error, as_json=as_json)
        except KeyboardInterrupt:
            return _show(InterruptedBySignal(f"interrupted{removed}"), as_json=as_json)
        except BrokenPipeError:
            return 141
        except OSError as error:
            from sartor.paths import refused_by_system

            refused = refused_by_system(error)
            if refused is None:
                raise
            return _show(refused, as_json=as_json)


def _parsed(one: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """The options; words after an option are targets too, where a command takes several."""
    options, left = one.parse_known_args(arguments)
    if left and (any(word.startswith("-") for word in left) or "targets" not in options):
        nested(one).get(options.command, one).error(f"unrecognized arguments: {' '.join(left)}")
    if left:
        options.targets += left
    return options


@contextlib.contextmanager
def _signals_raise_once(removed: str) -> Iterator[None]:
    """SIGINT raises `KeyboardInterrupt`, SIGTERM `InterruptedBySignal`; the next SIGINT is ignored.

    So cleanup comes to its end, unless a SIGTERM follows. Signals that were ignored stay so.
    """

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(number, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise InterruptedBySignal(f"ended by SIGTERM{removed}")

    previous = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in previous.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            if signal.getsignal(number) is interrupt:
                signal.signal(number, handler)


def _dispatch(options: argparse.Namespace) -> int:
    if options.version:
        from sartor.report.document import print_document, print_lines
        from sartor.schemas import VersionDocument

        if options.json:
            python = ".".join(map(str, sys.version_info[:3]))
            print_document(VersionDocument(__version__, python))
        else:
            print_lines(f"sartor {__version__}")
        return 0
    if options.command is None:
        parser().print_help(sys.stderr)
        return 2
    module = importlib.import_module(f"sartor.cli.{options.command}")
    return int(module.run(options))


def _show(error: SartorError, *, as_json: bool) -> int:
    from sartor.report.document import print_document
    from sartor.report.terminal import Terminal

    if as_json:
        with contextlib.suppress(BrokenPipeError, DiskFullError):
            print_document(error.document())
    Terminal().error(error)
    return error.exit_code
