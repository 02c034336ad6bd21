"""`sartor inspect`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from sartor.host.model import Host
    from sartor.verdict.targets import Meant

_GPUS = (
    ("--gpu", "NAME", "judge for this GPU: `rtx-5090`; may be repeated, as the next two"),
    ("--sm", "CAPABILITY", "judge for this compute capability: `12.0`"),
    ("--host", "HOST", "judge for a described machine: `2x h200, driver=580`, a file, or -"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    add, target = (
        parser.add_argument,
        "a file, environment or image; `vllm==0.32.0`, a wheel's URL, `docker://registry/name:tag`",
    )
    add("targets", nargs="+", metavar="TARGET", help=target)
    for name, value, text in _GPUS:
        add(name, action="append", default=[], metavar=value, help=text)
    add("--driver", metavar="VERSION", help="the driver of these GPUs: `575.57`")
    add("--kernels", action="store_true", help="list the kernels, and which GPUs lack each")
    add("--detail", action="store_true", help="show what every library holds and needs")
    add("--no-store", action="store_true", help="read everything, and keep nothing of it")
    add("--refresh", action="store_true", help="ask the package indexes anew")
    add("--verbose", "-v", action="store_true", help="say what was read, and what came from where")
    add("--python", metavar="VERSION", help="of a project's wheels, those for it: `3.12`")
    add("--platform", help="of an image for several, the one to read: `linux/arm64`")
    add("--all-layers", action="store_true", help="of a registry's image fetch every layer")


def run(options: argparse.Namespace) -> int:
    """Read, judge, show, return 0."""
    from sartor.inspection import InspectRequest, inspect
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.report.terminal import Terminal

    terminal = Terminal(verbose=options.verbose)
    gpus, host = [], None
    if meant := _meant(options):
        gpus, host = meant.gpus, meant.host
    if not gpus:
        terminal.note(
            "no NVIDIA GPU here to judge for: name one, for example "
            "`--gpu rtx-5090 --driver 575.57`, or `--sm 12.0`, or `--host 'h200, driver=580'`"
        )
    request = InspectRequest(
        options.targets,
        gpus,
        host,
        kernels=options.kernels,
        platform=options.platform,
        places=None if options.no_store else default_places(),
        python=options.python,
        fitting=bool(options.host),
        all_layers=options.all_layers,
        refresh=options.refresh,
    )
    found = inspect(request, terminal)
    if options.json:
        from sartor.verdict.model import Inspections

        print_document(found[0] if len(found) == 1 else Inspections(found))
    else:
        from sartor.report.inspection import layout_for, report_lines

        layout = layout_for(sys.stdout, detail=options.detail, kernels=options.kernels)
        print_lines(*report_lines(found, layout))
    return 0


def _meant(options: argparse.Namespace) -> Meant | None:
    """The GPUs that were asked about, else this machine's; None where it shows no sign of any."""
    from sartor.host.signs import nvidia_here

    words = (options.gpu, options.sm, options.host, options.driver)
    if not any(words) and not nvidia_here():
        return None
    from sartor.verdict.targets import Asked, resolve

    return resolve(Asked(*words), _this_machine)


def _this_machine() -> Host:
    from sartor.line import find_host
    from sartor.paths import default_places

    return find_host(None, default_places())
