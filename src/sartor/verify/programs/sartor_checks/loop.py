"""Runs a program's checks one after another, and says what became of each at once.

usage: python -I loop.py < JOB       (by `sartor.verify.child`)

JOB is one JSON object: ``program`` (a module of this package), ``settings``, ``grades``, ``checks``
(the names of those to run; null: all of these grades), ``beside`` (a folder to import from after
all others, or null) and ``results`` (the file descriptor to write to, a JSON object on each line).
All checks of the grades are announced, also those that are not to be run.
A line ``begin`` stands before each check, so that one that takes the process with it is known.
Where a check has poisoned the process (a CUDA context after an illegal access), the rest is left.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import time
import traceback
from pathlib import Path

FOLDER = str(Path(__file__).resolve().parent.parent)
STICKY = (
    "an illegal memory access",
    "illegal instruction",
    "misaligned address",
    "device-side assert",
    "unspecified launch failure",
    "hardware exception",
    "CUDA_ERROR_LAUNCH_FAILED",
)
"""Words of CUDA errors after which the process's context is of no more use."""
LAST_LINES = 12
ADDED = (
    "Search for `cuda",
    "CUDA kernel errors might be asynchronously reported",
    "For debugging consider passing CUDA_LAUNCH_BLOCKING",
    "Compile with `TORCH_USE_CUDA_DSA`",
)


def main() -> None:
    """Plan, run, say."""
    job = json.load(sys.stdin)
    out = os.fdopen(job["results"], "w", encoding="utf-8", buffering=1)

    def say(**line: object) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    sys.path.append(FOLDER)
    if job["beside"]:
        sys.path.append(job["beside"])
    program = importlib.import_module("sartor_checks." + job["program"])
    checks = [check for check in program.checks(job["settings"]) if check.grade in job["grades"]]
    keys = ("name", "grade", "seconds", "package", "features", "alone")
    say(plan=[{key: getattr(check, key) for key in keys} for check in checks])
    wanted = job["checks"]
    for check in checks:
        if wanted is not None and check.name not in wanted:
            continue
        say(begin=check.name)
        found = outcome(check)
        poisoned = found.pop("poisoned", False)
        say(end=check.name, **found)
        if poisoned:
            break
    say(done=True)
    out.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # what was imported may hang or crash when it is taken down, which proves nothing


def outcome(check: object) -> dict[str, object]:
    """Run one check: the members of its ``end`` line."""
    from sartor_checks import NothingToCheck, NotMade, Result

    reset_gpu_peak()
    began = time.perf_counter()
    try:
        result = check.run()  # type: ignore[attr-defined]
        if not isinstance(result, Result):
            result = Result(True, str(result or ""))
        found: dict[str, object] = {
            "outcome": "passed" if result.passed else "failed",
            "detail": result.detail,
            "hint": result.hint,
            "poisoned": result.poisoned,
            "gpu_bytes": result.gpu_bytes,
        }
        if result.measure is not None:
            finite = math.isfinite(result.measure.error)
            error = result.measure.error if finite else None  # JSON has neither NaN nor infinity
            found["measured"] = {**result.measure._asdict(), "error": error}
    except NotMade as error:
        spent = getattr(error, "poisoned", False)
        found = {"outcome": "not checked", "why": str(error), "poisoned": spent}
    except NothingToCheck as error:
        spent = getattr(error, "poisoned", False)
        found = {"outcome": "not applicable", "why": str(error), "poisoned": spent}
    except BaseException as error:
        found = {
            "outcome": "failed",
            "detail": last_words(error),
            "poisoned": any(words in str(error) for words in STICKY),
        }
    found["seconds"] = round(time.perf_counter() - began, 4)
    if found.get("gpu_bytes") is None:
        found["gpu_bytes"] = gpu_peak()
    return found


def last_words(error: BaseException) -> str:
    """The end of its traceback, without what torch adds to every error of CUDA's."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    text = [line for line in "".join(lines).strip().splitlines() if line.strip(" ^~")]
    return "\n".join([line for line in text if not line.startswith(ADDED)][-LAST_LINES:])


def reset_gpu_peak() -> None:
    """Begin to count torch's GPU memory anew, where torch has been at work."""
    torch = sys.modules.get("torch")
    try:
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.reset_peak_memory_stats()
    except Exception:  # noqa: S110 - a torch that is broken is what others find
        pass


def gpu_peak() -> object:
    """The most GPU memory, in bytes, that torch has held since; None where it has been nowhere."""
    torch = sys.modules.get("torch")
    try:
        if torch is not None and torch.cuda.is_initialized():
            return max(torch.cuda.max_memory_reserved(i) for i in range(torch.cuda.device_count()))
    except Exception:  # noqa: S110
        pass
    return None


if __name__ == "__main__":
    main()
