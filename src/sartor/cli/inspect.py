"""`sartor inspect`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from sartor.host.model import Host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    add = parser.add_argument
    target = "a wheel, a library, a .cubin or .fatbin, an environment, a container image"
    add("targets", nargs="+", metavar="TARGET", help=target)
    words = (
        ("--gpu", "NAME", "judge for this GPU: `rtx-5090`; may be repeated, as the next two"),
        ("--sm", "CAPABILITY", "judge for this compute capability: `12.0`"),
        ("--host", "HOST", "judge for a described machine: `2x h200, driver=580`, a file, or -"),
    )
    for name, value, text in words:
        add(name, action="append", default=[], metavar=value, help=text)
    add("--driver", metavar="VERSION", help="the driver of these GPUs: `575.57`")
    add("--kernels", action="store_true", help="list the kernels, and what each GPU lacks")
    add("--detail", action="store_true", help="show the images and needs of every library")
    platform = "which image of an index with several, for example linux/arm64"
    add("--platform", metavar="PLATFORM", help=platform)


def run(options: argparse.Namespace) -> int:
    """Read, judge, show, return 0."""
    from sartor.inspection import InspectRequest, inspect
    from sartor.report.document import print_document, print_lines
    from sartor.report.inspection import inspection_lines, layout_for
    from sartor.report.terminal import Terminal
    from sartor.verdict.model import Inspections
    from sartor.verdict.targets import HOW_TO_ASK, Asked, resolve

    reporter = Terminal()
    meant = resolve(Asked(options.gpu, options.sm, options.host, options.driver), this_machine)
    if not meant.gpus:
        reporter.note(f"no NVIDIA GPU here to judge for: ask for one, {HOW_TO_ASK}")
    request = InspectRequest(
        targets=options.targets,
        gpus=meant.gpus,
        names="all" if options.kernels else "none",
        host=meant.host,
        platform=options.platform,
    )
    found = inspect(request, reporter)
    if options.json:
        print_document(found[0] if len(found) == 1 else Inspections(found))
        return 0
    layout = layout_for(sys.stdout, detail=options.detail, kernels=options.kernels)
    for number, inspection in enumerate(found):
        print_lines(*([""] if number else []), *inspection_lines(inspection, layout))
    return 0


def this_machine() -> Host:
    """The machine that Sartor runs on."""
    from sartor.line import find_host
    from sartor.paths import default_places

    return find_host(None, default_places())
