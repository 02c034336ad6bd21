"""What the ways out are sought in: the machine, what was tried, what is known of indexes."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from sartor.facts import offers
from sartor.facts.versions import known_version
from sartor.host.model import Host
from sartor.index.wheels import Fits, why_not
from sartor.plan.gpu_driver import branch_of, gpus_of, toolkits_for, window_of
from sartor.plan.known import Listing, ListingQuestion
from sartor.plan.machine import glibc
from sartor.plan.tried import Tried
from sartor.verdict.targets import targets_of

if TYPE_CHECKING:
    from sartor.index.wheels import IndexFile
    from sartor.verdict.model import Target


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One machine with what was tried for it; the arguments of `ways.collect.ways`."""

    host: Host
    engines: list[str]
    tried: list[Tried]
    listings: dict[ListingQuestion, Listing]
    as_of: str | None

    @property
    def targets(self) -> list[Target]:
        """The kinds of GPUs that the driver answers for and whose capability can be compared."""
        return [t for t in targets_of(self.host) if known_version(t.compute_capability)]

    @property
    def capabilities(self) -> list[str]:
        """Their compute capabilities, the oldest first."""
        return sorted({t.compute_capability for t in self.targets}, key=Version)

    @property
    def toolkits(self) -> tuple[str, str | None] | None:
        """The toolkits that compile for all of them."""
        return toolkits_for(self.capabilities)

    @property
    def driver_cuda(self) -> str | None:
        """The highest CUDA version of the machine's driver."""
        return self.host.driver.cuda if self.host.driver else None

    @property
    def day(self) -> datetime.date | None:
        """The day that is planned for."""
        return datetime.date.fromisoformat(self.as_of[:10]) if self.as_of else None

    def is_reached(self, tried: Tried) -> bool:
        """Whether its makers name no newer GPU as the oldest that it runs on."""
        if not offers.reach_known(tried.engine, tried.version):
            return True
        return all(offers.reached(tried.engine, tried.version, c) for c in self.capabilities)

    def driver_first(self) -> str | None:
        """What of the driver must be changed before anything runs; None where nothing must be."""
        branch, window = branch_of(self.host), window_of(gpus_of(self.host))
        if branch is None or window.holds(branch):
            return None
        return f"the driver must be changed first: branch {branch} does not drive all of the GPUs"

    def of_engine(self, engine: str) -> list[Tried]:
        """What was tried of an engine, the newest version first."""
        return sorted(
            (t for t in self.tried if t.engine == engine),
            key=lambda t: known_version(t.version) or Version("0"),
            reverse=True,
        )

    def newest(self, engine: str) -> str | None:
        """The newest version of an engine that was tried."""
        return next((t.version for t in self.of_engine(engine)), None)

    def driver_runs(self, cuda: str) -> bool | None:
        """Whether the driver starts what a CUDA version was linked with; None: not known.

        By majors: within one, minor-version compatibility holds for machine code.
        """
        have = known_version(self.driver_cuda)
        return None if have is None else have.major >= Version(cuda).major

    def listed(self, index: str, project: str) -> list[IndexFile] | None:
        """The wheels for this machine that an index lists, by the day that is planned for.

        None where the index was not asked or did not answer.
        """
        listing = self.listings.get(ListingQuestion(index, project))
        if listing is None or listing.state != "reached":
            return None
        fits = Fits(self.host.architecture, glibc(self.host))
        return [
            file
            for file in listing.files
            if file.name.endswith(".whl") and why_not(file, fits) is None and self._is_out(file)
        ]

    def _is_out(self, file: IndexFile) -> bool:
        if self.as_of is None or file.uploaded is None:
            return True
        return file.uploaded[:10] <= self.as_of[:10]
