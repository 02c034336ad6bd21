"""`Tried`: a candidate with what was decided about it, as far as ways out need it."""

from __future__ import annotations

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from sartor import facts
from sartor.facts.versions import known_version
from sartor.plan.decision import Decision, Rejected
from sartor.plan.outcome import Strategy

DRIVER_RULES = frozenset({"driver", "gpu-driver-range", "ptx"})
"""Rules that another driver may meet."""
PTX_RULES = frozenset({"ptx"})
"""Rules about PTX that is newer than the driver."""
CODE_RULES = frozenset({"device-code", "torch-pin", *PTX_RULES})
"""Rules about the code in the packages."""
GPU_RULES = frozenset({"gpu"})
GLIBC_RULES = frozenset({"glibc", "platform-tag"})
PYTHON_RULES = frozenset({"python", "interpreter"})
LIBRARY_RULES = frozenset({"system-libraries"})
COMPILER_RULES = frozenset({"compiler"})
DISK_RULES = frozenset({"disk"})


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate asks of the machine, where that is known.

    ``glibc`` and ``driver_cuda`` are least versions (the latter for its PTX), ``python`` a
    specifier, ``disk_bytes`` the room it takes, ``libraries`` sonames, ``compilers`` short names.
    ``first_use`` says what of it the driver compiles when it first runs (None: nothing known).
    """

    glibc: str | None = None
    driver_cuda: str | None = None
    python: str | None = None
    disk_bytes: int | None = None
    libraries: list[str] = []
    compilers: list[str] = []
    first_use: str | None = None


class Tried(msgspec.Struct, frozen=True):
    """One candidate: a release of an engine on a line of builds, and every decision about it.

    ``line`` says which builds: ``default index``, ``CUDA 12.9`` …; ``strategy`` how they are had
    (None: as they are published). ``torch`` is the version it pins, ``cuda`` what it is built with.
    """

    engine: str
    version: str
    line: str
    strategy: Strategy | None = None
    decisions: list[Decision] = []
    torch: str | None = None
    cuda: str | None = None
    wants: Wants = Wants()

    @property
    def name(self) -> str:
        """``vllm 0.32.0 (CUDA 13.0)``."""
        return f"{self.engine} {self.version} ({self.line})"

    @property
    def rejections(self) -> list[Rejected]:
        """The decisions against it; none: nothing that was checked is."""
        return [d for d in self.decisions if isinstance(d, Rejected)]

    def blocked_by(self, rules: frozenset[str]) -> bool:
        """Whether something is against it, and these rules are all of it."""
        against = self.rejections
        return bool(against) and all(d.rule in rules for d in against)

    def takes_python(self, version: str) -> bool:
        """Whether it takes a Python (``3.12``); of a specifier that cannot be read, yes."""
        try:
            return SpecifierSet(self.wants.python or "").contains(f"{version}.0")
        except InvalidSpecifier:
            return True

    def needs_branch(self) -> int | None:
        """The oldest driver branch that runs it: its CUDA major's, and that of its PTX.

        None where its CUDA version is not known, or no known branch is new enough.
        """
        cuda = known_version(self.cuda)
        row = next((t for t in facts.toolkits() if cuda and Version(t.version) == cuda), None)
        if cuda is None or row is None:
            return None
        least = Version(row.minor_compat_driver_min).major
        if self.wants.driver_cuda is None:
            return least
        for_ptx = facts.branch_for_cuda(self.wants.driver_cuda)
        return None if for_ptx is None else max(least, for_ptx)


def first_reason(tried: Tried) -> str:
    """What is against a candidate, in a few words."""
    against = tried.rejections
    return f"{against[0].wanted}: {against[0].found}" if against else "nothing is against it"
