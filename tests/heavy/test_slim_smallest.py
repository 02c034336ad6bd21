"""Every library with device code of published wheels, reduced to each GPU, before judges.

What stays is compared with `tests/heavy/judges/smallest.py`, which shares no code with Sartor;
`readelf` and `eu-elflint` look at one result of each library. Wheels are as `tests/wheels.py` has
them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sartor.slim.choice import Wanted
from sartor.slim.library.reduce import slim_library
from sartor.verdict.model import Target
from wheels import wheel

JUDGE = Path(__file__).parent / "judges" / "smallest.py"
CAPABILITIES = ("7.5", "8.0", "8.9", "9.0", "10.0", "12.0")
WHEELS = ["vllm==0.25.1", "vllm==0.32.0", "torch==2.11.0", "bitsandbytes==0.50.2"]
WHEELS += ["sglang-kernel==0.4.10"]


def told(*argv: str | Path) -> str:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def complaints(argv: list[str | Path]) -> list[str]:
    """Lines of a judge, without numbers, which may be others."""
    lines = told(*argv).splitlines()
    if argv[0] == "readelf":
        lines = [line for line in lines if re.match("readelf: (Warning|Error)", line)]
    return sorted(re.sub(r"0x[0-9a-f]+|\d+", "#", line) for line in lines)


@pytest.mark.parametrize("requirement", WHEELS)
def test_what_stays_is_the_least(requirement: str, tmp_path: Path) -> None:
    judged = 0
    with zipfile.ZipFile(wheel(requirement)) as archive:
        for name in archive.namelist():
            if not name.endswith(".so"):
                continue
            library, output = Path(archive.extract(name, tmp_path)), tmp_path / "slimmed"
            judged += judge(library, output)
            library.unlink()
    assert judged > 0


def judge(library: Path, output: Path) -> int:
    """How many results of one library were judged."""
    judged = 0
    for capability in CAPABILITIES:
        target = Target(f"sm_{capability.replace('.', '')}", capability)
        result = slim_library(library, output, Wanted((target,)))
        if not result.device_bytes_before:
            return 0
        assert {left.code for left in result.left_alone} <= {"relocatable"}
        said = json.loads(told(sys.executable, JUDGE, library, capability, "--against", output))
        assert said["device_bytes"] == result.device_bytes_before
        assert said["kept"] == result.device_bytes_after
        assert said["kept"] <= 1.02 * said["smallest"]
        judged += 1
    assert shutil.which("eu-elflint"), "elfutils is not installed"
    for words in (["readelf", "-aW"], ["eu-elflint", "--gnu-ld"]):
        assert complaints([*words, output]) == complaints([*words, library])
    return judged
