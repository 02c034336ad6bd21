"""A few hundred servers that misbehave at random; `tests/heavy` takes 50,000."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parent.parent / "hostile_readings.py"


def test_hostile_servers() -> None:
    """In a process of its own, for it makes the limits small."""
    done = subprocess.run(
        [sys.executable, str(FUZZ), "300", "1000000"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)["outcomes"]
    assert sum(outcomes.values()) == 300
    assert {
        "read, hashed",
        "read",
        "index-refused",
        "untrusted-bytes",
        "index-unreachable",
    } <= outcomes.keys()
