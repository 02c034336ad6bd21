"""What is kept, for the GPUs that were named, or for those of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor import facts
from sartor.errors import UnknownGpuError, UsageError
from sartor.facts.versions import known_version
from sartor.slim.choice import Wanted
from sartor.verdict.model import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sartor.host.model import Host

EXAMPLE = "`--gpu rtx-5090`, `--gpu sm_90`, or both"
NAME_HINT = (
    "write the name as `nvidia-smi -L` prints it, or the architecture: `--gpu sm_120`; several "
    "GPUs are `--gpu sm_120 --gpu sm_90`"
)


def wanted_of(
    gpus: Sequence[str],
    *,
    keep_ptx: bool = False,
    retarget: bool = False,
    compress: bool = False,
) -> Wanted:
    """What is kept for the GPUs of these names (``rtx-5090``, ``sm_90``); none: those here.

    Each architecture once, in their order: names and drivers change nothing of what is kept. The
    oldest driver, where all are known, decides how new code is compressed and compiled.
    Raises what `sartor.verdict.targets.resolve` raises, and `UsageError` where there is none.
    """
    from sartor.verdict.targets import Asked, Ways, resolve

    ways = Ways(NAME_HINT, f"name each on its own: {EXAMPLE}")
    found = resolve(Asked(list(gpus)), _this_machine, ways=ways).gpus
    _refuse_unknown(found)
    if not found:
        raise UsageError(
            "no GPU is named, and this machine has none",
            hint=f"name what it is for: {EXAMPLE}",
        )
    return Wanted(
        tuple(_bare(found)),
        keep_ptx,
        retarget=retarget,
        compress=compress,
        driver=_oldest([target.driver for target in found]),
        driver_cuda=_oldest([target.driver_cuda for target in found]),
    )


def _refuse_unknown(targets: Sequence[Target]) -> None:
    """Raise `UnknownGpuError` for architectures that no GPU is known to have.

    One that is newer than the facts is stated with a name of its own: ``new:sm_130``.
    """
    known = {row.compute_capability: _number(row.compute_capability) for row in facts.archs()}
    lines = []
    for one in targets:
        if one.compute_capability in known or one.name is not None:
            continue
        number = _number(one.compute_capability)
        older = max((n for n in known.values() if n < number), default=None)
        newer = min((n for n in known.values() if n > number), default=None)
        near = " and ".join(f"`sm_{n}`" for n in (older, newer) if n is not None)
        lines.append(f"`{one.gpu}`: no GPU is known to be that; nearest: {near}")
    if lines:
        raise UnknownGpuError(
            "no GPU of that architecture is known",
            found=lines,
            hint=f"name one that is: {EXAMPLE}; a GPU that is newer than this Sartor is stated "
            "with any name: `--gpu new:sm_130`",
        )


def _number(capability: str) -> int:
    return int(capability.replace(".", ""))


def _oldest(versions: list[str | None]) -> str | None:
    """The oldest; None where one is not known."""
    known = [version for text in versions if (version := known_version(text))]
    return str(min(known)) if known and len(known) == len(versions) else None


def _bare(targets: Iterable[Target]) -> list[Target]:
    """One target for each architecture, the oldest first."""
    bare = {Target(target.gpu, target.compute_capability) for target in targets}
    return sorted(bare, key=lambda one: [int(n) for n in one.compute_capability.split(".")])


def _this_machine() -> Host:
    from sartor.line import find_host
    from sartor.paths import default_places

    return find_host(None, default_places())
