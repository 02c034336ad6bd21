"""What is kept, for the GPUs that were named, or for those of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.facts.versions import known_version
from sartor.slim.choice import Wanted
from sartor.verdict.model import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sartor.host.model import Host


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
    from sartor.verdict.targets import Asked, resolve

    found = resolve(Asked(list(gpus)), _this_machine).gpus
    if not found:
        raise UsageError(
            "no GPU is named, and this machine has none",
            hint="name what it is for: `--gpu rtx-5090`, `--gpu sm_90`",
        )
    return Wanted(
        tuple(_bare(found)),
        keep_ptx,
        retarget=retarget,
        compress=compress,
        driver=_oldest([target.driver for target in found]),
        driver_cuda=_oldest([target.driver_cuda for target in found]),
    )


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
