"""`sartor inspect`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import argparse

    from sartor.host.model import Host

_GPUS = (
    ("--gpu", "NAME", "judge for this GPU: `rtx-5090`; may be repeated, as the next two"),
    ("--sm", "CAPABILITY", "judge for this compute capability: `12.0`"),
    ("--host", "HOST", "judge for a described machine: `2x h200, driver=580`, a file, or -"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    add, target = parser.add_argument, "a wheel, library, .cubin, .fatbin, environment or image"
    add("targets", nargs="+", metavar="TARGET", help=target)
    for name, value, text in _GPUS:
        add(name, action="append", default=[], metavar=value, help=text)
    add("--driver", metavar="VERSION", help="the driver of these GPUs: `575.57`")
    add("--kernels", action="store_true", help="list the kernels, and which GPUs lack each")
    add("--detail", action="store_true", help="show what every library holds and needs")
    add("--platform", help="of an image for several, the one to read: `linux/arm64`")


def run(options: argparse.Namespace) -> int:
    """Read, judge, show, return 0."""
    from sartor.inspection import InspectRequest, inspect
    from sartor.report.document import print_document, print_lines
    from sartor.report.inspection import layout_for, report_lines
    from sartor.report.terminal import Terminal
    from sartor.verdict.model import Inspections
    from sartor.verdict.targets import HOW_TO_ASK, Asked, resolve

    terminal = Terminal()
    meant = resolve(Asked(options.gpu, options.sm, options.host, options.driver), _this_machine)
    if not meant.gpus:
        terminal.note(f"no NVIDIA GPU here to judge for: name one, {HOW_TO_ASK}")
    names: Literal["none", "all"] = "all" if options.kernels else "none"
    request = InspectRequest(options.targets, meant.gpus, names, meant.host, options.platform)
    found = inspect(request, terminal)
    if options.json:
        print_document(found[0] if len(found) == 1 else Inspections(found))
    else:
        layout = layout_for(sys.stdout, detail=options.detail, kernels=options.kernels)
        print_lines(*report_lines(found, layout))
    return 0


def _this_machine() -> Host:
    from sartor.line import find_host
    from sartor.paths import default_places

    return find_host(None, default_places())
