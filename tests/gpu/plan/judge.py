"""What a GPU did with a plan's packages against what the plan said: `judge.py PLAN.json RESULTS`.

PLAN.json is what `sartor plan … --json` said beforehand; RESULTS holds what run_plan.sh brought
back: ``*.no-jit.jsonl.xz`` and ``*.jit.jsonl.xz`` (loads.py), ``CASE.json.xz`` (first_use.py) and
``there.json.xz``. Prints all that differs and a summary as JSON on the last lines; ends with 1
where a unit, a feature or a compiler is not as the plan said. Runs anywhere with Sartor; what the
wheels hold comes from the evidence that the plan was made of (by the wheels' sha256).
"""

from __future__ import annotations

import json
import lzma
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu.plan.compiled import compiled_at_first_use, said
from sartor.evidence.shelf import Shelf
from sartor.facts.packages import facts_about
from sartor.facts.versions import within_versions
from sartor.paths import default_places
from sartor.reporter import Silent
from sartor.verdict.dispatch import Dispatcher, feature_units, owns, serves, wants_names
from sartor.verdict.model import Target
from sartor.verdict.unit import grade_unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Evidence, Library, Unit
    from sartor.artifact.reading import Names

Row = dict[str, Any]
GPU = Target("sm_90", "9.0", "NVIDIA H200", "580.159.04", "13.0")
LOADED, REFUSED, NOT_COMPILED = 0, {209, 222}, {223}
SAID = re.compile(r"(\d+) of \d+ units ([a-z-]+)")
LEAST_TEXT = 100_000
"""Bytes of PTX; of a shorter text the call itself is measured."""


class Loads:
    """What the driver did with every container of every library."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, str] = {}
        self.units: dict[str, dict[int, Row]] = defaultdict(dict)
        self.alone: list[Row] = []
        self.machine = ""
        for mode in ("no-jit", "jit"):
            for path in sorted(folder.glob(f"*.{mode}.jsonl.xz")):
                for row in map(json.loads, lzma.decompress(path.read_bytes()).splitlines()):
                    self._take(mode, row)

    def _take(self, mode: str, row: Row) -> None:
        if "machine" in row:
            self.machine = row["machine"]
        elif "file" in row:
            self.files[row["file"]] = row["sha256"]
        elif row.get("alone"):
            self.alone.append(row)
        else:
            kept = self.units[row["library"]].setdefault(row["offset"], row)
            kept[mode] = row.get("code", f"ended ({row.get('died')})")
            kept[f"{mode} ms"] = row.get("ms")

    def grades(self, library: Library, unit: Unit) -> list[str]:
        """What became of a unit, or of each of those that hold the same images."""
        found = self.units[library.path]
        if unit.offset is not None and unit.count == 1 and unit.offset in found:
            return [graded(found[unit.offset])]
        images = [library.images[i] for i in unit.images]
        key = [[i.kind, i.arch, i.ptx_isa, i.compression] for i in images]
        return [
            graded(row)
            for row in found.values()
            if [image[:4] for image in row["images"]] == key
            and row["relocatable"] == unit.relocatable
        ]


def graded(row: Row) -> str:
    """A unit's grade by the driver's answers without and with its compiler."""
    if row["no-jit"] == LOADED:
        return "native"
    if row["no-jit"] in NOT_COMPILED and row["jit"] == LOADED:
        return "jit"
    if row["no-jit"] in REFUSED and row["jit"] in REFUSED:
        return "missing"
    return f"{row['no-jit']} without, {row['jit']} with the driver's compiler"


def by_unit(evidence: Evidence, loads: Loads) -> Iterator[tuple[str, str, str, int]]:
    """Library, grade by the rule, grade by the GPU, and how many units; of code that is linked
    nothing is said, for it is not loaded as it stands."""
    for library in evidence.libraries:
        for unit in library.units:
            if unit.relocatable:
                yield library.path, "linked", "linked", unit.count
                continue
            grade = grade_unit(library, unit, GPU, lambda *_: None).grade
            found = loads.grades(library, unit)
            if len(found) != unit.count:
                yield library.path, grade, f"{len(found)} of {unit.count} units found", unit.count
            for one, count in Counter(found).items():
                yield library.path, grade, one, count


def of_features(evidence: Evidence, loads: Loads) -> Iterator[tuple[str, Counter[str]]]:
    """Each feature's units by grade: those of the engine's dispatch, the rest by the GPU."""
    dispatch = Dispatcher(evidence.packages)
    has_features = False
    for package in evidence.packages:
        about = facts_about(package.name)
        for fact in about.feature if about else ():
            own = [lib for lib in evidence.libraries if owns(package, lib, fact.libraries)]
            units = [(lib, u) for lib in own for u in feature_units(fact, lib) or ()]
            if not within_versions(fact.versions, package.version) or not units:
                continue
            counts: Counter[str] = Counter()
            for library, unit in units:
                served = serves(fact.serves, GPU.compute_capability)
                if not served or dispatch(library, unit, GPU) is not None:
                    counts["not-applicable"] += unit.count
                else:
                    counts.update(_found(library, unit, loads))
            has_features = True
            yield fact.name, counts
    for library in evidence.libraries:
        if not has_features and library.units:
            grades = (grade for unit in library.units for grade in _found(library, unit, loads))
            yield library.path, Counter(grades)


def _found(library: Library, unit: Unit, loads: Loads) -> list[str]:
    """The unit's grades; of code that is linked, those of what it was linked into."""
    if not unit.relocatable:
        return loads.grades(library, unit)
    linked = [
        grade for u in library.units if not u.relocatable for grade in loads.grades(library, u)
    ]
    return ["native" if "native" in linked else "unknown"] * unit.count


