"""A ptxas that will do: of this machine, of this Python's packages, or of NVIDIA's wheel."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from sartor.errors import NoPtxasError, SartorError
from sartor.facts import ptxas as known
from sartor.host.machine import CommandResult, RealMachine
from sartor.host.tools import nvcc_candidates
from sartor.index.uv import online_or_from_cache
from sartor.paths import explain_os_errors, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.host.machine import Machine
    from sartor.paths import Places
    from sartor.reporter import Reporter
    from sartor.slim.retarget.jobs import Need

VERSION = re.compile(r"release (\d{1,3}\.\d{1,3}), V(\d{1,3}(?:\.\d{1,5}){2})", re.ASCII)
PROGRAM = "ptxas"


class Ptxas(msgspec.Struct, frozen=True):
    """One ptxas: its path, its version (``13.0.88``) and the toolkit's release (``13.0``)."""

    path: Path
    version: str
    release: str


class Toolchain:
    """Finds a ptxas for each need, once. ``may_fetch``: a wheel is fetched where none is here."""

    def __init__(
        self,
        places: Places,
        reporter: Reporter,
        *,
        machine: Machine | None = None,
        may_fetch: bool = True,
    ) -> None:
        self._places = places
        self._reporter = reporter
        self._machine = machine or RealMachine()
        self._may_fetch = may_fetch
        self._here: list[Ptxas] | None = None
        self._found: dict[Need, Ptxas] = {}

    def ptxas(self, need: Need) -> Ptxas:
        """The newest here that will do, else one of the wheel.

        Raises `NoPtxasError`, with the versions that are here and those that would do.
        """
        if need not in self._found:
            if self._here is None:
                kept = sorted(self._folder.glob(f"*/{PROGRAM}")) if self._folder.is_dir() else []
                self._here = versions(self._machine, [*candidates(self._machine), *kept])
            fitting = [one for one in self._here if need.takes(one.release)]
            found = max(fitting, key=lambda one: Version(one.version), default=None)
            self._found[need] = found or self._fetched(need)
            chosen = self._found[need]
            self._reporter.note(f"compiling with ptxas {chosen.version} ({chosen.path})")
        return self._found[need]

    @property
    def _folder(self) -> Path:
        return self._places.caches / PROGRAM / "bin"

    def _fetched(self, need: Need) -> Ptxas:
        wheel = max((w for w in known.wheels() if w.major <= need.major), key=lambda w: w.major)
        asked = requirement(wheel.project, need)
        here = ", ".join(one.version for one in self._here or []) or "none"
        found = [f"here: {here}", f"wanted: {need}"]
        hint = f"put ptxas of {need} on PATH, or install its wheel: `pip install '{asked}'`"
        why = f"no ptxas here compiles that PTX: {need} would"
        if not self._may_fetch:
            raise NoPtxasError(why, found=found, hint=hint)
        self._reporter.note(f"no ptxas here will do ({here}); taking `{asked}`")
        try:
            path = self._unpacked(asked, wheel.member)
        except SartorError as error:
            told = [*found, f"the wheel: {error.message}"]
            raise NoPtxasError(why, found=told, hint=hint, log=error.log) from error
        fetched = versions(self._machine, [path])
        if not fetched or not need.takes(fetched[0].release):
            raise NoPtxasError(f"{why}; `{asked}` gave none", found=found, hint=hint)
        return fetched[0]

    def _unpacked(self, asked: str, member: str) -> Path:
        """The program of a wheel, kept by its version; the rest of the wheel is not kept."""
        folder = make_folder(self._folder)
        unpacked = folder / ".unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        try:
            arguments = ["pip", "install", "--no-deps", "--only-binary", ":all:"]
            arguments += ["--python", sys.executable, "--target", str(unpacked), asked]
            log = make_folder(self._places.logs) / "ptxas.log"
            online_or_from_cache(arguments, log, self._reporter, f"fetching {PROGRAM}")
            program = unpacked / member
            if not program.is_file():
                raise NoPtxasError(f"`{asked}` holds no `{member}`", log=str(log))
            program.chmod(0o755)
            version = versions(self._machine, [program])
            name = version[0].version if version else "unknown"
            with explain_os_errors(folder):
                place = make_folder(folder / name) / PROGRAM
                program.replace(place)
            return place
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)


def requirement(project: str, need: Need) -> str:
    """What is asked of the index: the newest release that will do."""
    most = Version(need.most) if need.most else None
    if most is None or most.major > need.major:
        return f"{project}>={need.least},<{need.major + 1}"
    return f"{project}>={need.least},<{most.major}.{most.minor + 1}"


def candidates(machine: Machine) -> list[Path]:
    """Where a ptxas may be: on PATH, in CUDA toolkits, in packages of this Python."""
    on_path = machine.which(PROGRAM)
    found = [Path(on_path)] if on_path else []
    found += [Path(nvcc).with_name(PROGRAM) for nvcc in nvcc_candidates(machine)]
    members = [*(w.member for w in known.wheels()), *(c.member for c in known.carried())]
    found += [Path(folder) / member for folder in sys.path if folder for member in members]
    return [path for path in found if path.is_file()]


def versions(machine: Machine, paths: Iterable[Path]) -> list[Ptxas]:
    """The programs that say which version they are, each once."""
    found: dict[Path, Ptxas] = {}
    for path in paths:
        real = path.resolve()
        if real in found:
            continue
        answer = machine.run([str(real), "--version"])
        if isinstance(answer, CommandResult) and (match := VERSION.search(answer.stdout)):
            found[real] = Ptxas(path, match[2], match[1])
    return list(found.values())
