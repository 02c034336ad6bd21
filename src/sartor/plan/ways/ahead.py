"""PTX compiled ahead of time: for PTX that is newer than the driver, and no first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from sartor.facts import remedies
from sartor.plan.outcome import Alternative, Cost
from sartor.plan.tried import PTX_RULES, first_reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.plan.tried import Tried
    from sartor.plan.ways.scene import Scene

NOT_PUT_BACK = (
    "the machine code is not put back into the libraries: this version of Sartor cannot do that "
    "yet, and without it the package stays as it is"
)

CACHED = "what the driver compiles at first use stays in its cache: that is what helps today"


def ahead_of_time(scene: Scene) -> Iterator[Alternative]:
    """PTX compiled by ptxas for the very GPU, where PTX that is too new for the driver is all that
    is against a candidate, or nothing is and the driver would compile it when it first runs.

    Its CUDA major must be the driver's: machine code needs no more.
    """
    for tried in scene.tried:
        least = tried.wants.driver_cuda
        early = tried.wants.first_use is not None and not tried.rejections
        if least is None or not (early or tried.blocked_by(PTX_RULES)):
            continue
        if scene.driver_runs(least) is False or scene.toolkits is None:
            continue
        oldest, newest = scene.toolkits
        toolkit = max(least, oldest, key=Version)
        if newest is not None and Version(toolkit) > Version(newest):
            continue
        yield _retarget(scene, tried, toolkit)


def _retarget(scene: Scene, tried: Tried, toolkit: str) -> Alternative:
    archs = [target.gpu for target in scene.targets]
    extract = "cuobjdump -xptx all <library>.so"
    compile_ = [f"ptxas -arch={arch} -o <name>.{arch}.cubin <name>.ptx" for arch in archs]
    because = (
        f"{first_reason(tried)}: only its PTX is too new for the driver, and machine code of CUDA "
        f"{Version(toolkit).major} is not"
    )
    cached: list[str] = []
    if not tried.rejections:
        because = f"the driver compiles it when it first runs: {tried.wants.first_use}"
        cached = remedies.compute_cache().commands
    return Alternative(
        strategy="ahead-of-time",
        what=f"the PTX of {tried.name} compiled for {', '.join(archs)} by ptxas {toolkit} or newer",
        because=because,
        cost=Cost(
            trust="own build",
            because="some 26 s of one core for a PTX text of 7 MB (measured with ptxas 13.0)",
        ),
        commands=[*cached, extract, *compile_],
        needs="source",
        checked=[f"ptxas {toolkit} compiles for {', '.join(archs)}"],
        not_checked=[
            "whether each of its PTX texts compiles: the commands show it",
            NOT_PUT_BACK,
            *([CACHED] if cached else []),
            "NVIDIA's own libraries may not be changed under their licence",
        ],
    )
