"""The offline market's resolver: the newest of what is listed, and the rest as it is required.

It does not go back on a choice: where two requirements on a listed project cannot both hold there
is no set. Projects that the market does not list are made up, without code and requirements.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from sartor.index.wheels import Fits, IndexFile, why_not
from sartor.plan.known import DEFAULT, Locked, Resolution, Unread

if TYPE_CHECKING:
    from market import Market
    from sartor.plan.known import Machine, ResolveQuestion

PLATFORM = "py3-none-manylinux_2_17_"
PLAIN = "py3-none-any"


class ImpossibleError(Exception):
    """There is no such set."""


class Resolver:
    """One question to the market."""

    def __init__(self, market: Market, question: ResolveQuestion) -> None:
        self._market = market
        self._question = question
        self._bounds: dict[str, SpecifierSet] = {}
        self._extras: dict[str, set[str]] = {}
        self._chosen: dict[str, Locked] = {}

    def run(self) -> Resolution:
        """The set; raises `ImpossibleError`."""
        waiting = [Requirement(text) for text in self._question.requirements]
        left_out = set(self._question.leave_out)
        while waiting:
            for required in waiting:
                self._bind(required)
            names = dict.fromkeys(canonicalize_name(required.name) for required in waiting)
            waiting = [
                one
                for n in names
                if n not in left_out
                for one in self._take(n)
                if self._is_new(one)
            ]
        packages = sorted(self._chosen.values(), key=lambda one: one.name)
        return Resolution(packages, "".join(f"{p.name}=={p.version}\n" for p in packages))

    def _bind(self, required: Requirement) -> None:
        name = canonicalize_name(required.name)
        self._bounds[name] = self._bounds.get(name, SpecifierSet()) & required.specifier
        self._extras.setdefault(name, set()).update(required.extras)
        taken = self._chosen.get(name)
        if taken and not self._bounds[name].contains(taken.version, prereleases=True):
            if (DEFAULT, name) in self._market.files:
                wrong = f"{name}{required.specifier} and {name}=={taken.version}"
                raise ImpossibleError(f"{wrong} cannot both hold")
            del self._chosen[name]

    def _is_new(self, required: Requirement) -> bool:
        name = canonicalize_name(required.name)
        bounds = self._bounds.get(name)
        same = bounds is not None and set(required.specifier) <= set(bounds)
        return not (same and required.extras <= self._extras[name])

    def _take(self, name: str) -> list[Requirement]:
        """Choose a project's file, and say what that requires."""
        listed = self._listed(name)
        if listed is None:
            version = _fitting(name, self._bounds[name])
            self._chosen[name] = Locked(name, version, _made(name, version, self._machine), DEFAULT)
            return []
        index, file = listed
        version = str(parse_wheel_filename(file.name)[1])
        self._chosen[name] = Locked(name, version, file, index)
        package = self._market.declared_by(file)
        told = [] if isinstance(package, Unread) else package.requires
        lines = (Requirement(line) for line in told)
        return [one for one in lines if self._applies(one, self._extras[name])]

    @property
    def _machine(self) -> Machine:
        return self._question.machine

    def _listed(self, name: str) -> tuple[str, IndexFile] | None:
        """The newest file that fits, of the index that has the project; None: nobody lists it."""
        pinned = [pin.index for pin in self._question.indexes if name in pin.projects]
        index = (pinned or [DEFAULT])[0]
        files = self._market.files.get((index, name))
        if files is None:
            return None
        machine, as_of = self._machine, self._question.as_of
        fits = Fits(machine.architecture, machine.glibc, machine.python)
        found = {
            parse_wheel_filename(f.name)[1:3]: f
            for f in files
            if f.name.endswith(".whl") and why_not(f, fits) is None
            if as_of is None or (f.uploaded is not None and f.uploaded <= as_of)
            if f.yanked is None or self._is_exact(name)
        }
        meant = [k for k in found if self._bounds[name].contains(k[0], prereleases=True)]
        if not meant:
            raise ImpossibleError(f"there is no {name}{self._bounds[name]} for {machine}")
        return index, found[max(meant, key=lambda k: (k[0], found[k].yanked is None, k[1]))]

    def _is_exact(self, name: str) -> bool:
        return any(s.operator == "==" for s in self._bounds[name])

    def _applies(self, one: Requirement, extras: set[str]) -> bool:
        python, machine = self._machine.python, self._machine.architecture
        here = {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "platform_machine": machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
        }
        words = ["", *extras]
        marker = one.marker
        return marker is None or any(marker.evaluate({**here, "extra": word}) for word in words)


def _fitting(name: str, bounds: SpecifierSet) -> str:
    """A version within the bounds, by the numbers that they name."""
    named = sorted({Version(s.version.removesuffix(".*")) for s in bounds})
    later = (Version(f"{v.base_version}.1") for v in reversed(named))
    tried = [*reversed(named), *later, Version("1.0"), Version("0.0.1")]
    found = next((v for v in tried if bounds.contains(v, prereleases=True)), None)
    if found is None:
        raise ImpossibleError(f"no version of {name} is {bounds}")
    return str(found)


def _made(name: str, version: str, machine: Machine) -> IndexFile:
    """A wheel of a project that is not listed; CUDA's own are for a platform."""
    cuda = name.startswith("nvidia-")
    tags = f"{PLATFORM}{machine.architecture}" if cuda else PLAIN
    file = f"{name.replace('-', '_')}-{version}-{tags}.whl"
    return IndexFile(file, "", 1000, hashlib.sha256(file.encode()).hexdigest())
