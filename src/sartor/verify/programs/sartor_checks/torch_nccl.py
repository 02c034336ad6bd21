"""Collectives across the GPUs that are there: NCCL, one process for each; on the CPU, Gloo.

NVLink multicast (NVLS) stays off (`QUIET`): its objects belong to the switches that the GPUs of a
host share, also between machines, and a process that is ended with one in hand can leave them
unusable for the others. So what NCCL does with NVLS is not checked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sartor_checks import Check, NothingToCheck, NotMade, Result
from sartor_checks.torch_numbers import reachable, where

RANK = str(Path(__file__).with_name("torch_rank.py"))
SECONDS = 180.0
CPU_RANKS = 2
QUIET = {
    "NCCL_NVLS_ENABLE": "0",
    "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1",
    "NVSHMEM_DISABLE_NVLS": "1",
}
TAIL = 6


def collective_checks(device: str, least_gpus: int) -> list[Check]:
    """One communicator of a single process, and one of all."""
    name, prefix = "NCCL" if device == "cuda" else "Gloo", where(device)
    texts = "GPUs" if device == "cuda" else "processes"
    return [
        Check(prefix + f"{name} alone", "launches", partial(alone, device), SECONDS + 30),
        Check(
            prefix + f"{name} across the {texts}",
            "launches",
            partial(together, device, least_gpus),
            SECONDS + 30,
        ),
    ]


def alone(device: str) -> Result:
    """A communicator of one."""
    able(device)
    return ranks(device, 1)


def together(device: str, least: int) -> Result:
    """One process for each GPU."""
    able(device)
    count = torch.cuda.device_count() if device == "cuda" else CPU_RANKS
    if count < least:
        raise NothingToCheck("one GPU")
    return ranks(device, count)


def able(device: str) -> None:
    """Raise where torch has no collectives, or no GPU."""
    reachable(device)
    from torch import distributed

    if not distributed.is_available():
        raise NothingToCheck("this torch has no collectives")
    if device == "cuda" and not distributed.is_nccl_available():
        raise NothingToCheck("this torch has no NCCL")


def ranks(device: str, count: int) -> Result:
    """Start ``count`` processes, wait for all, and gather what they say."""
    variables = {**os.environ, **QUIET}
    if device == "cpu":
        variables["GLOO_SOCKET_IFNAME"] = "lo"
    with tempfile.TemporaryDirectory(prefix="sartor-ranks-") as folder:
        outputs = [Path(folder) / str(rank) for rank in range(count)]
        processes = []
        try:
            for rank, output in enumerate(outputs):
                job = {"device": device, "rank": rank, "count": count, "folder": folder}
                with output.open("wb") as file:
                    command = [sys.executable, "-I", RANK, json.dumps(job)]
                    # In this process's group, so that whoever ends it ends them.
                    started = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=variables
                    )
                processes.append(started)
            ended = awaited(processes)
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        return judged(ended, [file.read_text("utf-8", "replace") for file in outputs], device)


def awaited(processes: list[Any]) -> bool:
    """Wait until all have ended, or one has failed (the rest would wait for it), or too long."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        statuses = [process.poll() for process in processes]
        if all(status == 0 for status in statuses):
            return True
        if any(status not in (None, 0) for status in statuses):
            time.sleep(1.0)  # the others' last words
            return True
        time.sleep(0.05)
    return False


def judged(ended: bool, outputs: list[str], device: str) -> Result:
    """What the ranks said, as one result."""
    said: dict[int, dict[str, str]] = {}
    for rank, text in enumerate(outputs):
        for line in text.splitlines():
            if line.startswith("RANK "):
                said[rank] = json.loads(line[len("RANK ") :])
    faults = [f"rank {r}: {op}: {fault}" for r in said for op, fault in said[r].items() if fault]
    for rank, text in enumerate(outputs):
        if rank not in said:
            words = "\n".join(text.strip().splitlines()[-TAIL:])
            how = "" if ended else f"did not end within {SECONDS:g} s; "
            faults.append(f"rank {rank}: {how}{words or 'said nothing'}")
    if faults:
        hint = "`NCCL_DEBUG=INFO` makes NCCL say what it does" if device == "cuda" else None
        return Result(False, "\n".join(faults), hint=hint)
    if not said or not said[0]:
        raise NotMade("no collective was tried")
    off = "; NVLink multicast off (NCCL_NVLS_ENABLE=0)" if device == "cuda" else ""
    return Result(True, f"{len(outputs)} of {', '.join(said[0])}{off}")
