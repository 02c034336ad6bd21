"""A resolution through the catalog against `uv pip compile` of the same, in the same run.

Both have a cache of uv's own in a new folder: *cold* it is empty, *warm* it is what the round
before left. The catalog begins with an empty home too, so that what is measured is uv and the way
to it, and not an answer that was kept; *kept* is such an answer, out of a home that has it. Rounds
take turns. Requests and bytes are counted apart, over an index on the loopback that passes
everything on and says, as mirrors do, nothing of caching.

usage: python benchmarks/bench_plan_resolution.py [REQUIREMENT] [ROUNDS]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uv
from timing import ROOT, interleaved, write_result

sys.path.insert(0, str(ROOT / "tests"))

from counting_index import counting

from sartor.catalog.catalog import Catalog
from sartor.index.network import uv_environment
from sartor.paths import Places
from sartor.plan.known import Known, Machine, Resolution, ResolveQuestion, Wanted
from sartor.reporter import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MACHINE = Machine("x86_64", "2.35", "3.12")


def uv_compile(requirement: str, folder: Path) -> float:
    """The resolver alone, as a program."""
    asked = folder / "requirements.in"
    asked.write_text(f"{requirement}\n")
    argv = [uv.find_uv_bin(), "pip", "compile", str(asked), "--format", "pylock.toml"]
    argv += ["--only-binary", ":all:", "--python", sys.executable, "--python-version", "3.12"]
    argv += ["--python-platform", "x86_64-manylinux_2_35", "--quiet"]
    began = time.perf_counter()
    variables = {**os.environ, **uv_environment()}
    subprocess.run(argv, env=variables, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def catalogued(requirement: str, home: Path, counted: dict[str, int] | None = None) -> float:
    """The catalog, in this process."""
    question = ResolveQuestion((requirement,), MACHINE)
    began = time.perf_counter()
    with Catalog(Places(home), Silent()) as catalog:
        known = catalog.answer(Wanted(resolutions=(question,)), Known())
    seconds = time.perf_counter() - began
    found = known.resolutions[question]
    assert isinstance(found, Resolution), found
    if counted is not None:
        counted["packages"] = len(found.packages)
    return seconds


@contextmanager
def uv_cache(folder: Path) -> Iterator[None]:
    """uv's cache in a folder of its own."""
    before = os.environ.get("UV_CACHE_DIR")
    os.environ["UV_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["UV_CACHE_DIR"]
        else:
            os.environ["UV_CACHE_DIR"] = before


class Subject:
    """One way to a resolution, with a cache and a home of its own."""

    def __init__(self, folder: Path, act: Callable[[Path], float]) -> None:
        self._folder = folder
        self._act = act

    def cold(self) -> float:
        """With nothing."""
        shutil.rmtree(self._folder, ignore_errors=True)
        return self.warm()

    def warm(self) -> float:
        """With uv's cache, and a new home."""
        shutil.rmtree(self._folder / "home", ignore_errors=True)
        return self.kept()

    def kept(self) -> float:
        """With all that was left."""
        self._folder.mkdir(exist_ok=True)
        with uv_cache(self._folder / "uv"):
            return self._act(self._folder)


def measured(requirement: str, rounds: int, root: Path) -> dict[str, dict[str, float]]:
    """Seconds of each subject, cold, warm and kept."""
    peer = Subject(root / "peer", partial(uv_compile, requirement))
    ours = Subject(root / "ours", lambda folder: catalogued(requirement, folder / "home"))
    return interleaved(
        {
            "uv pip compile, cold": peer.cold,
            "catalog, cold": ours.cold,
            "uv pip compile, warm": peer.warm,
            "catalog, warm": ours.warm,
            "catalog, kept": ours.kept,
        },
        rounds,
    )


def traffic(requirement: str, root: Path) -> tuple[int, dict[str, dict[str, int]]]:
    """How many packages it is; requests and bytes of each subject, cold, warm and kept."""
    found, packages = {}, {"packages": 0}
    with counting() as index:
        os.environ["UV_DEFAULT_INDEX"] = index.url
        peer = Subject(root / "peer-counted", partial(uv_compile, requirement))
        ours = Subject(
            root / "ours-counted",
            lambda folder: catalogued(requirement, folder / "home", packages),
        )
        for name, act in {
            "uv pip compile, cold": peer.cold,
            "uv pip compile, warm": peer.warm,
            "catalog, cold": ours.cold,
            "catalog, warm": ours.warm,
            "catalog, kept": ours.kept,
        }.items():
            act()
            found[name] = index.counted()
        del os.environ["UV_DEFAULT_INDEX"]
    return packages["packages"], found


def main() -> None:
    """Measure, write the result, print it."""
    requirement = sys.argv[1] if len(sys.argv) > 1 else "vllm==0.32.0"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        seconds = measured(requirement, rounds, Path(folder))
        packages, counted = traffic(requirement, Path(folder))
    ratios = {
        f"ours / peer, {state}, median": round(
            seconds[f"catalog, {state}"]["median"] / seconds[f"uv pip compile, {peer}"]["median"], 3
        )
        for state, peer in {"cold": "cold", "warm": "warm", "kept": "warm"}.items()
    }
    write_result(
        "plan_resolution",
        ["src/sartor/catalog", "src/sartor/remote", "src/sartor/index"],
        {
            "requirement": requirement,
            "packages": packages,
            "rounds": rounds,
            "seconds": seconds,
            "ratios": ratios,
            "traffic": counted,
        },
    )


if __name__ == "__main__":
    main()
