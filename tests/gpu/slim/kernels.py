"""What `build.py` made, loaded and run on a GPU: does the driver take what was written?

Each library runs in a process of its own, with the driver's compiler switched off where it must not
be needed (`CUDA_DISABLE_PTX_JIT=1`). What its kernels give must be the bits of `native.so` or
`ptx.so`, of which it was made. Wants an NVIDIA GPU and Python alone; prints one JSON document.
usage: python3 kernels.py FOLDER
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

UNITS = range(1, 6)
SIZE = 100_000
MADE_OF = {"retargeted": "ptx", "compressed": "native"}


def run(path: Path) -> dict[str, object]:
    """What each unit of a library gives: a digest of its numbers, or the run time's error."""
    library = ctypes.CDLL(str(path))
    found: dict[str, object] = {}
    for number in UNITS:
        out = (ctypes.c_float * (2 * SIZE))()
        status = getattr(library, f"run_{number}")(out, SIZE)
        same = hashlib.sha256(bytes(out)).hexdigest()[:16]
        found[str(number)] = same if status == 0 else f"error {-status}"
    return found


def in_process(path: Path, *, may_compile: bool) -> dict[str, object]:
    """The same in a process of its own, with an empty cache of the driver."""
    with tempfile.TemporaryDirectory() as cache:
        own = {"CUDA_CACHE_PATH": cache, "CUDA_DISABLE_PTX_JIT": "0" if may_compile else "1"}
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(path)],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    if done.returncode != 0:
        return {"ended": done.returncode, "said": done.stderr[-400:]}
    return dict(json.loads(done.stdout))


def _are_bits(found: dict[str, object]) -> bool:
    errors = (value for value in found.values() if str(value).startswith("error"))
    return "ended" not in found and not any(errors)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--one", type=Path)
    options = parser.parse_args()
    if options.one is not None:
        sys.stdout.write(json.dumps(run(options.one)))
        return 0
    if options.folder is None or not (options.folder / "native.so").is_file():
        parser.error("name the folder that `build.py` made")
    made = sorted(options.folder.glob("*-*.so"))
    found = {
        "native": in_process(options.folder / "native.so", may_compile=False),
        "ptx": in_process(options.folder / "ptx.so", may_compile=True),
        "ptx, no compiler": in_process(options.folder / "ptx.so", may_compile=False),
        **{path.stem: in_process(path, may_compile=False) for path in made},
    }
    same = {
        path.stem: _are_bits(found[path.stem])
        and found[path.stem] == found[MADE_OF[path.stem.partition("-")[0]]]
        for path in made
    }
    ok = bool(made) and all(same.values())
    document = {"ok": ok, "same_bits": same, "libraries": found}
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
