"""The modules of an engine are imported, one after another in one process, as a server does."""

from __future__ import annotations

import importlib
import os
import sysconfig
from functools import partial

from sartor_checks import Check, Result, Settings

IMPORT_SECONDS = 300.0


def checks(settings: Settings) -> list[Check]:
    """``modules``: names to import; ``headers``: None, or what to do where Python's are missing."""
    found = [
        Check("import " + name, "loads", partial(imported, name), IMPORT_SECONDS)
        for name in settings["modules"]
    ]
    if settings["headers"]:
        found.append(
            Check("Python's headers are there", "loads", partial(headers, settings["headers"]))
        )
    return found


def imported(name: str) -> str:
    """Import a module: its version."""
    module = importlib.import_module(name)
    return str(getattr(module, "__version__", "imported"))


def headers(hint: str) -> Result:
    """Triton compiles its link to the driver where a server starts (triton/runtime/build.py)."""
    path = os.path.join(sysconfig.get_path("include", "posix_prefix"), "Python.h")  # noqa: PTH118
    there = os.path.exists(path)  # noqa: PTH110
    return Result(there, path if there else "there is no " + path, hint=None if there else hint)
