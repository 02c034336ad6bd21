"""`sartor bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from sartor.bundle.model import BundleState

_ARGUMENTS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("lock",),
        {
            "metavar": "LOCK",
            "nargs": "?",
            "default": ".",
            "help": "the folder of `pylock.toml` and `sartor.lock`; default: here",
        },
    ),
    (("--output", "-o"), {"metavar": "DIR", "help": "the folder that becomes the bundle"}),
    (
        ("--split",),
        {
            "metavar": "SIZE",
            "help": "in parts of at most this size: `60M`, `64MiB`; default: plain files",
        },
    ),
    (
        ("--there",),
        {
            "metavar": "FILE",
            "help": "what the target has already (`pip list --format=json`, `pip freeze`): those "
            "packages are not carried",
        },
    ),
    (
        ("--gpu",),
        {
            "metavar": "NAME",
            "action": "append",
            "default": [],
            "help": "reduce the wheels to the device code that this GPU loads: `h200`, `sm_90`; "
            "may be repeated",
        },
    ),
    (("--model",), {"metavar": "MODEL", "help": "carry this model: a file, a folder, org/name"}),
    (
        ("--model-config",),
        {"metavar": "MODEL", "help": "carry a model's configuration and tokenizer, no weights"},
    ),
    (
        ("--check",),
        {
            "metavar": "DIR",
            "action": "append",
            "help": "verify every part and file of a bundle; repeat it where it lies in several",
        },
    ),
    (
        ("--install",),
        {
            "metavar": "DIR",
            "action": "append",
            "help": "build the environment of a bundle and verify it, without a network; repeat "
            "it where the bundle lies in several folders",
        },
    ),
    (
        ("--host",),
        {"metavar": "HOST", "help": "with --install: for this machine instead of the one here"},
    ),
    (("--python",), {"metavar": "FILE", "help": "with --install: the interpreter to use"}),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    for names, keywords in _ARGUMENTS:
        parser.add_argument(*names, **keywords)


def run(options: argparse.Namespace) -> int:
    """Make, check or install a bundle, and show what was done; returns 0."""
    from sartor.report.bundle import bundle_lines
    from sartor.report.document import print_document, print_lines

    found = _done(options)
    if options.json:
        print_document(found)
    else:
        print_lines(*bundle_lines(found))
    return 0


def _done(options: argparse.Namespace) -> BundleState:
    from sartor.bundling import check_bundle, install_bundle
    from sartor.errors import UsageError
    from sartor.paths import default_places
    from sartor.report.terminal import Terminal

    ways = [o for o in ("output", "check", "install") if getattr(options, o)]
    if len(ways) != 1:
        raise UsageError(
            "what is to be done with which bundle is not said, or said twice",
            hint="`sartor bundle LOCK -o DIR` makes one, `--check DIR` verifies one, `--install "
            "DIR` installs from one",
        )
    if options.check:
        return check_bundle(options.check)
    places, reporter = default_places(), Terminal()
    if options.install:
        return install_bundle(options.install, options.host, options.python, places, reporter)
    return _made(options)


def _made(options: argparse.Namespace) -> BundleState:
    from sartor.bundle.collect import BundleRequest
    from sartor.bundle.make import make
    from sartor.bundle.sizes import parse_size
    from sartor.errors import UsageError
    from sartor.index.network import as_configured
    from sartor.paths import default_places
    from sartor.report.terminal import Terminal
    from sartor.slimming.wanted import wanted_of

    if options.model and options.model_config:
        raise UsageError(
            "`--model` and `--model-config` are one or the other",
            hint="`--model` carries the weights too",
        )
    as_configured()
    split = None if options.split is None else parse_size(options.split)
    wanted = wanted_of(options.gpu) if options.gpu else None
    asked = BundleRequest(
        lock=Path(options.lock),
        there=None if options.there is None else Path(options.there),
        model=options.model or options.model_config,
        weights=options.model_config is None,
        wanted=wanted,
    )
    return make(asked, Path(options.output), split, default_places(), Terminal())
