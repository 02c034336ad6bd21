"""`sartor status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no arguments of its own."""
    _ = parser


def run(options: argparse.Namespace) -> int:
    """Show every run; returns 0."""
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.report.runs import status_lines
    from sartor.serve.model import StatusDocument
    from sartor.serve.runs import states

    found = states(default_places())
    if options.json:
        print_document(StatusDocument(found))
    else:
        print_lines(*status_lines(found))
    return 0
