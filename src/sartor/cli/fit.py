"""`sartor fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from sartor.fitting import FitRequest

_ARGUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--shape",
        {
            "metavar": "NUMBERS",
            "help": "a few numbers in place of a model: `7.6B params, 28 layers, 4 kv heads, "
            "head dim 128, hidden 3584, vocab 152064`",
        },
    ),
    (
        "--host",
        {
            "metavar": "HOST",
            "help": "for a described machine: `2x rtx-4090`, a TOML or JSON file, or -; default: "
            "this machine",
        },
    ),
    ("--engine", {"metavar": "ENGINE", "help": "llama.cpp or vllm; default: by the format"}),
    ("--context", {"type": int, "metavar": "TOKENS", "help": "of each sequence"}),
    (
        "--concurrency",
        {"type": int, "metavar": "N", "default": 1, "help": "sequences at once; default: 1"},
    ),
    (
        "--fraction",
        {
            "type": float,
            "metavar": "SHARE",
            "help": "how much of a GPU the engine takes (vLLM's `--gpu-memory-utilization`)",
        },
    ),
    (
        "--kv-cache",
        {
            "metavar": "TYPE",
            "default": "auto",
            "help": "the KV cache's type: auto, fp8 (vLLM), f16, q8_0, q4_0 (llama.cpp)",
        },
    ),
    (
        "--batched-tokens",
        {"type": int, "metavar": "N", "help": "tokens of vLLM's largest step; default: vLLM's"},
    ),
    (
        "--sequences",
        {"type": int, "metavar": "N", "help": "sequences of vLLM's largest step; default: vLLM's"},
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a GGUF file, a safetensors folder, a config.json, or org/name on the model hub",
    )
    for name, keywords in _ARGUMENTS:
        parser.add_argument(name, **keywords)


def run(options: argparse.Namespace) -> int:
    """Ask, show, return 0; also where nothing fits: the document says so."""
    from sartor.fitting import fit_model
    from sartor.paths import default_places
    from sartor.report.document import print_document, print_lines
    from sartor.report.fit import fit_lines
    from sartor.report.terminal import Terminal

    found = fit_model(fit_request(options), default_places(), Terminal())
    if options.json:
        print_document(found)
    else:
        print_lines(*fit_lines(found))
    return 0


def fit_request(options: argparse.Namespace) -> FitRequest:
    """The options; raises `UsageError` for numbers that mean nothing."""
    from sartor.errors import UsageError
    from sartor.fitting import FitRequest

    for name in ("context", "concurrency", "batched_tokens", "sequences"):
        value = getattr(options, name)
        if value is not None and not 1 <= value <= 1 << 40:
            raise UsageError(
                f"`--{name.replace('_', '-')}` is a number, 1 or more", hint="leave it out"
            )
    if options.fraction is not None and not 0 < options.fraction <= 1:
        raise UsageError("`--fraction` is above 0 and at most 1", hint="write for example 0.9")
    return FitRequest(
        options.model,
        options.shape,
        options.host,
        options.engine,
        options.context,
        options.concurrency,
        options.fraction,
        options.kv_cache,
        options.batched_tokens,
        options.sequences,
    )
