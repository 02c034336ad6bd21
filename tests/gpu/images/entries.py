"""Hand real images to the driver, each in a child process, and compare with what was predicted.

usage: python entries.py OUT SAMPLE.tar.xz… [--here FOLDER…]     (on a machine with a GPU)

SAMPLE is made by collect.py. ``--here``: libraries below these folders are read where they are, all
images of the first and a sample of each other. OUT gets ``predicted.jsonl``, written before the
first load, and ``entries.jsonl``: one line per image or whole container.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gpu.images.fatbins import container, library_containers
from gpu.images.parallel import Result, measure_all
from sartor import facts
from sartor.artifact.fatbin import Container, Entry, containers
from sartor.artifact.model import ImageKind
from sartor.artifact.source import BytesSource, FileSource
from sartor.verdict.load_rule import Refused, Unknown, container_outcome, image_outcome
from sartor.verdict.model import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpu.images.driver import Driver
    from sartor.verdict.load_rule import Outcome

WORKERS = 14
MOST_HERE = 420
"""Images of each library that lies on the machine, besides the whole ones."""
MOST_BYTES = 6 << 20
MOST_TEXT = 12 << 20
"""PTX beyond this takes the driver over half a minute: left out, and counted."""
LONGEST_S = 120.0
NO_BINARY, BAD_PTX_VERSION = 209, 222


class Plain(msgspec.Struct, frozen=True):
    """What the rule looks at."""

    kind: ImageKind
    arch: str
    ptx_isa: str | None
    compression: str | None


class Job(msgspec.Struct):
    """One load: of an image in a container of its own, or of a whole container."""

    library: str
    what: str
    offset: int
    images: list[Entry]
    data: bytes = b""
    path: Path | None = None
    size: int = 0
    relocatable: bool = False

    def image(self) -> bytes:
        """What the driver gets."""
        data = self.data
        if self.path is not None:
            with FileSource(self.path) as source:
                data = source.read(self.offset, self.size)
        return data if self.what == "container" else container([data])


def of_container(library: str, found: Container, data: bytes) -> Iterator[Job]:
    """The container whole, and each of its images alone. ``data`` begins where it does."""
    yield Job(library, "container", found.offset, found.entries, data)
    for entry in found.entries:
        at = entry.offset - found.offset
        image = data[at : at + entry.header_size + entry.size]
        yield Job(library, "entry", entry.offset, [entry], image)


def carried(path: Path) -> Iterator[Job]:
    """The jobs of a sample."""
    with tarfile.open(path) as tar:
        parts = {m.name: tar.extractfile(m) for m in tar}
        index, data = (b"" if p is None else p.read() for p in parts.values())
    for line in index.splitlines():
        row = json.loads(line)
        piece = data[row["at"] : row["at"] + row["size"]]
        whole = piece if row["what"] == "container" else container([piece])
        found = next(containers(BytesSource(whole, row["library"]), 0, len(whole)))
        assert isinstance(found, Container)
        for job in of_container(row["library"], found, whole):
            job.relocatable = row["rdc"]
            if row["what"] == "container":
                job.offset += row["offset"]
                yield job
            elif job.what == "entry":
                job.offset = row["offset"]
                yield job


def here(path: Path, name: str, whole: bool) -> Iterator[Job]:
    """The jobs of a library on this machine: all of it, or a sample spread over it."""
    found = list(library_containers(path))
    if whole:
        for each, linked in found:
            size = each.end - each.offset
            yield Job(name, "container", each.offset, each.entries, b"", path, size, linked)
    entries = [e for each, _ in found for e in each.entries if e.size <= MOST_BYTES]
    relocatable = {e.offset: linked for each, linked in found for e in each.entries}
    step = 1 if whole else max(1, len(entries) // MOST_HERE)
    rare = {(e.kind, e.arch, e.flags, e.ptx_isa): e for e in sorted(entries, key=lambda e: -e.size)}
    spread = {e.offset: e for e in (*entries[::step], *rare.values())}
    for entry in spread.values():
        size = entry.header_size + entry.size
        linked = relocatable[entry.offset]
        yield Job(name, "entry", entry.offset, [entry], b"", path, size, linked)


def all_jobs(arguments: list[str]) -> list[Job]:
    """What is to be loaded."""
    split = arguments.index("--here") if "--here" in arguments else len(arguments)
    found = [job for sample in arguments[:split] for job in carried(Path(sample))]
    for folder in map(Path, arguments[split + 1 :]):
        for path in sorted(folder.rglob("*.so*")):
            if path.is_symlink() or not is_elf(path):
                continue
            name = str(path.relative_to(folder.parent))
            found += here(path, name, folder.name == "torch")
    return [job for job in found if not too_long(job)]


def is_elf(path: Path) -> bool:
    """Whether it is a library (and no linker script, nor a folder)."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def too_long(job: Job) -> bool:
    """Whether the driver would compile for longer than the run has."""
    return any(e.ptx_isa and e.plain > MOST_TEXT for e in job.images)


