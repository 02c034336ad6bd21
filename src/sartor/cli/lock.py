"""`sartor lock`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from sartor.lock.model import LockDocument, Locking

_ARGUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--output",
        {
            "metavar": "FOLDER",
            "default": ".",
            "help": "where `pylock.toml` and `sartor.lock` go; default: here",
        },
    ),
    (
        "--into",
        {
            "metavar": "FILE",
            "action": "append",
            "default": [],
            "help": "put the stack into this `pyproject.toml` or `pixi.toml` too; may be repeated",
        },
    ),
    (
        "--group",
        {
            "metavar": "NAME",
            "default": "inference",
            "help": "its dependency group or feature there; default: inference",
        },
    ),
    (
        "--locked",
        {
            "action": "store_true",
            "help": "plan nothing: take what is locked in the folder",
        },
    ),
    (
        "--check",
        {
            "action": "store_true",
            "help": "write nothing: say whether the files are up to date (exit status 1: not)",
        },
    ),
    (
        "--force",
        {"action": "store_true", "help": "replace files and entries that Sartor did not make"},
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments, after all that say what is planned."""
    from sartor.cli import plan

    plan.add_request(parser)
    for name, keywords in _ARGUMENTS:
        parser.add_argument(name, **keywords)


def run(options: argparse.Namespace) -> int:
    """Lock, show; 1 where ``--check`` finds a file that is not up to date."""
    from sartor.report.document import print_document, print_lines
    from sartor.report.lock import lock_lines

    found = _locked(options)
    if options.json:
        print_document(found)
    else:
        print_lines(*lock_lines(found))
    return 0 if found.up_to_date else 1


def _locked(options: argparse.Namespace) -> LockDocument:
    from sartor.errors import UsageError
    from sartor.locking import lock_project, read_locked

    if options.locked and options.engines:
        raise UsageError(
            "`--locked` plans nothing, so that no engine is named with it",
            hint=f"plan anew: `sartor lock {' '.join(options.engines)}`",
        )

    folder = Path(options.output)
    # With --locked what the two files say is what they are to say: they are written anew alike.
    locking = read_locked(folder) if options.locked else locking_of(options)
    files = [Path(file) for file in options.into]
    return lock_project(
        locking, folder, files, options.group, force=options.force, check=options.check
    )


def locking_of(options: argparse.Namespace) -> Locking:
    """The plan of these options as a lock; raises why nothing fits, and `NotLockableError`."""
    from sartor.cli import plan
    from sartor.paths import default_places
    from sartor.plan.obstacles import why_nothing_fits
    from sartor.plan_lock import lock_of_plan
    from sartor.report.terminal import Terminal

    reporter = Terminal()
    host, planned = plan.planned(options, reporter)
    if planned.plan.stack is None:
        raise why_nothing_fits(planned)
    for text in planned.plan.warnings:
        reporter.warn(text)
    return lock_of_plan(planned, host, default_places(), reporter, refresh=options.refresh)
