"""An oracle of the tests' own, which is uv itself: the judge of what Sartor says of conflicts.

Only the listings come through Sartor's own reader of indexes; METADATA is fetched as it is served.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from typing import TYPE_CHECKING

import msgspec
import uv

from sartor.artifact.metadata import headers
from sartor.artifact.model import Package
from sartor.errors import NoSuchTargetError, SartorError
from sartor.index.network import as_configured, uv_environment
from sartor.index.wheels import Fits, IndexFile, why_not
from sartor.plan.known import (
    DEFAULT,
    Listing,
    Locked,
    Machine,
    Resolution,
    Resolved,
    ResolveQuestion,
    Unread,
    Unsolvable,
)
from sartor.remote.targets import Keeping, Remotes
from sartor.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LACKING = re.compile(r"network was disabled|connectivity is disabled", re.IGNORECASE)
METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


class UvOracle:
    """Asks uv and the configured indexes; ``folder`` keeps what they said. Counts its questions."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        as_configured()
        self._folder = folder
        self._environment = dict(environment or {})
        self._remotes = Remotes(Reporter(), keeping=Keeping(listings=folder / "listings"))
        self._lock = threading.Lock()
        self._answers: dict[ResolveQuestion, Resolved] = {}
        self.calls = 0
        self.listed: set[str] = set()
        self.read: set[str] = set()

    def resolve(self, question: ResolveQuestion) -> Resolved:
        """What `uv pip compile` says."""
        if question in self._answers:
            return self._answers[question]
        with self._lock:
            self.calls += 1
            folder = self._folder / f"call-{self.calls}"
        folder.mkdir(parents=True)
        (folder / "wanted.in").write_text("\n".join(question.requirements) + "\n")
        (folder / "uv.toml").write_text(settings(question))
        answer = self._run(question, folder, "--offline")
        if not isinstance(answer, Resolution) and LACKING.search(answer.why):
            answer = self._run(question, folder)
        self._answers[question] = answer
        return answer

    def _run(self, question: ResolveQuestion, folder: Path, *more: str) -> Resolved:
        """Asked without the network it takes what uv's cache holds; it says where that lacks."""
        own = {"NO_COLOR": "1", "UV_CONFIG_FILE": str(folder / "uv.toml")}
        process = subprocess.run(
            [uv.find_uv_bin(), *arguments(question), *more, str(folder / "wanted.in")],
            env={**os.environ, **uv_environment(), **self._environment, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        return told(process.returncode, process.stdout, process.stderr)

    def listing(self, project: str) -> Listing:
        """Through Sartor's reader, and its pages that are kept."""
        self.listed.add(project)
        try:
            return Listing(DEFAULT, project, "reached", self._remotes.files(project))
        except NoSuchTargetError:
            return Listing(DEFAULT, project, "reached")
        except SartorError as error:
            return Listing(DEFAULT, project, "not reached", why=error.message)

    def metadata(self, project: str, version: str, machine: Machine) -> Package | Unread:
        """What the index serves beside the wheel."""
        self.read.add(f"{project}=={version}")
        files = [f for f in self.listing(project).files if f.name.endswith(".whl")]
        of_version = [f for f in files if f.name.split("-")[1] == version]
        fitting = [f for f in of_version if self._fits(f, machine)]
        if not fitting:
            return Unread("no wheel fits")
        fields = headers(self._metadata(fitting[0]), fitting[0].name, [])
        return Package(
            name=project,
            version=version,
            path="",
            requires=fields.get("requires-dist", []),
            file_tags=["-".join(fitting[0].name.removesuffix(".whl").rsplit("-", 3)[1:])],
        )

    def _fits(self, file: IndexFile, machine: Machine) -> bool:
        """As uv has it: upper bounds on Python do not count."""
        fits = Fits(machine.architecture, machine.glibc, machine.python)
        return why_not(msgspec.structs.replace(file, requires_python=None), fits) is None

    def _metadata(self, file: IndexFile) -> bytes:
        kept = self._folder / "metadata" / file.name
        if kept.exists():
            return kept.read_bytes()
        members = self._remotes.members(file)
        (name,) = (n for n in members.names if METADATA.fullmatch(n))
        data = members.read(name) or b""
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(data)
        return data


def told(status: int, output: str, talk: str) -> Resolved:
    """What uv said."""
    if status == 0:
        pairs = [line.split("==") for line in output.splitlines() if "==" in line]
        return Resolution([locked(name.strip(), v.strip()) for name, v in pairs], output)
    if "No solution found" in talk or "require conflicting URLs" in talk:
        return Unsolvable(talk)
    return Unread(talk)


def locked(name: str, version: str) -> Locked:
    """A package of uv's answer; which file is not asked here."""
    return Locked(name.partition("[")[0], version, IndexFile(f"{name}-{version}", ""), DEFAULT)


def arguments(question: ResolveQuestion) -> list[str]:
    """Of `uv pip compile`, for a machine."""
    machine = question.machine
    glibc = machine.glibc or "2.35"
    found = ["pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:"]
    found += ["--python-version", machine.python]
    found += ["--python-platform", f"{machine.architecture}-manylinux_{glibc.replace('.', '_')}"]
    found += ["--exclude-newer", question.as_of] if question.as_of else []
    return [*found, *(["--prerelease", "allow"] if question.prereleases else [])]


def settings(question: ResolveQuestion) -> str:
    """A `uv.toml` in which versions require what they are assumed to."""
    lines = []
    for assumed in question.assumed:
        lines += ["[[dependency-metadata]]", f'name = "{assumed.name}"']
        lines += [f'version = "{assumed.version}"', "requires-dist = ["]
        lines += [f"  {text(requirement)}," for requirement in assumed.requires]
        lines += ["]"]
    return "\n".join(lines) + "\n"


def text(value: str) -> str:
    """A string of TOML."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
