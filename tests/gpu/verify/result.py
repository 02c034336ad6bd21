"""The result of a run as it is kept: what each report came to, and on which machine.

usage: result.py FOLDER WHAT COMMIT SCRIPT LOG [REMARK…]     FOLDER has the reports, PART.json each
Writes FOLDER/result.json; reports and logs are to be compressed beside it (xz).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

PROVES = [
    "src/sartor/verify/programs/sartor_checks",
    "src/sartor/verify/device/handed.py",
    "src/sartor/verify/loads/images.py",
    "src/sartor/verify/runs/first_use.py",
    "src/sartor/verify/loads/libraries.py",
    "src/sartor/verify/child.py",
    "src/sartor/verify/runs/checks.py",
    "src/sartor/verify/runs/torch.py",
    "src/sartor/verify/runs/engines.py",
    "src/sartor/verify/runs/caches.py",
    "tests/gpu/verify",
]
VERSIONS = ("torch", "triton", "vllm", "flashinfer-python", "transformers", "nvidia-")


def part(report: dict[str, Any]) -> dict[str, Any]:
    """What one report came to."""
    outcomes: dict[str, Counter[str]] = {}
    for one in report["outcomes"]:
        outcomes.setdefault(one["grade"], Counter())[one["outcome"]] += 1
    named = {
        kind: [one["check"] for one in report["outcomes"] if one["outcome"] == kind]
        for kind in ("failed", "not checked")
    }
    memory = {c["grade"]: c["gpu_bytes"] >> 20 for c in report["costs"] if c["gpu_bytes"]}
    return {
        "asked": report["asked"],
        "grade": report["grade"],
        "outcomes": outcomes,
        "seconds": {c["grade"]: c["seconds"] for c in report["costs"]},
        "seconds in all": report.get("seconds"),
        "GPU MiB": memory,
        **{kind: names[:40] for kind, names in named.items()},
        "failures": len(named["failed"]),
    }


def main() -> None:
    """Read the reports, write the result."""
    folder, what, commit, script, log = Path(sys.argv[1]), *sys.argv[2:6]
    read = {p.stem: json.loads(p.read_text("utf-8")) for p in sorted(folder.glob("*.json"))}
    reports = {n: r for n, r in read.items() if r.get("schema", "").startswith("sartor.report/")}
    first = next(iter(reports.values()))
    packages = {n: v for report in reports.values() for n, v in report["packages"].items()}
    machine = first["machine"]
    gpu = machine["gpus"][0]
    memory = f"{gpu['memory_bytes'] >> 20} MiB" if gpu["memory_bytes"] else "memory not told"
    result = {
        "what": what,
        "commit": commit,
        "date": first["made_at"][:10],
        "proves": PROVES,
        "hardware": {
            "gpu": f"{len(machine['gpus'])}x {gpu['name']} ({gpu['compute_capability']}, {memory})",
            "cpu": machine["cpu"],
            "cores": machine["cores"],
        },
        "driver": f"{machine['driver']} (CUDA {machine['cuda']})",
        "versions": {"python": first["python"]}
        | {n: v for n, v in sorted(packages.items()) if n.startswith(VERSIONS)},
        "script": script,
        "log": log,
        "parts": {name: part(report) for name, report in reports.items()},
        "remarks": sys.argv[6:],
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
