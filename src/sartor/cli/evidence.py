"""`sartor evidence`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import msgspec

    from sartor.paths import Places
    from sartor.reporter import Reporter

SELECTION = "a sha256 or its beginning, PROJECT[==VERSION], a file, or a wheel's URL"
WORDS = {
    "show": "show what is kept, or all of what is kept of one file",
    "map": "show what all that is kept is on GPUs, with a driver",
    "scan": "read files into the store",
    "export": "write what is kept to one file, for another machine",
    "import": "take what another machine exported into the store",
    "verify": "read files again, and compare with what is kept of them",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own words, and their arguments."""
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    own = {}
    for name, text in WORDS.items():
        own[name] = words.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        own[name].add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print one JSON document on stdout",
        )
    own["show"].add_argument("selection", nargs="?", help=f"{SELECTION} (default: list all)")
    add = own["map"].add_argument
    add("selection", nargs="?", help=f"{SELECTION} (default: all)")
    add(
        "--gpu",
        action="append",
        default=[],
        metavar="NAME",
        help="for this GPU: `rtx-5090`; may be repeated (default: those of the published map)",
    )
    add("--driver", metavar="VERSION", help="the driver of these GPUs: `575.57`")
    add = own["scan"].add_argument
    target = "a wheel, a library, a folder of wheels; `vllm==0.32.0`, or a wheel's URL"
    add("targets", nargs="+", metavar="TARGET", help=target)
    add("--again", action="store_true", help="read also what is kept already")
    add("--kernels", action="store_true", help="read the names of all kernels")
    add("--python", metavar="VERSION", help="of a project's wheels, those for it: `3.12`")
    add("--refresh", action="store_true", help="ask the package indexes anew")
    add("--verbose", "-v", action="store_true", help="say what was read, and what came from where")
    own["export"].add_argument("file", metavar="FILE", help="the file to write")
    own["export"].add_argument("selection", nargs="?", help=f"{SELECTION} (default: all)")
    own["import"].add_argument("file", metavar="FILE", help="what `sartor evidence export` wrote")
    add = own["verify"].add_argument
    add(
        "targets",
        nargs="*",
        metavar="TARGET",
        help=f"{SELECTION}, or a folder (default: your own)",
    )
    add("--files", metavar="FOLDER", help="where the files of selected rows are")


def run(options: argparse.Namespace) -> int:
    """Act and show; returns 0, or 1 where a file failed, or something kept is disputed."""
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.report.evidence import evidence_lines, status
    from sartor.report.terminal import Terminal

    terminal = Terminal(verbose=getattr(options, "verbose", False))
    document = _act(options, default_places(), terminal)
    terminal.clear()
    if options.json:
        print_document(document)
    else:
        print_lines(*evidence_lines(document))
    return status(document)


def _act(options: argparse.Namespace, places: Places, reporter: Reporter) -> msgspec.Struct:
    from sartor.evidence import actions

    match options.word:
        case "show":
            return actions.show(places, options.selection)
        case "map":
            return actions.map_of(places, options.selection, options.gpu, options.driver)
        case "scan":
            return actions.scan(
                places,
                options.targets,
                reporter,
                all_names=options.kernels,
                again=options.again,
                remotely=actions.Remotely(options.python, options.refresh),
            )
        case "export":
            return actions.export(places, Path(options.file), options.selection)
        case "import":
            return actions.import_file(places, Path(options.file))
        case _:
            folder = None if options.files is None else Path(options.files)
            return actions.verify(places, options.targets, reporter, folder)
