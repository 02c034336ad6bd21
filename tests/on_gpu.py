"""What the tests on a real GPU share: `sartor` as a user starts it, and what the driver sees."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

Document = dict[str, Any]


def home() -> Path:
    """The home of the ring's runs; compiled wheels and unpacked sources there are used again."""
    folder = Path(os.environ.setdefault("SARTOR_HOME", "/tmp/sartor-gpu"))  # noqa: S108
    folder.mkdir(exist_ok=True)
    return folder


def sartor(*arguments: str, **variables: str) -> Document:
    """Run one command and return its JSON document."""
    argv = [sys.executable, "-m", "sartor", *arguments, "--json"]
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, env={**os.environ, **variables}, check=False
    )
    document: Document = json.loads(done.stdout)
    return document


def compute_processes() -> dict[int, int]:
    """Process → MiB of GPU memory, as the driver lists them."""
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=True)
    rows = [line.split(",") for line in done.stdout.splitlines() if "," in line]
    return {int(pid): int(used) for pid, used in rows if used.strip().isdecimal()}


def memory_in_use() -> int:
    """MiB in use on all GPUs together."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=True)
    return sum(int(line) for line in done.stdout.split())


def family(pid: int) -> list[psutil.Process]:
    """A process and all that come from it, where it runs."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def runs(process: psutil.Process) -> bool:
    """Whether that very process still runs; a zombie does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
