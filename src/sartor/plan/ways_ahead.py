"""PTX compiled ahead of time: for PTX that is newer than the driver, and no first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from sartor.plan.outcome import Alternative, Cost
from sartor.plan.tried import PTX_RULES, first_reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.plan.tried import Tried
    from sartor.plan.ways_scene import Scene

NOT_PUT_BACK = (
    "the machine code is not put back into the libraries: this version of Sartor cannot do that "
    "yet, and without it the package stays as it is"
)


def ahead_of_time(scene: Scene) -> Iterator[Alternative]:
    """PTX compiled by ptxas for the very GPU, where PTX too new for the driver is all that is
    against a candidate. Its CUDA major must be the driver's: machine code needs no more.
    """
    for tried in scene.tried:
        if not tried.blocked_by(PTX_RULES) or tried.wants.driver_cuda is None:
            continue
        least = tried.wants.driver_cuda
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
    return Alternative(
        strategy="ahead-of-time",
        what=f"the PTX of {tried.name} compiled for {', '.join(archs)} by ptxas {toolkit} or newer",
        because=f"{first_reason(tried)}: only its PTX is too new for the driver, and machine code "
        f"of CUDA {Version(toolkit).major} is not",
        cost=Cost(
            trust="own build",
            because="some 26 s of one core for a PTX text of 7 MB (measured with ptxas 13.0)",
        ),
        commands=[extract, *compile_],
        needs="source",
        checked=[f"ptxas {toolkit} compiles for {', '.join(archs)}"],
        not_checked=[
            "whether each of its PTX texts compiles: the commands show it",
            NOT_PUT_BACK,
            "NVIDIA's own libraries may not be changed under their licence",
        ],
    )