def predicted(job: Job, target: Target) -> Outcome:
    """What the rule says of the image, or of the whole container."""
    images = [Plain(e.image_kind, e.architecture, e.ptx_isa, e.compression) for e in job.images]
    if job.what == "entry" or job.relocatable:
        found = [image_outcome(i, target, relocatable=job.relocatable) for i in images]
        fitting = [one for one in found if not isinstance(one, Refused)]
        return fitting[0] if fitting else found[0]
    return container_outcome(images, target)


def describe(job: Job, outcome: Outcome) -> Result:
    """The line of the log, as far as it is known before the load."""
    sorts = [[e.kind, e.architecture, hex(e.flags), e.ptx_isa, e.compression] for e in job.images]
    row: Result = {"library": job.library, "what": job.what, "offset": job.offset}
    return {
        **row,
        "images": sorts,
        "relocatable": job.relocatable,
        "predicted": type(outcome).__name__.lower(),
        "because": outcome.why if isinstance(outcome, Refused | Unknown) else None,
    }


def agrees(word: object, code: object) -> bool | None:
    """Whether the driver did what was said; None where nothing was said."""
    if word == "unknown":
        return None
    return code == 0 if word in {"native", "jit"} else code in {NO_BINARY, BAD_PTX_VERSION}


def this_target() -> Target:
    """The machine's first GPU, as nvidia-smi names it."""
    query = ["nvidia-smi", "-i", "0", "--query-gpu=compute_cap,driver_version,name"]
    done = subprocess.run(
        [*query, "--format=csv,noheader"], capture_output=True, text=True, check=True
    )
    capability, driver, name = (part.strip() for part in done.stdout.strip().split(","))
    gpu = f"sm_{capability.replace('.', '')}"
    return Target(gpu, capability, name, driver, facts.cuda_of_driver(driver))


def write(path: Path, rows: list[Result]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def main() -> None:
    """Predict all, then load all."""
    out, target = Path(sys.argv[1]), this_target()
    jobs = all_jobs(sys.argv[2:])
    rows = [describe(job, predicted(job, target)) for job in jobs]
    write(out / "predicted.jsonl", rows)

    def measure(driver: Driver, index: int) -> Result:
        began = time.perf_counter()
        code, handle = driver.load(jobs[index].image())
        found: Result = {"code": code, "ms": round(1000 * (time.perf_counter() - began), 1)}
        if not code:
            found["kernels"] = driver.functions(handle)
            driver.unload(handle)
        return found

    order = sorted(
        range(len(jobs)), key=lambda i: -sum(e.plain for e in jobs[i].images if e.ptx_isa)
    )
    found = measure_all(lambda driver, i: measure(driver, order[i]), len(jobs), WORKERS, LONGEST_S)
    for position, index in enumerate(order):
        rows[index].update(found[position])
        rows[index]["agrees"] = agrees(rows[index]["predicted"], rows[index].get("code"))
    write(out / "entries.jsonl", rows)
    bad = [row for row in rows if row["agrees"] is False]
    unsaid = sum(row["agrees"] is None for row in rows)
    print(target, len(rows), "loads,", len(bad), "disagree,", unsaid, "unsaid")  # noqa: T201
    for row in bad[:40]:
        print(json.dumps(row)[:300])  # noqa: T201


if __name__ == "__main__":
    main()
