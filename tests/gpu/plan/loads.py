"""Hand every unit of every library of a stack to the driver, and note what it does.

usage: python loads.py OUT.jsonl.xz FOLDER[:GLOB]… [--alone COUNT:GLOB]   (on a machine with a GPU)

Wants Python with msgspec, and Sartor's sources and tests on PYTHONPATH. A unit is a container as it
stands in the library: it is handed over whole, so that it is the driver that chooses the image. Run
it under ``CUDA_DISABLE_PTX_JIT=1`` and without; ``CUDA_CACHE_DISABLE=1`` so that nothing is taken
from a cache, ``CUDA_MODULE_LOADING=EAGER`` so that PTX is compiled when it is loaded.

The first line of OUT says the machine, then a line for each library (path below FOLDER, sha256),
then one for each unit: library, section, offset, size, images, the driver's code, milliseconds,
kernels. ``--alone``: so many units of the libraries that match are loaded once more, one at a time
with nothing beside them.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from gpu.images.fatbins import library_containers
from gpu.images.parallel import Result, measure_all
from sartor.artifact.source import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpu.images.driver import Driver

WORKERS = 14
LONGEST_S = 240.0
VARIABLES = ("CUDA_DISABLE_PTX_JIT", "CUDA_CACHE_DISABLE", "CUDA_MODULE_LOADING")


def libraries(argument: str) -> Iterator[tuple[str, Path]]:
    """Name (below the folder) and path of every shared library of a folder."""
    folder, _, glob = argument.partition(":")
    for path in sorted(Path(folder).rglob("*.so*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or path.is_symlink() or not fnmatchcase(name, glob or "*"):
            continue
        with path.open("rb") as file:
            if file.read(4) == b"\x7fELF":
                yield name, path


def units(name: str, path: Path) -> Iterator[tuple[Result, Path]]:
    """A row for each container of a library, the driver's answer not yet in it."""
    for found, relocatable in library_containers(path):
        yield (
            {
                "library": name,
                "relocatable": relocatable,
                "offset": found.offset,
                "size": found.end - found.offset,
                "images": [
                    [e.image_kind, e.architecture, e.ptx_isa, e.compression, e.plain]
                    for e in found.entries
                ],
            },
            path,
        )


def load(driver: Driver, row: Result, path: Path) -> Result:
    """The driver's code, and how long it took."""
    with FileSource(path) as source:
        data = source.read(int(str(row["offset"])), int(str(row["size"])))
    began = time.perf_counter()
    code, handle = driver.load(data)
    found: Result = {"code": code, "ms": round(1000 * (time.perf_counter() - began), 1)}
    if not code:
        found["kernels"] = driver.functions(handle)
        driver.unload(handle)
    return found


def text_of(row: Result) -> int:
    """Bytes of PTX, decompressed: what takes long comes first."""
    images = row["images"]
    assert isinstance(images, list)
    return sum(image[4] for image in images if image[0] == "ptx")


def machine() -> Result:
    """The GPU, the driver and the variables."""
    query = "--query-gpu=name,compute_cap,driver_version,memory.total"
    done = subprocess.run(
        ["nvidia-smi", "-i", "0", query, "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=True,
    )
    set_ = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return {"machine": done.stdout.strip(), "environment": set_, "workers": WORKERS}


def main() -> None:
    """Load all, write all."""
    arguments = sys.argv[2:]
    split = arguments.index("--alone") if "--alone" in arguments else len(arguments)
    named = [pair for argument in arguments[:split] for pair in libraries(argument)]
    rows = [found for name, path in named for found in units(name, path)]
    rows.sort(key=lambda pair: -text_of(pair[0]))
    coded = {str(row["library"]) for row, _ in rows}
    with lzma.open(sys.argv[1], "wt", encoding="utf-8", preset=1) as out:
        out.write(json.dumps(machine()) + "\n")
        for name, path in named:
            if name in coded:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                out.write(json.dumps({"file": name, "sha256": digest}) + "\n")
        began = time.perf_counter()
        found = measure_all(lambda d, i: load(d, *rows[i]), len(rows), WORKERS, LONGEST_S)
        for index, (row, _) in enumerate(rows):
            out.write(json.dumps({**row, **found[index]}) + "\n")
        for asked in arguments[split + 1 :]:
            count, _, glob = asked.partition(":")
            few = [pair for pair in rows if fnmatchcase(str(pair[0]["library"]), glob)]
            few = few[:: max(1, len(few) // int(count))][: int(count)]
            again = measure_all(lambda d, i: load(d, *few[i]), len(few), 1, LONGEST_S)  # noqa: B023
            for index, (row, _) in enumerate(few):
                out.write(json.dumps({**row, **again[index], "alone": True}) + "\n")
    loaded = sum(one.get("code") == 0 for one in found.values())
    print(f"{loaded} of {len(rows)} units load, {time.perf_counter() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
