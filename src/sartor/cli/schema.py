"""`sartor schema`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("name", nargs="?", help="one document, for example sartor.host/1")


def run(options: argparse.Namespace) -> int:
    """Print the schemas, as JSON with or without ``--json``; returns 0."""
    from sartor.report.document import print_document
    from sartor.schemas import schemas

    print_document(schemas(options.name))
    return 0
