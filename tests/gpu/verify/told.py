"""Say in a few lines what a report of `sartor verify` says.

usage: told.py PART REPORT.json STATUS
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path


def main(part: str, report: str, status: str) -> None:
    """One line for the whole, one for each check that did not pass, and the closest calls."""
    if not Path(report).exists():
        sys.stdout.write(f"{part}: no report, status {Path(status).read_text().strip()}\n")
        return
    found = json.loads(Path(report).read_text())
    made = found["outcomes"]
    counts = Counter((o["grade"], o["outcome"]) for o in made)
    lines = [f"{part}: grade {found['grade']} of {found['asked']}"]
    lines += [f"  {grade}: {n} {outcome}" for (grade, outcome), n in sorted(counts.items())]
    lines += [f"  {c['grade']}: {c['seconds']} s, {c['gpu_bytes']} bytes" for c in found["costs"]]
    for o in made:
        if o["outcome"] in ("failed", "not checked", "not applicable"):
            said = (o.get("detail") or o.get("why") or "").splitlines()
            measured = o.get("measured")
            figure = f" {measured['error']:.4g} of {measured['bound']:.4g}" if measured else ""
            lines.append(f"  {o['outcome']}: {o['check']}:{figure} {' | '.join(said[-3:])}"[:600])
    close = [
        (o["measured"]["error"] / o["measured"]["bound"], o["check"])
        for o in made
        if o.get("measured") and o["measured"]["bound"]
    ]
    lines += [f"  {ratio:.3f} of its bound: {name}" for ratio, name in sorted(close)[-8:]]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
