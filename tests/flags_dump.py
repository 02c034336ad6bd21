"""Run by an engine's own Python: `python flags_dump.py vllm|sglang` prints its parser as JSON.

Nothing of Sartor is used here: this is what the engine itself says of its options.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import json
import sys
from typing import Any


def plain(value: Any) -> Any:
    """A value as JSON has it, or a mark with the name of its class."""
    if isinstance(value, enum.Enum):
        return (
            plain(value.value)
            if isinstance(value.value, str)
            else {"object": f"{type(value).__name__}.{value.name}"}
        )
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, (set, frozenset)) else items
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"object": f"{type(value).__name__}(...)"}
    return {"object": getattr(value, "__name__", type(value).__name__)}


def type_name(kind: Any) -> str | None:
    """The name of what makes a value out of a text."""
    if kind is None:
        return None
    return getattr(kind, "__name__", None) or type_name(getattr(kind, "func", None)) or "partial"


def choices(action: argparse.Action) -> Any:
    """The choices in their order; those of a set have none."""
    if action.choices is None:
        return None
    found = action.choices
    return plain(found if isinstance(found, (set, frozenset)) else list(found))


def dumped(action: argparse.Action) -> dict[str, Any]:
    """One action."""
    return {
        "names": list(action.option_strings) or [action.dest],
        "dest": action.dest,
        "action": type(action).__name__,
        "type": type_name(action.type),
        "nargs": action.nargs,
        "const": plain(action.const),
        "default": plain(action.default),
        "choices": choices(action),
        "required": action.required,
        "metavar": plain(action.metavar),
    }


def vllm_parser() -> argparse.ArgumentParser:
    """The parser of `vllm serve`, made as its command line makes it."""
    from vllm.entrypoints.cli.serve import cmd_init
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    top = FlexibleArgumentParser()
    below = top.add_subparsers(dest="subparser")
    parser: argparse.ArgumentParser = cmd_init()[0].subparser_init(below)
    return parser


def sglang_parser() -> argparse.ArgumentParser:
    """The parser of `sglang.launch_server`."""
    from sglang.srt.server_args import ServerArgs

    parser = argparse.ArgumentParser()
    ServerArgs.add_cli_args(parser)
    return parser


def main() -> None:
    """Print the actions of one engine's parser, and its environment variables."""
    engine = sys.argv[1]
    sys.argv = [engine, "serve", "--help=all"]
    parser = vllm_parser() if engine == "vllm" else sglang_parser()
    found: dict[str, Any] = {"actions": [dumped(action) for action in parser._actions]}
    if engine == "vllm":
        import vllm.envs

        found["variables"] = sorted(vllm.envs.environment_variables)
    sys.stdout.write("DUMP" + json.dumps(found))


if __name__ == "__main__":
    main()
