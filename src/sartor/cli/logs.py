"""`sartor logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("run", nargs="?", help="the id, port or engine of a run (default: newest)")
    parser.add_argument(
        "--stage",
        choices=("up", "build", "verify", "serve"),
        default="serve",
        help="whose log: the server's (serve), the whole line's (up), uv's and compilers' (build)",
    )
    parser.add_argument("--lines", "-n", type=int, default=40, help="how many lines (default: 40)")
    parser.add_argument("--follow", "-f", action="store_true", help="go on as the log grows")


def run(options: argparse.Namespace) -> int:
    """Show the end of one log; returns 0, or 130 where Ctrl-C ends the following."""
    from sartor.errors import UsageError
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.serve.logs import find_log, follow, tail
    from sartor.serve.model import LogsDocument

    if options.json and options.follow:
        raise UsageError(
            "`--json` is one document; it cannot follow a log", hint="leave one of the two out"
        )
    if options.stage == "up" and options.run is not None:
        raise UsageError(
            f"`--stage up` is the newest log of a whole `sartor up`, not of `{options.run}`",
            hint="leave the run out, or take `--stage serve`, `build` or `verify` with it",
        )
    path = find_log(default_places(), options.run, options.stage)
    lines = tail(path, options.lines)
    if options.json:
        print_document(LogsDocument(str(path), lines))
        return 0
    print_lines(*lines)
    if options.follow:
        try:
            for line in follow(path):
                print_lines(line)
        except KeyboardInterrupt:
            return 130
    return 0
