"""`sartor detect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument(
        "--host",
        metavar="HOST",
        help="read a description instead of this machine: `rtx-5090, driver=575.57, cpu=zen5`, a "
        "TOML or JSON file, or - for stdin",
    )
    parser.add_argument(
        "--capture",
        metavar="FILE",
        help="also write what was read, raw, to FILE: it can be replayed and sent with a report",
    )


def run(options: argparse.Namespace) -> int:
    """Detect, show, return 0."""
    from sartor.errors import UsageError
    from sartor.line import find_host
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.report.host import host_lines

    if options.host is not None and options.capture is not None:
        raise UsageError(
            "`--capture` writes down what is read of this machine; with `--host` nothing is",
            hint="leave one of the two out",
        )
    host = find_host(options.host, default_places(), options.capture)
    if options.json:
        print_document(host)
    else:
        print_lines(*host_lines(host))
    return 0
