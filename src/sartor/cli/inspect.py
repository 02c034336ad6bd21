"""`sartor inspect`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from sartor.host.model import Host
    from sartor.report.terminal import Terminal
    from sartor.verdict.model import Target


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
    from sartor.report.terminal import Terminal

    reporter = Terminal()
    gpus, host = _asked_about(options, reporter)
    names = "all" if options.kernels else "none"
    found = inspect(InspectRequest(options.targets, gpus, names, host, options.platform), reporter)
    if options.json:
        from sartor.verdict.model import Inspections

        print_document(found[0] if len(found) == 1 else Inspections(found))
        return 0
    from sartor.report.inspection import inspection_lines, layout_for

    layout = layout_for(sys.stdout, detail=options.detail, kernels=options.kernels)
    for number, inspection in enumerate(found):
        print_lines(*([""] if number else []), *inspection_lines(inspection, layout))
    return 0


def _asked_about(
    options: argparse.Namespace, reporter: Terminal
) -> tuple[list[Target], Host | None]:
    """The GPUs that were asked about; else this machine's, if it shows a sign of any."""
    from sartor.host.signs import nvidia_here

    words = (options.gpu, options.sm, options.host, options.driver)
    if any(words) or nvidia_here():
        from sartor.verdict.targets import Asked, resolve

        meant = resolve(Asked(*words), this_machine)
        if meant.gpus:
            return meant.gpus, meant.host
    reporter.note(
        "no NVIDIA GPU here to judge for: ask for one with `--gpu rtx-5090 --driver 575.57`, "
        "`--sm 12.0` or `--host 'h200, driver=580'`"
    )
    return [], None


def this_machine() -> Host:
    """The machine that Sartor runs on."""
    from sartor.line import find_host
    from sartor.paths import default_places

    return find_host(None, default_places())
