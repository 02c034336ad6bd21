"""`sartor flags`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    import msgspec

    from sartor.flags.fetch import Flags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    add = parser.add_argument
    add("engines", nargs="+", metavar="ENGINE==VERSION", help="`vllm==0.32.0`, `sglang==0.5.23`")
    add("--check", metavar="COMMAND", help="say what is wrong with a command line there")
    add("--translate", metavar="COMMAND", help="move it from the first version to the second one")
    add("--diff", metavar="OTHER", help="what came, went and changed from OTHER (`0.25.1`) on")
    add("--sm", action="append", default=[], help="a GPU's compute capability for --check: `9.0`")
    add("--find", metavar="WORD", help="show options and variables with it in name or help alone")
    add("--again", action="store_true", help="read the package anew")
    add("--no-store", action="store_true", help="keep nothing of what is read")
    add("--verbose", "-v", action="store_true", help="say what is read, and what comes from where")


def run(options: argparse.Namespace) -> int:
    """Read, judge, show; 1 where a command line has something wrong."""
    from sartor.flags.fetch import Flags
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.report.flags import flags_lines, status
    from sartor.report.terminal import Terminal

    terminal = Terminal(verbose=options.verbose)
    with Flags(None if options.no_store else default_places(), terminal) as flags:
        document = _asked(options, flags)
    terminal.clear()
    if options.json:
        print_document(document)
    else:
        print_lines(*flags_lines(document))
    return status(document)


def _asked(options: argparse.Namespace, flags: Flags) -> msgspec.Struct:
    from sartor.flags import actions

    if options.translate is not None:
        return actions.translated(flags, options.translate, options.engines)
    engine = actions.only(options.engines)
    if options.check is not None:
        asked = actions.Checking(options.check, engine, tuple(options.sm), options.diff)
        return actions.checked(flags, asked)
    if options.diff is not None:
        return actions.compared(flags, engine, options.diff)
    return actions.shown(flags, engine, options.find, again=options.again)
