"""`Shown`: which GPUs and drivers a map is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sartor import facts
from sartor.matrix.support import map_target
from sartor.verdict.targets import Asked, resolve

if TYPE_CHECKING:
    from sartor.facts import DriverBranchFact, ShownGpu
    from sartor.host.model import Host
    from sartor.matrix.model import MapTarget, MapVerdict, MapWheel


class Shown(NamedTuple):
    """GPUs, driver branches, and the targets: of each GPU one without a driver stated, then one
    with each branch, all of one GPU together."""

    gpus: list[ShownGpu]
    branches: list[DriverBranchFact]
    targets: list[MapTarget]

    def machine(self, gpu: int) -> str:
        """The processors beside a GPU: its own, else the usual ones."""
        return self.target(gpu).machine or facts.map_choice().usual_machine

    @property
    def step(self) -> int:
        """How many targets each GPU has."""
        return 1 + len(self.branches)

    def target(self, gpu: int) -> MapTarget:
        """A GPU without a driver."""
        return self.targets[gpu * self.step]

    def undriven(self, wheel: MapWheel) -> list[MapVerdict]:
        """A wheel's verdicts for the GPUs without a driver."""
        return wheel.verdicts[:: self.step]

    def driven(self, wheel: MapWheel, gpu: int) -> list[MapVerdict]:
        """A wheel's verdicts for one GPU: without a driver, then with each branch."""
        return wheel.verdicts[gpu * self.step : (gpu + 1) * self.step]


def shown() -> Shown:
    """What the published map shows, by `facts.map_choice`."""
    choice = facts.map_choice()
    branches = [b for b in facts.driver_branches() if b.branch >= choice.first_driver_branch]
    targets = [
        map_target(target)
        for gpu in choice.gpu
        for driver in (None, *(str(row.branch) for row in branches))
        for target in resolve(Asked(gpus=[gpu.gpu], driver=driver), no_machine).gpus
    ]
    return Shown(choice.gpu, branches, targets)


def no_machine() -> Host:
    """For `resolve`, where every GPU is named."""
    raise AssertionError("a map is for GPUs that are named")
