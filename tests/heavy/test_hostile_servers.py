"""50,000 servers that misbehave at random: see `tests/hostile_readings.py`, which keeps the log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

READINGS = Path(__file__).parent.parent / "hostile_readings.py"
BEHAVIOURS = 50_000


def test_many_hostile_servers() -> None:
    """Some twenty minutes on two cores, most of it waiting for servers that stall."""
    done = subprocess.run(
        [sys.executable, str(READINGS), str(BEHAVIOURS), "--keep"],
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["behaviours"] == BEHAVIOURS
