"""The same release with another build of its torch: from an index that PyTorch's makers publish.

Tried where no release stands with the torch that the user's own index gives it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.version import Version

from sartor import facts
from sartor.facts.versions import known_version, within_versions
from sartor.plan.case import TORCH, Case
from sartor.plan.rules.gpu import driver_for
from sartor.plan.stages import Judged, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sartor.facts import IndexFact

OF_TORCH = {"device-code", "ptx", "driver", "torch-pin", "objective"}
"""What another torch may change."""
MOST_RELEASES = 8
"""Of an engine, the newest whose torch alone stands against it, or may."""


def variants(judged: Sequence[Judged]) -> list[Judged]:
    """The releases that another torch may save, each with every build that the driver takes."""
    found: list[Judged] = []
    counts: dict[str, int] = {}
    for one in judged:
        engine = one.case.engine.name
        if not _may_be_saved(one) or counts.get(engine, 0) >= MOST_RELEASES:
            continue
        own = [_with_torch(one.case, row) for row in rows_for(one.case)]
        counts[engine] = counts.get(engine, 0) + bool(own)
        found += [listed(case) for case in own]
    return found


def _may_be_saved(judged: Judged) -> bool:
    """Whether all that stands against it is its torch, and the release itself is no obstacle."""
    case = judged.case
    if not judged.rejected or not case.on_cuda or TORCH not in case.line.device_code:
        return False
    rules = {r.rule for r in judged.tried.rejections}
    return rules <= OF_TORCH and case.torch is not None and not _own_code_lacks(judged)


def _own_code_lacks(judged: Judged) -> bool:
    """Whether the release's own wheels have no code for any of the GPUs, whatever its torch."""
    from sartor.plan.rules.code import served

    each = served(judged.case)
    return bool(each) and all(one.bad not in {None, TORCH} for one in each)


def rows_for(case: Case) -> Iterator[IndexFact]:
    """The indexes of torch whose CUDA the driver starts and whose compiler knows a GPU."""
    version = known_version(case.host.driver.version if case.host.driver else None)
    own = case.torch.cuda if case.torch else None
    for row in _newest_first(facts.indexes()):
        if row.cuda is None or TORCH not in row.projects or row.layout != "simple":
            continue
        if row.channel == "nightly" and "nightly" not in case.request.allow:
            continue
        least = known_version(driver_for(row.cuda))
        starts = version is None or least is None or version >= least
        fits = _same_major(row.cuda, own) and row.cuda != own and _has(row, case)
        if starts and fits and _knows_a_gpu(row.cuda, case):
            yield row


def _same_major(cuda: str, own: str | None) -> bool:
    """Whether the release's own libraries, which are for ``own``, may stand beside that torch."""
    return own is None or Version(cuda).major == Version(own).major


def _has(row: IndexFact, case: Case) -> bool:
    """Whether the index may have the torch, as far as that is known."""
    version = case.torch.version if case.torch else None
    return not row.versions or version is None or within_versions(row.versions, version)


def _newest_first(rows: Iterable[IndexFact]) -> list[IndexFact]:
    known = [row for row in rows if row.cuda]
    return sorted(known, key=lambda r: (r.channel == "nightly", _reversed(r.cuda or "0")))


def _reversed(cuda: str) -> list[int]:
    return [-n for n in Version(cuda).release]


def _knows_a_gpu(cuda: str, case: Case) -> bool:
    """Whether that toolkit can compile for one of the GPUs."""
    rows = {row.compute_capability: row for row in facts.archs()}
    for target in case.targets:
        row = rows.get(target.compute_capability)
        if row is None:
            return True
        newest = row.max_toolkit
        within = newest is None or Version(cuda) <= Version(newest)
        if Version(row.min_toolkit) <= Version(cuda) and within:
            return True
    return False


def _with_torch(case: Case, row: IndexFact) -> Case:
    """The release with its torch from there, not judged yet."""
    offer = replace(case.offer, torch_index=row)
    return replace(case, offer=offer, package=None, companions={}, code={}, built=None)
