"""Which image of a container the driver takes: every order tried, the kernel's number read back.

usage: python choice.py VARIANTS OUT [--part]   (on a machine with a GPU; variants.py made VARIANTS)

Writes one line per trial to OUT, JSON lines. ``--part`` tries a smaller set, for a run under an
environment variable that changes what the driver does.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import random
import sys
from pathlib import Path

from gpu.images.driver import APIS, Api, Driver
from gpu.images.fatbins import container, entry
from gpu.images.parallel import Result, measure_all

WORKERS = 12
SEED = 20261120
BROKEN = "broken"


class Case:
    """One container (or bare image) and the names of its images, in order."""

    def __init__(self, what: str, names: list[str], image: bytes, api: Api = "module") -> None:
        self.what, self.names, self.image, self.api = what, names, image, api


class Variants:
    """The constructed images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, dict[str, str]] = json.loads(
            (folder / "variants.json").read_text("utf-8")
        )
        self.entries = {name: self.entry(name) for name in self.rows}

    def payload(self, name: str) -> bytes:
        """The cubin, text or LTO-IR."""
        path = self.folder / name
        return path.read_bytes()

    def entry(self, name: str, **other: str) -> bytes:
        """Its entry; ``other`` replaces what the header says (``arch``, ``isa``, ``kind``)."""
        row = {**self.rows[name], **other}
        return entry(row["kind"], row["arch"], self.payload(name), row["isa"])

    def case(self, what: str, names: list[str], api: Api = "module") -> Case:
        """A container of these in that order."""
        return Case(what, names, container([self.entries[n] for n in names]), api)


def alone_and_pairs(variants: Variants, apis: tuple[Api, ...]) -> list[Case]:
    """Each image alone and every ordered pair, by every way to load."""
    names = list(variants.rows)
    groups = [[name] for name in names] + [list(p) for p in itertools.permutations(names, 2)]
    found = [Case("bare", [n], variants.payload(n) + b"\0") for n in names]
    found += [variants.case("alone", [name], "wrapper") for name in names]
    for api in apis:
        found += [variants.case("alone" if len(g) == 1 else "pair", g, api) for g in groups]
    return found


def larger(variants: Variants, count: int) -> list[Case]:
    """Three to six images, drawn and shuffled by a fixed seed."""
    drawn = random.Random(SEED)  # noqa: S311 - a draw that can be repeated is wanted
    names = list(variants.rows)
    groups = [drawn.sample(names, drawn.randint(3, 6)) for _ in range(count)]
    return [variants.case("several", group, drawn.choice(APIS)) for group in groups]


def broken_images(variants: Variants) -> dict[str, bytes]:
    """Entries whose header fits and whose payload does not hold."""
    cubin, text = variants.payload("sm_90"), variants.payload("compute_80")
    old_text = text.replace(b".version 9.0", b".version 9.1")
    return {
        "sm_90 zeros": entry("cubin", "90", bytes(256)),
        "sm_90 noise": entry("cubin", "90", b"\xa5" * 512),
        "sm_90 cut": entry("cubin", "90", cubin[: len(cubin) // 2]),
        "sm_90 is sm_80": variants.entry("sm_80", arch="90"),
        "sm_90 is sm_100": variants.entry("sm_100", arch="90"),
        "sm_80 is sm_90": variants.entry("sm_90", arch="80"),
        "sm_90a is sm_90": variants.entry("sm_90", arch="90a"),
        "sm_90 is sm_90a": variants.entry("sm_90a", arch="90"),
        "compute_80 no PTX": entry("ptx", "80", b"this is no PTX\n", "9.0"),
        "compute_80 undefined": entry("ptx", "80", text.replace(b"ret;", b"call nowhere;"), "9.0"),
        "compute_80 9.0 is 9.1": entry("ptx", "80", old_text, "9.0"),
        "compute_80 9.1 is 9.0": entry("ptx", "80", text, "9.1"),
        "compute_80 0.0 is 9.0": entry("ptx", "80", text, "0.0"),
        "compute_80 is compute_100": variants.entry("compute_100", arch="80"),
        "compute_100 is compute_80": variants.entry("compute_80", arch="100"),
        "compute_80 is compute_90a": variants.entry("compute_90a", arch="80"),
        "compute_90a is compute_80": variants.entry("compute_80", arch="90a"),
        "kind 4": b"\x04" + variants.entries["sm_90"][1:],
        "kind 16": b"\x10" + variants.entries["sm_90"][1:],
        "kind 64": b"\x40" + variants.entries["sm_90"][1:],
    }


def broken(variants: Variants) -> list[Case]:
    """Each of them alone, and before and behind images that fit."""
    found = [Case(BROKEN, [], container([])), Case(BROKEN, ["nothing"], bytes(64))]
    bare = entry("ptx", "80", variants.payload("compute_80"), "9.0", options=False)
    found.append(Case(BROKEN, ["compute_80 no options"], container([bare])))
    for name, bad in broken_images(variants).items():
        for api in APIS:
            found.append(Case(BROKEN, [name], container([bad]), api))
            for good in ("sm_90", "sm_90a", "compute_75", "compute_90"):
                other = variants.entries[good]
                found.append(Case(BROKEN, [name, good], container([bad, other]), api))
                found.append(Case(BROKEN, [good, name], container([other, bad]), api))
    return found


def by_tool(variants: Variants) -> list[Case]:
    """Containers by NVIDIA's own tool."""
    found = []
    for path in sorted(variants.folder.glob("tool+*")):
        names = path.name.split("+")[1:]
        found += [Case("tool", names, path.read_bytes(), api) for api in APIS]
    return found


def by_runtime(folder: Path) -> list[Result]:
    """Shared libraries by nvcc, called as a program calls them: through the runtime."""
    found: list[Result] = []
    for path in sorted(folder.glob("lib+*.so")):
        library, code = ctypes.CDLL(str(path)), ctypes.c_int()
        value = library.run(ctypes.byref(code))
        _, name, *order = path.stem.split("+")
        row: Result = {"what": "runtime", "library": name, "images": order}
        row |= {"code": code.value, "value": value, "environment": cuda_environment()}
        found.append(row)
    return found


def cuda_environment() -> dict[str, str]:
    """The environment variables that change what the driver does."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("CUDA_") and name.endswith(("JIT", "LOADING"))
    }


def main() -> None:
    """Try all, in a process for the runtime's own and in several for the rest."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    variants = Variants(folder)
    if "--runtime" in sys.argv:
        with out.open("a", encoding="utf-8") as log:
            log.writelines(json.dumps(row) + "\n" for row in by_runtime(folder))
        return
    part = "--part" in sys.argv
    cases = alone_and_pairs(variants, ("module", "library") if part else APIS)
    cases += broken(variants) + by_tool(variants)
    cases += [] if part else larger(variants, 6000)
    random.Random(SEED).shuffle(cases)  # noqa: S311 - so that no worker gets all the slow ones

    def measure(driver: Driver, index: int) -> Result:
        code, value = driver.try_out(cases[index].image, cases[index].api)
        return {"code": code, "value": value}

    found = measure_all(measure, len(cases), WORKERS, longest_s=10.0)
    values = {int(row["value"]): name for name, row in variants.rows.items()}
    with out.open("w", encoding="utf-8") as log:
        for index, case in enumerate(cases):
            row = found[index]
            ran = values.get(int(str(row.get("value", -1))))
            label = {"what": case.what, "api": case.api, "images": case.names}
            log.write(json.dumps({**label, **row, "ran": ran}) + "\n")
    print(len(cases), "trials", cuda_environment())  # noqa: T201


if __name__ == "__main__":
    main()
