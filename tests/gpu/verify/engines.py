"""The engines' checks on this machine: every outcome, as it comes and as a file.

usage: python tests/gpu/verify/engines.py OUT PROJECT… [--site FOLDER…] [--device cpu|cuda]
           [--programs NAME…] [--checks WORD…] [--grades GRADE…] [--python PYTHON]
           [--at-once N]

Wants Sartor on PYTHONPATH. PROJECTs are what is proved (vllm, xllamacpp, …); they need not be in an
environment of their own: the checks run in one that is made here over PYTHON's and the ``--site``
folders (default: PYTHONPATH's, Sartor's apart). OUT gets ``engines.jsonl``, an outcome on each
line, and ``engines.txt``, the same for people, with a table of what each grade came to.
``--checks`` runs those alone whose name has one of the words in it; a check of *golden* compares
what its partner of *launches* kept, so name both with one word.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import sartor
from sartor.line import find_host
from sartor.paths import default_places
from sartor.verify import child
from sartor.verify.model import GRADES
from sartor.verify.runs.engines import engine_programs, without_checks
from sartor.verify.subject.model import Subject

if TYPE_CHECKING:
    from sartor.verify.model import Outcome


def overlay(folder: Path, python: str, sites: list[str]) -> Path:
    """An environment over ``python``'s own packages and those in ``sites``: its interpreter.

    The checks' programs are started so that they see no PYTHONPATH.
    """
    made = folder / "environment"
    subprocess.run(
        [python, "-m", "venv", "--without-pip", "--system-site-packages", str(made)], check=True
    )
    (own,) = made.glob("lib/python3*/site-packages")
    found = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    (own / "sites.pth").write_text("\n".join([*sites, found.strip()]) + "\n")
    return made / "bin" / "python"


def sites_of(asked: list[str] | None) -> list[str]:
    """The folders to import from: those asked for, else PYTHONPATH's without Sartor's."""
    if asked is not None:
        return [str(Path(one).resolve()) for one in asked]
    ours = Path(sartor.__file__).resolve().parents[1]
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [str(Path(one).resolve()) for one in entries if one and Path(one).resolve() != ours]


def line(outcome: Outcome) -> str:
    """An outcome for people."""
    said: dict[str, Any] = msgspec.to_builtins(outcome)
    parts = [said["outcome"].upper(), said["grade"], said["check"]]
    if said.get("seconds") is not None:
        parts.append(f"{said['seconds']:.2f} s")
    if said.get("gpu_bytes"):
        parts.append(f"{said['gpu_bytes'] / 2**20:.0f} MiB")
    if measured := said.get("measured"):
        parts.append(f"error {measured['error']:.3g} of {measured['bound']:.3g}")
    words = said.get("detail") or said.get("why") or ""
    return " | ".join([*parts, words.replace("\n", "\n    ")])


def main() -> None:
    """Run, print, keep."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path)
    options.add_argument("projects", nargs="+")
    options.add_argument("--site", nargs="*")
    options.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    options.add_argument("--programs", nargs="*")
    options.add_argument("--checks", nargs="*", default=[])
    options.add_argument("--grades", nargs="*", default=GRADES)
    options.add_argument("--python", default=sys.executable)
    options.add_argument("--at-once", type=int, help="engines; default: as many as fit the machine")
    asked = options.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    counts: Counter[tuple[str, str]] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="sartor-engines-") as name,
        (asked.out / "engines.jsonl").open("w") as data,
        (asked.out / "engines.txt").open("w") as text,
    ):
        python = overlay(Path(name), asked.python, sites_of(asked.site))
        subject = Subject(
            path=python.parents[1],
            python=python,
            python_version="",
            site=[],
            packages=dict.fromkeys(asked.projects, ""),
            accelerator=asked.device,
        )

        def said(words: str) -> None:
            sys.stdout.write(words + "\n")
            sys.stdout.flush()
            text.write(words + "\n")
            text.flush()

        def found(outcome: Outcome) -> None:
            counts[outcome.grade, msgspec.to_builtins(outcome)["outcome"]] += 1
            data.write(msgspec.json.encode(outcome).decode() + "\n")
            data.flush()
            said(line(outcome))

        for program in engine_programs(subject, find_host(None, default_places()), Path(name)):
            if asked.programs and program.module not in asked.programs:
                continue
            began = time.perf_counter()
            settings = program.settings | {"only": asked.checks}
            at_once = asked.at_once or program.at_once
            own = msgspec.structs.replace(program, settings=settings, at_once=at_once)
            child.run(own, asked.grades, on_outcome=found)
            said(f"== {program.module}: {time.perf_counter() - began:.1f} s")
        for outcome in without_checks(subject):
            found(outcome)
        for (grade, kind), count in sorted(counts.items()):
            said(f"== {grade}: {count} {kind}")


if __name__ == "__main__":
    main()
