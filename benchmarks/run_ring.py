"""Run a ring that CI does not run, and keep its log and a JSON of what came out.

usage: python benchmarks/run_ring.py heavy              the whole ring
       python benchmarks/run_ring.py heavy plan_proved  one file of it, `test_plan_proved.py`
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from timing import ROOT, write_result

PROVES = {
    "heavy": ["tests/heavy", "src/sartor/build", "src/sartor/serve", "src/sartor/engines"],
    "plan_proved": ["tests/heavy/test_plan_proved.py", "src/sartor/plan", "src/sartor/lock"],
    "device_code": [
        "tests/heavy/test_device_code.py",
        "tests/judged_device_code.py",
        "src/sartor/artifact",
    ],
    "gpu": ["tests/gpu", "src/sartor/host", "src/sartor/build", "src/sartor/serve"],
}


def outcomes(report: Path) -> dict[str, str]:
    """Test → ``passed``, ``failed`` or ``did not run: why``, with its seconds and properties."""
    found = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        skipped, seconds = case.find("skipped"), float(case.get("time", "0"))
        word = "passed"
        if skipped is not None:
            word = f"did not run: {skipped.get('message')}"
        elif case.find("failure") is not None or case.find("error") is not None:
            word = "failed"
        measured = [f"{p.get('name')}: {p.get('value')}" for p in case.iter("property")]
        text = "; ".join([f"{word} ({seconds:.1f} s)", *measured])
        found[f"{case.get('classname')}::{case.get('name')}"] = text
    return found


def main() -> int:
    """Run the ring, write its files, return pytest's status."""
    ring, name = sys.argv[1], (sys.argv[2:] or sys.argv[1:])[0]
    tests = f"tests/{ring}" + ("" if name == ring else f"/test_{name}.py")
    folder = ROOT / "benchmarks" / "results" / ring
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        argv = [sys.executable, "-m", "pytest", "-v", f"--junitxml={report}", tests]
        with (folder / f"{name}.log").open("w", encoding="utf-8") as log:
            status = subprocess.call(argv, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        path = folder / f"{name}.log"
        text = path.read_text("utf-8").replace(str(ROOT), ".").replace(sys.executable, "python")
        path.write_text(text.replace(f"{scratch}/", ""), "utf-8")
        result = {"script": "benchmarks/run_ring.py", "log": f"{name}.log", "status": status}
        write_result(f"{ring}/{name}", PROVES[name], {**result, "outcomes": outcomes(report)})
    return status


if __name__ == "__main__":
    sys.exit(main())
