"""Environments as the checks take them, of which nothing is on a disk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sartor.verify.subject.model import Subject


def subject(accelerator: Literal["cpu", "cuda"], *names: str) -> Subject:
    """One with these projects installed."""
    return Subject(
        path=Path("/env"),
        python=Path("/env/bin/python"),
        python_version="3.12.3",
        site=[],
        packages=dict.fromkeys(names, "1"),
        accelerator=accelerator,
        variables={"A": "1"},
    )
