"""Say which committed results are older than the code that they prove.

Every JSON file below benchmarks/results names the commit it was made at and the paths it proves
(``"commit"``, ``"proves"``). A result is stale where one of those paths changed since; a file that
was only moved did not. A path that names nothing is a fault: of it no change would ever be seen.
Beside a ``result.json`` the other JSON files of its folder are what it was judged from.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def changed_since(commit: str, paths: list[str]) -> list[str] | None:
    """The paths that changed since ``commit``; None where git cannot say."""
    argv = ["git", "-C", str(ROOT), "diff", "--name-status", "-M", "-z", commit, "HEAD"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return changed_among(done.stdout, paths) if done.returncode == 0 else None


def changed_among(diff: str, paths: list[str]) -> list[str]:
    """Which of ``paths`` a ``git diff --name-status -z`` speaks of, by their new names.

    A file that was moved as it was is no change; one that was moved and changed is one, whichever
    of its two names is proved.
    """
    words = iter(diff.split("\0")[:-1])
    changed = []
    for status in words:
        names = [next(words) for _ in range(2 if status[0] in "RC" else 1)]
        if status != "R100" and any(is_below(name, path) for name in names for path in paths):
            changed.append(names[-1])
    return changed


def is_below(name: str, path: str) -> bool:
    """Whether a file is ``path``, or in that folder."""
    return name == path or name.startswith(path.rstrip("/") + "/")


def is_result(path: Path) -> bool:
    """Whether a JSON file is a result, and not what one beside it was judged from."""
    return path.name == "result.json" or not path.with_name("result.json").exists()


def main() -> int:
    """Print one line for each result; a stale one is no fault, a path that names nothing is."""
    results = sorted(path for path in RESULTS.rglob("*.json") if is_result(path))
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        print(f"NOT CHECKED: whether the {len(results)} committed results are stale (no git here)")
        return 0
    faults = 0
    for path in results:
        result = json.loads(path.read_text("utf-8"))
        name = path.relative_to(ROOT)
        if "commit" not in result or "proves" not in result:
            faults += 1
            print(f"WRONG: {name}: names no `commit` or no `proves`")
            continue
        changed = changed_since(result["commit"], result["proves"])
        gone = [path for path in result["proves"] if not (ROOT / path).exists()]
        if gone:
            faults += 1
            print(f"WRONG: {name}: not there: {', '.join(gone)}; moved? say where in `proves`")
        elif changed is None:
            print(f"NOT CHECKED: {name}: its commit {result['commit'][:12]} is not in this clone")
        elif changed:
            first, more = ", ".join(changed[:4]), len(changed) - 4
            others = f" and {more} more" if more > 0 else ""
            print(f"STALE: {name} ({result['date']}): changed since: {first}{others}")
        else:
            print(f"fresh: {name} ({result['date']})")
    for ring in ("heavy", "gpu"):
        print(f"DID NOT RUN HERE: tests/{ring}, a ring that is run by hand (`./test {ring}`)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
