"""What a machine has of a plan: versions of distributions, the driver, compilers, `import vllm`.

usage: python there.py OUT.json            (on the machine; wants nothing but Python)
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

COMPILERS = ("cc", "gcc", "c++", "g++", "clang", "nvcc", "ninja", "ptxas")


def said(*command: str) -> str | None:
    """The output of a program; None where it is not there."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


def versions() -> dict[str, dict[str, str]]:
    """Version and place of each distribution, the first on the path counts, as it does."""
    found: dict[str, dict[str, str]] = {}
    for one in metadata.distributions():
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"] or "").lower()
        where = str(one.locate_file(""))
        found.setdefault(name, {"version": one.version, "where": where})
    return found


def imported() -> dict[str, object]:
    """`import vllm` and its own libraries, in a process of its own."""
    code = (
        "import json, torch, vllm, vllm._custom_ops, triton;"
        "print(json.dumps([vllm.__version__, torch.__version__, triton.__version__,"
        " torch.version.cuda, torch.cuda.get_device_name(0)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return {"status": done.returncode, "said": done.stdout[-400:], "error": done.stderr[-1500:]}


def main() -> None:
    """Write it."""
    query = "--query-gpu=name,compute_cap,driver_version,memory.total"
    found = {
        "python": platform.python_version(),
        "libc": platform.libc_ver(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "gpu": said("nvidia-smi", query, "--format=csv,noheader"),
        "cuda": re.findall(r"CUDA Version: *([0-9.]+)", said("nvidia-smi") or ""),
        "compilers": {name: shutil.which(name) for name in COMPILERS},
        "gcc": (said("gcc", "--version") or "").partition("\n")[0],
        "nvcc": (said("nvcc", "--version") or "").splitlines()[-2:],
        "packages": versions(),
        "import": imported(),
    }
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
