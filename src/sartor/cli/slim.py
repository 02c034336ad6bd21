"""`sartor slim`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from sartor.slim.choice import Wanted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    add = parser.add_argument
    add(
        "targets",
        nargs="+",
        metavar="TARGET",
        help="a library, wheel or environment, `vllm==0.32.0`",
    )
    add(
        "--gpu",
        action="append",
        default=[],
        metavar="NAME",
        help="keep what this GPU loads: `rtx-5090`, `sm_90`; may be repeated (default: those here)",
    )
    add("--keep-ptx", action="store_true", help="keep what GPUs newer than all of them would load")
    add(
        "--retarget",
        action="store_true",
        help="compile ahead of time the PTX that the driver would compile at first use",
    )
    add("--compress", action="store_true", help="compress device code that is stored plain")
    add("--output", "-o", metavar="OUT", help="the file to write, or the folder to write to")
    add(
        "--index",
        metavar="DIR",
        help="make a package index for each GPU in this folder, or add to those there",
    )
    add(
        "--python",
        metavar="VERSION",
        help="of a project's wheels, those for it: `3.12`; what is of no use to it is told",
    )
    add("--platform", help="of a project's wheels, those for it: `linux/arm64`")
    add("--force", action="store_true", help="replace a file that is there and is not Sartor's")
    add("--dry-run", action="store_true", help="only say what would become")
    add("--in-place", action="store_true", help="change an environment where it is")
    add("--no-undo", action="store_true", help="keep nothing that would bring its files back")
    add("--undo", action="store_true", help="bring back what was slimmed in an environment")
    add(
        "--remove-unused",
        action="store_true",
        help="leave out what cannot be used: modules for other Pythons, static archives",
    )
    add("--verbose", "-v", action="store_true", help="say what was read, and what came from where")


def run(options: argparse.Namespace) -> int:
    """Reduce, show, return 0."""
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.report.slim import slim_lines
    from sartor.report.terminal import Terminal
    from sartor.slimming.targets import SlimRequest, slim

    if options.undo:
        return _undo(options)
    _refuse_undo_options(options)
    terminal = Terminal(verbose=options.verbose)
    request = SlimRequest(
        options.targets,
        _wanted(options),
        options.output,
        dry_run=options.dry_run,
        places=default_places(),
        in_place=options.in_place,
        keeping=not options.no_undo,
        removing=options.remove_unused,
        index=options.index,
        python=options.python,
        platform=options.platform,
        force=options.force,
    )
    found = slim(request, terminal)
    terminal.clear()
    if options.json:
        print_document(found)
    else:
        print_lines(*slim_lines(found))
    return 0


def _wanted(options: argparse.Namespace) -> Wanted:
    from sartor.slimming.wanted import wanted_of

    return wanted_of(
        options.gpu,
        keep_ptx=options.keep_ptx,
        retarget=options.retarget,
        compress=options.compress,
    )


def _refuse_undo_options(options: argparse.Namespace) -> None:
    """Raise `UsageError` for what is said of undoing, without `--in-place`."""
    from sartor.errors import UsageError

    if options.no_undo and not options.in_place:
        raise UsageError(
            "`--no-undo` is for an environment that is changed", hint="add `--in-place`"
        )


def _undo(options: argparse.Namespace) -> int:
    """Bring files back; status 1 where one could not be."""
    from pathlib import Path

    from sartor.errors import UsageError
    from sartor.report.document import print_document, print_lines
    from sartor.report.slim_environment import undone_lines
    from sartor.report.terminal import Terminal
    from sartor.slimming.undo import undo

    if len(options.targets) > 1 or options.in_place or options.output or options.dry_run:
        raise UsageError(
            "`--undo` is of one environment, and does nothing else",
            hint="`sartor slim ENV --undo`",
        )
    terminal = Terminal(verbose=options.verbose)
    found = undo(Path(options.targets[0]), terminal)
    terminal.clear()
    if options.json:
        print_document(found)
    else:
        print_lines(*undone_lines(found))
    return 1 if found.not_undone else 0
