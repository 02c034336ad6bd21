"""The versions of a project that a machine can get, as uv sees them, and why not the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import parse_wheel_filename
from packaging.version import InvalidVersion, Version

from sartor.catalog.conflict.lines import environment, pinned
from sartor.facts.packages import normalized
from sartor.index.wheels import Fits, platform_fits, python_fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sartor.catalog.conflict.lines import Constraint
    from sartor.index.wheels import IndexFile
    from sartor.plan.known import ResolveQuestion

SDIST = (".tar.gz", ".zip", ".tar.bz2", ".tgz")
LOWER = frozenset({">=", ">", "==", "===", "~="})


class Rules:
    """Which files count, for all projects of a question: they do not change while it is reduced.

    A yanked version counts where the request itself pins it. Pre-releases count: uv takes one
    where no final release is left, whoever asks for it.
    """

    def __init__(self, question: ResolveQuestion, request: Iterable[Constraint]) -> None:
        machine = question.machine
        self.machine = machine
        self.fits = Fits(machine.architecture, machine.glibc, machine.python)
        self.python = Version(environment(machine)["python_full_version"])
        self.until = moment(question.as_of) if question.as_of else None
        self.as_of = question.as_of
        self.from_source = {normalized(name) for name in question.from_source}
        self.pins = {(c.project, pinned(c)) for c in request if c.bounds.count(",") == 0}

    def why_not(self, file: IndexFile, project: str, version: Version) -> str | None:
        """Why a file does not count; None where it does."""
        if self.until is not None:
            uploaded = moment(file.uploaded) if file.uploaded else None
            if uploaded is None or uploaded > self.until:
                when = f"on {file.uploaded}" if file.uploaded else "at a time that is not told"
                return f"was uploaded {when}, and nothing after {self.as_of} is wanted"
        if file.yanked is not None and (project, version) not in self.pins:
            return f"was yanked{f' ({file.yanked})' if file.yanked else ''}"
        if not file.name.endswith(".whl"):
            allowed = project in self.from_source
            return None if allowed else "is a source distribution, which would have to be built"
        return self._tags(file) or self._python(file)

    def pythons(self, file: IndexFile) -> list[str]:
        """The interpreters that a wheel for the machine's platform is for; none of other files."""
        try:
            tags = parse_wheel_filename(file.name)[3]
        except ValueError:
            return []
        fitting = (t for t in tags if platform_fits(t.platform, self.fits))
        return sorted({f"{tag.interpreter}-{tag.abi}" for tag in fitting})

    def _tags(self, file: IndexFile) -> str | None:
        try:
            tags = parse_wheel_filename(file.name)[3]
        except ValueError:
            return "has a name that is not that of a wheel"
        if not any(platform_fits(tag.platform, self.fits) for tag in tags):
            return f"is for {', '.join(sorted({t.platform for t in tags}))}"
        fitting = [tag for tag in tags if platform_fits(tag.platform, self.fits)]
        if not python_fits(fitting, self.machine.python):
            return f"is for {', '.join(sorted({f'{t.interpreter}-{t.abi}' for t in tags}))}"
        return None

    def _python(self, file: IndexFile) -> str | None:
        """As uv reads `Requires-Python`: its lower bounds, for upper ones are guesses."""
        if not file.requires_python:
            return None
        try:
            lower = [s for s in SpecifierSet(file.requires_python) if s.operator in LOWER]
        except InvalidSpecifier:
            return None
        for one in lower:
            least = version_of(one.version.removesuffix(".*"))
            if least is not None and (
                self.python < least or (one.operator == ">" and self.python == least)
            ):
                return f"requires Python {file.requires_python}"
        return None


def moment(text: str) -> datetime | None:
    """A time of RFC 3339; a day alone ends at midnight in UTC. None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == len("2026-11-21"):
        found += timedelta(days=1)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Candidates:
    """The versions of one project, the newest first; which of them count is found out as asked."""

    def __init__(self, project: str, files: Sequence[IndexFile], rules: Rules) -> None:
        self.project = project
        self._rules = rules
        self._files: dict[Version, list[IndexFile]] = {}
        self._usable: dict[Version, list[IndexFile]] = {}
        texts: dict[str, Version | None] = {}
        for file in files:
            text = version_text(file.name, project)
            if text is None:
                continue
            if text not in texts:
                texts[text] = version_of(text)
            if (version := texts[text]) is not None:
                self._files.setdefault(version, []).append(file)
        self.versions = sorted(self._files, reverse=True)

    def usable(self, version: Version) -> bool:
        """Whether a version has a file that counts."""
        return bool(self.files(version))

    def files(self, version: Version) -> list[IndexFile]:
        """Its files that count, wheels first."""
        found = self._usable.get(version)
        if found is None:
            rules, listed = self._rules, self._files.get(version, [])
            found = [f for f in listed if rules.why_not(f, self.project, version) is None]
            found.sort(key=lambda f: (not f.name.endswith(".whl"), f.name))
            self._usable[version] = found
        return found

    def pythons(self, version: Version) -> list[str]:
        """The interpreters that its wheels for the machine's platform are for (``cp312-cp312``)."""
        found: dict[str, None] = {}
        for file in sorted(self._files[version], key=lambda f: f.name):
            found |= dict.fromkeys(self._rules.pythons(file))
        return list(found)

    def why_not(self, version: Version) -> dict[str, str]:
        """Each file of a version that does not count, with the reason."""
        why = ((f, self._rules.why_not(f, self.project, version)) for f in self._files[version])
        return {file.name: reason for file, reason in why if reason}


def version_text(name: str, project: str) -> str | None:
    """The version in the name of a wheel or of a source distribution; None for other files."""
    if name.endswith(".whl"):
        parts = name.split("-")
        return parts[1] if len(parts) > 4 else None
    for ending in SDIST:
        if name.endswith(ending):
            stem = name.removesuffix(ending)
            for at, letter in enumerate(stem):
                if letter == "-" and normalized(stem[:at]) == project:
                    return stem[at + 1 :]
    return None


def version_of(text: str) -> Version | None:
    """A version; None where the text is none."""
    try:
        return Version(text)
    except InvalidVersion:
        return None
