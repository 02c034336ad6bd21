"""Which of PyTorch's builds have code for a machine's GPUs."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from packaging.version import Version

from sartor import facts
from sartor.artifact.model import ImageKind
from sartor.facts import offers
from sartor.facts.offers import TorchBuildFact
from sartor.facts.versions import known_version, within_versions
from sartor.verdict.load_rule import Jit, Native, container_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.facts.offers import TorchReleaseFact
    from sartor.verdict.model import Target


class Code(msgspec.Struct, frozen=True):
    """An image that a build is declared, or was read, to hold."""

    kind: ImageKind
    arch: str
    ptx_isa: str | None = None
    compression: str | None = None


class TorchFit(msgspec.Struct, frozen=True):
    """A release of PyTorch from an index that has code for every GPU.

    ``verdicts`` are by architecture (``sm_120``).
    """

    version: str
    build: TorchBuildFact
    built: datetime.date
    verdicts: dict[str, Literal["native", "jit"]]

    @property
    def is_native(self) -> bool:
        """Whether nothing is left to be compiled at first use."""
        return all(verdict == "native" for verdict in self.verdicts.values())


def torch_that_fit(
    targets: Sequence[Target], architecture: str | None, as_of: str | None = None
) -> list[TorchFit]:
    """PyTorch's releases that have code for all targets, the newest first.

    ``as_of`` (RFC 3339, or a day): none that was built later. A build of a newer CUDA major than a
    target's driver is none of them.
    """
    day = datetime.date.fromisoformat(as_of[:10]) if as_of else None
    found = []
    for release in offers.torch_releases():
        if day is not None and release.built > day:
            continue
        for build in offers.torch_builds():
            if architecture in {None, build.architecture}:
                fit = _fit(release, build, targets)
                found += [fit] if fit else []
    return sorted(found, key=_order, reverse=True)


def _order(fit: TorchFit) -> tuple[Version, bool, bool, Version]:
    """Newest release, native before compiled, read before declared, newest CUDA."""
    read = fit.build.grade == "read"
    return Version(fit.version), fit.is_native, read, Version(fit.build.cuda)


def _fit(
    release: TorchReleaseFact, build: TorchBuildFact, targets: Sequence[Target]
) -> TorchFit | None:
    if not targets or not within_versions(build.versions, release.version):
        return None
    verdicts: dict[str, Literal["native", "jit"]] = {}
    for target in targets:
        have = known_version(target.driver_cuda)
        if have is not None and have.major < Version(build.cuda).major:
            return None
        match container_outcome(codes(build), target):
            case Native():
                verdicts[target.gpu] = "native"
            case Jit():
                verdicts[target.gpu] = "jit"
            case _:
                return None
    return TorchFit(release.version, build, release.built, verdicts)


def codes(build: TorchBuildFact) -> list[Code]:
    """The images of a build; its PTX has the version that its toolkit writes."""
    isa = next((t.ptx_isa for t in facts.toolkits() if t.version == build.cuda), None)
    native = [Code("cubin", f"sm_{c.replace('.', '')}") for c in build.native]
    return native + [Code("ptx", f"compute_{c.replace('.', '')}", isa) for c in build.ptx]
