"""`sartor plan`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.paths import Places
    from sartor.plan.model import Request
    from sartor.plan.planned import Planned
    from sartor.reporter import Reporter

PYTHON = re.compile(r"3(\.\d+){1,2}")
HOST_HELP = "for a described machine: `rtx-5090, driver=575.57, cpu=zen5`, a file, or -; default: "

ARGUMENTS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--model", "-m"),
        {
            "metavar": "MODEL",
            "help": "a GGUF file, a safetensors folder, or org/name on the model hub",
        },
    ),
    (("--host",), {"metavar": "HOST", "help": f"{HOST_HELP}this machine"}),
    (("--python",), {"metavar": "VERSION", "help": "the environment's Python, for example 3.12"}),
    (("--context",), {"type": int, "metavar": "TOKENS", "help": "the context length to serve"}),
    (
        ("--build",),
        {"metavar": "BUILD", "help": "published (default), native, or the id of a line"},
    ),
    (
        ("--as-of",),
        {"metavar": "DATE", "help": "as it was then: nothing that was uploaded later (2025-08-31)"},
    ),
    (
        ("--pin",),
        {
            "metavar": "REQ",
            "action": "append",
            "default": [],
            "help": "a further requirement, for example `torch==2.11.0`; may be repeated",
        },
    ),
    (
        ("--index",),
        {
            "metavar": "URL",
            "action": "append",
            "default": [],
            "help": "a further index: an address, or ID=ADDRESS in place of a maker's index",
        },
    ),
    (
        ("--objective",),
        {
            "choices": ["newest", "proven", "smallest", "fastest-start"],
            "default": "newest",
            "help": "which of the releases that fit is taken; default: newest",
        },
    ),
    (
        ("--allow",),
        {
            "metavar": "KIND",
            "action": "append",
            "default": [],
            "choices": ["source", "nightly", "third-party", "image"],
            "help": "take that too: source, nightly, third-party or image; may be repeated",
        },
    ),
    (("--refresh",), {"action": "store_true", "help": "ask every index again"}),
)


def add_request(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what is planned, for every command that plans."""
    parser.add_argument(
        "engines",
        nargs="*",
        metavar="ENGINE",
        help="vllm, sglang, llama.cpp, or one of them with a version (`vllm==0.32.0`); several: in "
        "one environment; default: all are ranked for the model and the machine",
    )
    for names, keywords in ARGUMENTS:
        parser.add_argument(*names, **keywords)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    add_request(parser)
    parser.add_argument(
        "--explain", action="store_true", help="every candidate with every decision"
    )
    parser.add_argument(
        "--locked",
        nargs="?",
        const=".",
        metavar="FOLDER",
        help="plan nothing: what has changed since the lock in FOLDER (default: here) was made; "
        "exit status 1 where it must be planned again",
    )


def run(options: argparse.Namespace) -> int:
    """Plan and show; the exit status is 13 where nothing fits."""
    from sartor.errors import NothingFitsError
    from sartor.report.document import print_document, print_lines
    from sartor.report.plan import explain_lines, plan_lines
    from sartor.report.terminal import Terminal

    if options.locked is not None:
        return changed(options, Terminal())
    found = planned(options, Terminal())[1].plan
    if options.json:
        print_document(found)
    else:
        print_lines(*plan_lines(found))
        print_lines(*(explain_lines(found) if options.explain else []))
    return 0 if found.status == "ready" else NothingFitsError.exit_code


def changed(options: argparse.Namespace, reporter: Reporter) -> int:
    """Show what has changed since a lock was made; 1 where it must be planned again."""
    from pathlib import Path

    from sartor.errors import UsageError
    from sartor.line import find_host
    from sartor.locking import read_locked
    from sartor.paths import default_places
    from sartor.plan_lock import changes_since
    from sartor.report.document import print_document, print_lines
    from sartor.report.lock import changes_lines

    if options.engines:
        raise UsageError(
            "`--locked` plans nothing, so that no engine is named with it",
            hint="its folder comes directly after it: `sartor plan --locked FOLDER`",
        )
    locked = read_locked(Path(options.locked))
    places = default_places()
    host = find_host(options.host, places)
    found = changes_since(locked, host, places, reporter, refresh=options.refresh)
    if options.json:
        print_document(found)
    else:
        print_lines(*changes_lines(found))
    return 0 if found.consequence == "still holds" else 1


def planned(options: argparse.Namespace, reporter: Reporter) -> tuple[Host, Planned]:
    """The machine, and the plan that the options ask for."""
    from sartor.index.network import as_configured
    from sartor.line import find_host
    from sartor.paths import default_places
    from sartor.planning import plan_with_catalog

    if options.model is not None:
        as_configured()
    places = default_places()
    host = find_host(options.host, places)
    model = model_of(options.model, places, reporter)
    request = request_of(options)
    found = plan_with_catalog(host, request, model, places, reporter, refresh=options.refresh)
    return host, found


def model_of(reference: str | None, places: Places, reporter: Reporter) -> Model | None:
    """The model as far as planning needs it: its configuration alone will do."""
    from sartor.line import look_up
    from sartor.models.configured import configured

    known = None if reference is None else configured(reference)
    return known or look_up(reference, places, reporter)


def request_of(options: argparse.Namespace) -> Request:
    """The options; raises `UsageError` for what means nothing."""
    from sartor.plan.model import Request

    return Request(
        engines=tuple(options.engines),
        build=options.build,
        context=checked_context(options.context),
        python=checked_python(options.python),
        pins=tuple(options.pin),
        as_of=moment_of(options.as_of),
        objective=options.objective,
        allow=tuple(sorted(set(options.allow))),
        indexes=tuple(options.index),
    )


def checked_context(tokens: int | None) -> int | None:
    """A number of tokens; raises `UsageError`."""
    from sartor.errors import UsageError

    if tokens is not None and tokens < 1:
        raise UsageError(
            "`--context` is a number of tokens, 1 or more",
            hint="leave it out for the engine's default",
        )
    return tokens


def checked_python(version: str | None) -> str | None:
    """A version of Python; raises `UsageError`."""
    from sartor.errors import UsageError

    if version is not None and not PYTHON.fullmatch(version):
        raise UsageError(
            f"`--python {version}` is not a version of Python", hint="the form is 3.12, or 3.12.4"
        )
    return version


def moment_of(date: str | None) -> str | None:
    """``2025-08-31`` → the end of that day in UTC, as RFC 3339; a whole moment as it is."""
    from datetime import UTC, datetime

    from sartor.errors import UsageError

    if date is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{date}T23:59:59+00:00" if len(date) == 10 else date)
    except ValueError:
        raise UsageError(
            f"`--as-of {date}` is not a date",
            hint="the form is 2025-08-31, or 2025-08-31T12:00:00Z",
        ) from None
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return known.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
