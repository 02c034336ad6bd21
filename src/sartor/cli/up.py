"""`sartor up`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from sartor.line import UpRequest
    from sartor.reporter import Reporter
    from sartor.serve.start import Server, ServeRequest

_ARGUMENTS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--model", "-m"),
        {
            "metavar": "MODEL",
            "help": "a GGUF file, a safetensors folder, or org/name on the model hub "
            "(org/name:Q4_K_M for one quantisation); default: a tiny demo model",
        },
    ),
    (
        ("--bundle",),
        {
            "metavar": "DIR",
            "action": "append",
            "default": [],
            "help": "serve the stack of this bundle, without a network; repeat it where the bundle "
            "lies in several folders. Default model: the bundle's own",
        },
    ),
    (
        ("--engine", "-e"),
        {
            "metavar": "ENGINE",
            "help": "llama.cpp or vllm, or one with a version (`vllm==0.25.1`); default: chosen "
            "for model and machine",
        },
    ),
    (
        ("--build",),
        {"metavar": "BUILD", "help": "published (default), or native: compile for this machine"},
    ),
    (
        ("--host",),
        {
            "metavar": "HOST",
            "help": "plan for a described machine (`rtx-5090, driver=575.57, cpu=zen5`, a TOML or "
            "JSON file, - for stdin) and stop before building",
        },
    ),
    (
        ("--python",),
        {"metavar": "VERSION", "help": "the environment's Python, for example 3.12"},
    ),
    (
        ("--context",),
        {"type": int, "metavar": "TOKENS", "help": "the context length to serve"},
    ),
    (
        ("--listen",),
        {
            "metavar": "ADDRESS",
            "default": "127.0.0.1",
            "help": "default: 127.0.0.1; any address that others can reach needs an API key, and "
            "one is made",
        },
    ),
    (("--port",), {"type": int, "help": "default: the first free one from 8000"}),
    (
        ("--api-key-file",),
        {
            "metavar": "FILE",
            "help": "a file that holds the API key to ask for (or set SARTOR_API_KEY)",
        },
    ),
    (
        ("--detach", "-d"),
        {"action": "store_true", "help": "return once it answers; `sartor stop` ends it"},
    ),
    (
        ("--upgrade",),
        {
            "action": "store_true",
            "help": "take a newer release even where an environment of an older one is there",
        },
    ),
    (
        ("--slim",),
        {
            "action": "store_true",
            "help": "reduce the packages of a new environment to the device code that this "
            "machine's GPUs load",
        },
    ),
    (("--dry-run",), {"action": "store_true", "help": "plan, and stop before building"}),
    (
        ("--explain",),
        {"action": "store_true", "help": "with a plan: every candidate with its decisions"},
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    add = parser.add_argument
    for names, keywords in _ARGUMENTS:
        add(*names, **keywords)


def run(options: argparse.Namespace) -> int:
    """Bring the line up; for a dry run or a described host, plan alone."""
    from sartor.index.network import as_configured

    as_configured()
    _refuse_plan_options(options)
    if options.dry_run or options.host is not None:
        return _plan(options)
    return _up(options)


def _refuse_plan_options(options: argparse.Namespace) -> None:
    """Raise `UsageError` for options that choose a stack, beside a bundle, which has one."""
    from sartor.errors import UsageError

    names = ("engine", "build", "host", "python", "upgrade", "slim", "dry_run", "explain")
    given = [f"`--{name.replace('_', '-')}`" for name in names if getattr(options, name)]
    if options.bundle and given:
        raise UsageError(
            f"`--bundle` has its stack already: {', '.join(given)} would choose another",
            hint="leave one or the other out",
        )


def _plan(options: argparse.Namespace) -> int:
    from sartor.line import make_plan
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.report.plan import explain_lines, plan_lines
    from sartor.report.terminal import Terminal

    asked = up_request(options)
    serve_request(options)  # what does not hold together is said in a dry run too
    _, _, found = make_plan(asked, default_places(), Terminal())
    planned = found.plan
    if options.json:
        print_document(planned)
    else:
        print_lines(*plan_lines(planned))
        print_lines(*(explain_lines(planned) if options.explain else []))
    return 0


def _up(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C, or with ``--detach`` return once it answers."""
    from sartor.line import up
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.report.endpoint import endpoint_lines
    from sartor.report.logfile import Both, new_log
    from sartor.report.terminal import Terminal

    places, terminal = default_places(), Terminal()
    asked, serving = up_request(options), serve_request(options)
    log = new_log(places, "up")
    with log.ending(), up(asked, serving, places, Both(terminal, log)) as (found, server):
        endpoint = found
        if server and options.detach:
            server.detach()
            endpoint = server.publish(found)
        if options.json:
            print_document(endpoint)
        else:
            print_lines(*endpoint_lines(endpoint))
        if server and not options.detach:
            serve_until_stopped(server, terminal)
    return 0


def serve_until_stopped(server: Server, reporter: Reporter) -> None:
    """Wait for Ctrl-C or SIGTERM; raises `ServerDiedError` where the server ends by itself."""
    from sartor.errors import InterruptedBySignal

    try:
        server.wait()
    except (KeyboardInterrupt, InterruptedBySignal):
        reporter.note("stopping")


def up_request(options: argparse.Namespace) -> UpRequest:
    """The options that say what is wanted."""
    from sartor.cli.plan import checked_context, checked_python
    from sartor.line import UpRequest
    from sartor.plan.model import Request

    want = Request(
        engines=(options.engine,) if options.engine else (),
        build=options.build,
        context=checked_context(options.context),
        python=checked_python(options.python),
        served=True,
    )
    bundles = tuple(options.bundle)
    return UpRequest(want, options.model, options.host, options.upgrade, bundles, slim=options.slim)


def serve_request(options: argparse.Namespace) -> ServeRequest:
    """The options that say where to serve."""
    from sartor.serve.address import checked_port, given_key, listen_address
    from sartor.serve.start import ServeRequest

    key = given_key(options.api_key_file, os.environ)
    port = None if options.port is None else checked_port(options.port)
    return ServeRequest(listen_address(options.listen), port, key)
