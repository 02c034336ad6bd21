"""`sartor stop`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument(
        "run", nargs="?", help="the id, port or engine of a run; not needed for one"
    )
    parser.add_argument("--all", action="store_true", help="stop every run")


def run(options: argparse.Namespace) -> int:
    """Stop what was named and clean up what was lost; returns 0, also where nothing ran."""
    from sartor.paths import default_places
    from sartor.report.document import print_document
    from sartor.report.terminal import Terminal
    from sartor.serve import runs
    from sartor.serve.model import StopDocument

    places, terminal = default_places(), Terminal()
    chosen, cleaned = runs.to_stop(places, options.run, everything=options.all)
    stopped = [state for state in chosen if runs.stop(places, state)]
    for state in stopped:
        terminal.note(f"stopped {state.id} ({state.model} on port {state.port})")
    for name in cleaned:
        terminal.note(f"cleaned up {name}, which had ended or was killed")
    if not stopped and not cleaned:
        terminal.note("nothing runs")
    if options.json:
        print_document(StopDocument([s.id for s in stopped], cleaned))
    return 0
