"""Programs that judge slimmed libraries, or make them; where one is missing its test is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def program(name: str) -> str:
    """Where it is; the test is skipped, and says so, where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} on this machine: it was not asked")
    return found


def told(*argv: str | Path, expect: int | None = 0, **variables: str) -> str:
    """What a program says, on either stream."""
    done = subprocess.run(
        [str(word) for word in argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert expect is None or done.returncode == expect, done.stdout
    return done.stdout
