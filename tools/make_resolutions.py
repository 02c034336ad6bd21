"""Write `tests/data/resolutions/NAME.json`: what the resolver really chooses for some stacks.

Run `python tools/make_resolutions.py [NAME …]` where packages are reached; a file that is there
is made anew. It holds no address: names, versions, files, sha256, sizes and times of upload. An
index that does not state sizes leaves them to the shipped snapshot, which knows those of the
wheels that it has.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from packaging.pylock import PackageWheel, Pylock
from packaging.tags import compatible_tags, cpython_tags

from sartor.evidence.snapshot import open_snapshot
from sartor.facts.linking import policies
from sartor.verdict.requirements import LINUX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.tags import Tag

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "resolutions"


class Wanted(NamedTuple):
    """One resolution; ``leave_out``: projects that are declared and not taken."""

    requirements: list[str]
    architecture: str = "x86_64"
    glibc: str = "2.35"
    leave_out: tuple[str, ...] = ()
    alone: bool = False
    """Without what they depend on, so that what does not fit can be put together."""


PYTHON = "3.12"
WANTED = {
    "vllm-0.32.0": Wanted(["vllm==0.32.0"]),
    "vllm-0.32.0-aarch64": Wanted(["vllm==0.32.0"], "aarch64", "2.39"),
    "vllm-0.19.1": Wanted(["vllm==0.19.1"]),
    "vllm-0.10.1.1": Wanted(["vllm==0.10.1.1"]),
    # flashinfer-python 0.3.1 has a source distribution only
    "sglang-0.5.2": Wanted(["sglang[srt]==0.5.2"], leave_out=("flashinfer-python",)),
    "torchvision-of-another-torch": Wanted(["torch==2.11.0", "torchvision==0.23.0"], alone=True),
}


def main(names: list[str]) -> int:
    """Make the files that are named, or all; the status is 1 where the resolver refused."""
    sizes = known_sizes()
    for name in names or list(WANTED):
        wanted = WANTED[name]
        lock = resolved(wanted)
        packages = [
            {"name": package, "version": version, **file_of(wheel, sizes)}
            for package, version, wheel in chosen(lock, wanted)
        ]
        machine = {"architecture": wanted.architecture, "glibc": wanted.glibc, "python": PYTHON}
        document = {"requirements": wanted.requirements, "machine": machine, "packages": packages}
        text = json.dumps(document, indent=1, default=str)
        (FOLDER / f"{name}.json").write_text(f"{text}\n", "utf-8")
        sys.stderr.write(f"{name}: {len(packages)} packages\n")
    return 0


def resolved(wanted: Wanted) -> dict[str, Any]:
    """The resolver's own lock."""
    with tempfile.TemporaryDirectory() as folder:
        asked, overrides = Path(folder, "requirements.in"), Path(folder, "overrides.txt")
        asked.write_text("\n".join(wanted.requirements), "utf-8")
        overrides.write_text(
            "".join(f"{name}; python_version < '3'\n" for name in wanted.leave_out), "utf-8"
        )
        platform = f"{wanted.architecture}-manylinux_{wanted.glibc.replace('.', '_')}"
        command = ["uv", "pip", "compile", str(asked), "--format", "pylock.toml", "--quiet"]
        command += ["--python-version", PYTHON, "--python-platform", platform]
        command += ["--only-binary", ":all:", "--overrides", str(overrides)]
        command += ["--no-deps"] if wanted.alone else []
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return tomllib.loads(done.stdout)


def chosen(lock: dict[str, Any], wanted: Wanted) -> Iterator[tuple[str, str, PackageWheel]]:
    """Every package with the wheel that this machine would get."""
    environment = {
        **LINUX,
        "python_version": PYTHON,
        "python_full_version": f"{PYTHON}.0",
        "implementation_version": f"{PYTHON}.0",
        "platform_machine": wanted.architecture,
    }
    pylock = Pylock.from_dict(lock)
    for package, file in pylock.select(environment=environment, tags=list(tags(wanted))):  # type: ignore[arg-type]
        if not isinstance(file, PackageWheel):
            raise SystemExit(f"{package.name}: {type(file).__name__}, and a wheel is wanted")
        yield package.name, str(package.version), file


def tags(wanted: Wanted) -> Iterator[Tag]:
    """What the machine takes, the best first."""
    legacy = {row.glibc: row.legacy for row in policies()}
    newest = int(wanted.glibc.partition(".")[2])
    platforms = []
    for minor in range(newest, 4, -1):
        names = [f"manylinux_2_{minor}", *legacy.get(f"2.{minor}", [])]
        platforms += [f"{name}_{wanted.architecture}" for name in names]
    platforms.append(f"linux_{wanted.architecture}")
    major, minor = (int(number) for number in PYTHON.split("."))
    yield from cpython_tags((major, minor), platforms=platforms)
    yield from compatible_tags((major, minor), f"cp{major}{minor}", platforms)


def file_of(wheel: PackageWheel, sizes: dict[str, int]) -> dict[str, object]:
    """A wheel without its address."""
    sha256 = wheel.hashes["sha256"]
    name = wheel.name or unquote(urlsplit(wheel.url or "").path).rpartition("/")[2]
    uploaded = wheel.upload_time.strftime("%Y-%m-%dT%H:%M:%SZ") if wheel.upload_time else None
    size = wheel.size or sizes.get(sha256)
    return {"file": name, "sha256": sha256, "size": size, "uploaded": uploaded}


def known_sizes() -> dict[str, int]:
    """The sizes of the wheels in the shipped snapshot, by their sha256."""
    snapshot = open_snapshot()
    if snapshot is None:
        return {}
    with snapshot:
        return {row.sha256: row.size for row in snapshot.rows(documents=False)}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