def _names(path: str) -> Names:
    return "one" if wants_names(path) else "none"


def judged_loads(plan: Row, loads: Loads) -> tuple[Row, list[str]]:
    """All units and all features of the packages that were there; and what differs."""
    wheels = {row["name"]: row for row in plan["stack"]["packages"]}
    wrong: list[str] = []
    units: Counter[str] = Counter()
    features: Counter[str] = Counter()
    with Shelf.of(default_places(), Silent()) as shelf:
        for name in sorted({f["package"] for f in plan["features"]}):
            row = shelf.look_up(wheels[name]["sha256"], None, _names)
            evidence = row[1] if row else None
            if evidence is None or not any(lib.path in loads.files for lib in evidence.libraries):
                features[f"{name}: was not there"] += 1
                continue
            for path, rule, gpu, count in by_unit(evidence, loads):
                units[rule if rule == gpu else f"said {rule}, was {gpu}"] += count
                if rule != gpu:
                    wrong.append(f"{path}: {count} units: said {rule}, was {gpu}")
            measured = dict(of_features(evidence, loads))
            for feature in plan["features"]:
                if feature["package"] == name:
                    asserted = {g: int(n) for n, g in SAID.findall(feature["because"])}
                    got = dict(measured.get(feature["name"], Counter()))
                    features["as planned" if got == asserted else "otherwise"] += 1
                    if got != asserted:
                        wrong.append(f"{name}, {feature['name']}: said {asserted}, was {got}")
    return {"units": dict(units), "features": dict(features)}, wrong


def driver_seconds(loads: Loads) -> Row:
    """Seconds of the driver's compiler for each MB of PTX, side by side and alone."""

    def rates(rows: list[Row], key: str) -> Row:
        found, sizes, seconds = [], [], []
        for row in rows:
            texts = [image[4] for image in row["images"] if image[0] == "ptx"]
            if texts and row.get(key) and max(texts) >= LEAST_TEXT:
                found.append(row[key] * 1000 / max(texts))
                sizes.append(max(texts) / 1e6)
                seconds.append(row[key] / 1000)
        return {
            "texts": len(found),
            "MB": [round(min(sizes), 2), round(max(sizes), 2)],
            "seconds": [round(min(seconds), 1), round(max(seconds), 1)],
            "seconds per MB": [round(min(found), 2), round(max(found), 2)],
            "sum of MB": round(sum(sizes), 1),
            "sum of seconds": round(sum(seconds), 1),
        }

    compiled = [
        row for rows in loads.units.values() for row in rows.values() if graded(row) == "jit"
    ]
    attention = [row for row in compiled if "_vllm_fa2_C" in row["library"]]
    unended = [
        f"{row['library']} at {row['offset']}: {row['jit']}, PTX of {image[4]} bytes"
        for rows in loads.units.values()
        for row in rows.values()
        for image in row["images"]
        if row["no-jit"] in NOT_COMPILED and row["jit"] != LOADED and image[0] == "ptx"
    ]
    return {
        "all, 14 processes": rates(compiled, "jit ms"),
        "FlashAttention 2, 14 processes": rates(attention, "jit ms"),
        "one at a time": rates(loads.alone, "ms"),
        "did not end": unended,
    }


def judged_versions(plan: Row, there: Row) -> Row:
    """The plan's packages by whether the machine had them, in that version."""
    found: dict[str, list[str]] = {"same": [], "other": [], "absent": []}
    for row in plan["stack"]["packages"]:
        have = there["packages"].get(row["name"], {}).get("version")
        if have is None:
            found["absent"].append(f"{row['name']} {row['version']}")
        elif have.partition("+")[0] == row["version"]:
            found["same"].append(row["name"])
        else:
            found["other"].append(f"{row['name']}: planned {row['version']}, there {have}")
    return {**found, "same": len(found["same"]), "import": there["import"]["said"].strip()}


def main() -> int:
    """Print and judge."""
    plan = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    folder = Path(sys.argv[2])
    loads = Loads(folder)
    result, wrong = judged_loads(plan, loads)
    there = json.loads(lzma.decompress((folder / "there.json.xz").read_bytes()))
    paths = sorted(folder.glob("case-*.json.xz"))
    cases = [json.loads(lzma.decompress(path.read_bytes())) for path in paths]
    uses, unsaid = compiled_at_first_use(plan, cases)
    for line in [*wrong, *unsaid]:
        print(f"NO  {line}")  # noqa: T201
    whole = {
        **result,
        "driver's compiler": driver_seconds(loads),
        "first use": uses,
        "compilers said": said(plan),
        "versions": judged_versions(plan, there),
    }
    print(json.dumps({"machine": loads.machine, **whole, "wrong": [*wrong, *unsaid]}, indent=1))  # noqa: T201
    return 1 if wrong or unsaid else 0


if __name__ == "__main__":
    sys.exit(main())
