"""The modules of an engine are imported, one after another in one process, as a server does."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sysconfig
from functools import partial

from sartor_checks import Check, NotMade, Result, Settings

IMPORT_SECONDS = 300.0


def checks(settings: Settings) -> list[Check]:
    """``modules``: names to import; ``headers``: None, or what to do where Python's are missing.

    ``torch``: whether to ask it how it was built; ``gpu``: None, or the ``program`` that asks the
    engine for its GPU, and ``why`` it is not asked.
    """
    found = [
        Check("import " + name, "loads", partial(imported, name), IMPORT_SECONDS)
        for name in settings["modules"]
    ]
    if settings["headers"]:
        found.append(
            Check("Python's headers are there", "loads", partial(headers, settings["headers"]))
        )
    if settings["torch"]:
        found.append(Check("torch says how it was built", "loads", torch_config))
    if settings["gpu"]:
        found.append(
            Check("sees the GPU", "loads", partial(sees_gpu, settings["gpu"]), IMPORT_SECONDS)
        )
    return found


def torch_config() -> str:
    """``torch.__config__.show()``: versions and options that it was built with."""
    torch = importlib.import_module("torch")
    return str(torch.__config__.show()).strip()


def sees_gpu(asked: dict[str, str]) -> Result:
    """Run the program: what it prints, and whether it ends with status 0."""
    if asked["why"]:
        raise NotMade(asked["why"])
    words = io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(words):
        try:
            exec(asked["program"], {"__name__": "__main__"})  # noqa: S102 - a launcher's own
        except SystemExit as error:
            status = error.code
    detail = words.getvalue().strip()
    return Result(not status, detail or ("" if not status else "the engine sees no GPU"))


def imported(name: str) -> str:
    """Import a module: its version."""
    module = importlib.import_module(name)
    return str(getattr(module, "__version__", "imported"))


def headers(hint: str) -> Result:
    """Triton compiles its link to the driver where a server starts (triton/runtime/build.py)."""
    path = os.path.join(sysconfig.get_path("include", "posix_prefix"), "Python.h")  # noqa: PTH118
    there = os.path.exists(path)  # noqa: PTH110
    return Result(there, path if there else "there is no " + path, hint=None if there else hint)
