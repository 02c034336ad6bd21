"""vLLM's extension libraries: loaded as vLLM does, and an operator of theirs by name."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

from sartor_checks import NothingToCheck, NotMade


@cache
def ops() -> Any:
    """vLLM's wrappers around its operators; importing them loads the libraries."""
    return importlib.import_module("vllm._custom_ops")


def operator(namespace: str, name: str) -> Any:
    """An operator of ``torch.ops``. `NothingToCheck` where this build of vLLM has none of it.

    `NotMade` where a library that might hold it does not load.
    """
    import torch

    ops()
    found = getattr(getattr(torch.ops, namespace), name, None)
    if found is not None and any(
        getattr(found, one)._schema.arguments for one in found.overloads()
    ):
        return found  # one without arguments is a name that a build for the CPU keeps free
    failures = broken()
    if failures:
        raise NotMade("; ".join(failures))
    raise NothingToCheck(f"this build of vLLM has no operator `{namespace}.{name}`")


@cache
def broken() -> tuple[str, ...]:
    """The extension libraries of a CUDA build that cannot be imported, each with why."""
    import torch
    import vllm

    if not torch.cuda.is_available():
        return ()
    found = []
    folder = Path(vllm.__file__).parent
    for path in [*folder.glob("_C*.so"), *folder.glob("_moe_C*.so")]:
        name = path.name.partition(".")[0]
        try:
            importlib.import_module("vllm." + name)
        except Exception as error:
            found.append(f"`vllm.{name}` does not load: {error}")
    return tuple(found)
