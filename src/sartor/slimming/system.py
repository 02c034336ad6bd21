"""The system's own Python, whose files are a package manager's: it is not slimmed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import NotSlimmableError

if TYPE_CHECKING:
    from sartor.verify.subject.interpreter import Interpreter

MARK = "EXTERNALLY-MANAGED"
"""In the folder of the standard library (PEP 668)."""
SYSTEM = Path("/usr")
"""Where the packages of distributions have their Python, and nobody else."""


def refuse_system(asked: Interpreter) -> None:
    """Raise `NotSlimmableError` where the environment is a whole system, or another's to change.

    A virtual environment made of such a Python is its maker's.
    """
    if asked.prefix != asked.base_prefix:
        return
    mark = next((p for folder in asked.path if (p := Path(folder) / MARK).is_file()), None)
    if mark is not None:
        why = f"`{mark}` says that it is managed by others (PEP 668)"
    elif Path(asked.prefix).resolve() == SYSTEM:
        why = "its files belong to the packages of the distribution"
    else:
        return
    raise NotSlimmableError(
        f"the Python in `{asked.prefix}` is the system's, and is left as it is: {why}",
        hint="install into an environment of your own, and slim that: `python3 -m venv ENV`",
    )
