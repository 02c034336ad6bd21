"""`sartor verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from sartor.reporter import Reporter
    from sartor.verify.model import Report, ReportComparison

_ARGUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--env",
        {
            "metavar": "PATH",
            "help": "any environment, or an interpreter; default: the newest that Sartor made here",
        },
    ),
    (
        "--only",
        {
            "metavar": "PROJECT",
            "action": "append",
            "default": [],
            "help": "of the environment this project alone, with all that it requires; may be "
            "repeated",
        },
    ),
    (
        "--grade",
        {
            "choices": ("resolves", "loads", "launches", "golden"),
            "default": "golden",
            "help": "how far; default: golden",
        },
    ),
    (
        "--jit-seconds",
        {
            "metavar": "SECONDS",
            "type": float,
            "default": 600.0,
            "help": "wall time for the driver's compiler, over all PTX; 0: none; default: 600",
        },
    ),
    ("--output", {"metavar": "FILE", "help": "write the report to FILE too, as JSON"}),
    ("--detail", {"action": "store_true", "help": "show every check"}),
    (
        "--compare",
        {
            "nargs": 2,
            "metavar": ("A", "B"),
            "help": "verify nothing: hold two reports side by side (exit status 1: B is worse)",
        },
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument(
        "lock",
        nargs="?",
        metavar="LOCK",
        help="a folder with `pylock.toml` and `sartor.lock`: what is installed is held against it",
    )
    for name, keywords in _ARGUMENTS:
        parser.add_argument(name, **keywords)


def run(options: argparse.Namespace) -> int:
    """Verify, or compare; show; 1 where something failed, 3 where it was only not checked."""
    from sartor.report.document import print_document, print_lines

    if options.compare:
        compared = _compared(options)
        if options.json:
            print_document(compared)
        else:
            from sartor.report.comparison import comparison_lines

            print_lines(*comparison_lines(compared, detail=options.detail))
        return 1 if compared.worse else 0
    from sartor.report.terminal import Terminal
    from sartor.report.verify import verify_lines
    from sartor.verify.verifying import status_of, write_report

    report = _verified(options, Terminal())
    if options.output is not None:
        write_report(report, Path(options.output))
    if options.json:
        print_document(report)
    else:
        print_lines(*verify_lines(report, detail=options.detail))
    return status_of(report)


def _verified(options: argparse.Namespace, reporter: Reporter) -> Report:
    from sartor.paths import default_places
    from sartor.verify.proving import Proving
    from sartor.verify.verifying import check_output, verify

    if options.output is not None:
        check_output(Path(options.output))
    return verify(
        Path(options.env) if options.env is not None else None,
        Path(options.lock) if options.lock is not None else None,
        options.only,
        Proving(asked=options.grade, jit_seconds=options.jit_seconds, keep_part=True),
        default_places(),
        reporter,
    )


def _compared(options: argparse.Namespace) -> ReportComparison:
    from sartor.errors import UsageError
    from sartor.verify.compare import compare
    from sartor.verify.verifying import read_report

    if options.env is not None or options.lock is not None or options.output is not None:
        raise UsageError(
            "`--compare` verifies nothing: no environment, lock or output goes with it",
            hint="name two reports that `sartor verify --output FILE` wrote",
        )
    first, second = (Path(word) for word in options.compare)
    return compare(read_report(first), read_report(second))
