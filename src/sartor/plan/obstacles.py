"""The error for a request that no candidate meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.errors import (
    CompilerMissingError,
    DiskFullError,
    ModelTooLargeError,
    NothingFitsError,
    ResolutionError,
    SartorError,
    SystemLibraryMissingError,
    from_document,
)
from sartor.plan.known import DEFAULT
from sartor.plan.words import name_of, reason

if TYPE_CHECKING:
    from sartor.plan.model import Tried
    from sartor.plan.planned import Planned

OWN_ERRORS: dict[str, type[SartorError]] = {
    "memory": ModelTooLargeError,
    "compiler": CompilerMissingError,
    "system-libraries": SystemLibraryMissingError,
    "disk": DiskFullError,
    "resolution": ResolutionError,
}
ANOTHER_MACHINE = {"gpu", "architecture", "platform-tag"}
MOST_SHOWN = 12


def why_nothing_fits(planned: Planned) -> SartorError:
    """The nearest misses first; candidates that the user ruled out by name are not listed.

    Where one rule alone stands between the best candidate and a plan, the error is that rule's own;
    where the user's own index did not answer, that is the error.
    """
    plan = planned.plan
    request = plan.request
    asked = [t for t in plan.rejected if not _ruled_out_by_request(t)]
    nearest = sorted(asked or plan.rejected, key=_distance)
    what = " and ".join(request.engines) or "an engine"
    what += f" ({request.build})" if request.build else ""
    if not nearest:
        return NothingFitsError(
            f"no release of {what} is known",
            found=[f"{i.alias}: {i.state}" for i in plan.indexes],
            hint="check the version, and `--as-of`",
        )
    if (unreached := _unreached(planned, nearest)) is not None:
        return unreached
    best = nearest[0].rejections
    found = list(dict.fromkeys(f"{name_of(t)}: {reason(t.rejections[0])}" for t in nearest))
    kind = OWN_ERRORS.get(best[0].rule, NothingFitsError) if len(best) == 1 else NothingFitsError
    messages = {
        ModelTooLargeError: f"the model does not fit: it needs {best[0].wanted} at least, "
        f"and there is {best[0].found}",
        CompilerMissingError: f"building from source needs {best[0].wanted}: {best[0].found}",
        SystemLibraryMissingError: f"{what} needs system libraries: {best[0].found}",
        DiskFullError: f"there is no room for {what}: it needs {best[0].wanted}, "
        f"and there are {best[0].found}",
        ResolutionError: f"there is no consistent set of packages for {what}",
    }
    message = messages.get(kind, f"no build of {what} fits this host")
    hints = [r.hint for r in best if r.hint]
    return kind(message, found=found[:MOST_SHOWN], hint=hints[0] if hints else None)


def _unreached(planned: Planned, nearest: list[Tried]) -> SartorError | None:
    """What was met at the user's own index, where that stands against the nearest candidate."""
    rules = {r.rule for r in nearest[0].rejections}
    unasked = any(r.found.startswith("not resolved") for r in nearest[0].rejections)
    own = any(t.candidate.index == DEFAULT and t.candidate.version for t in planned.plan.rejected)
    met = planned.error is not None and ("index" in rules or unasked or not own)
    return from_document(planned.error) if met and planned.error is not None else None


def lock_of(planned: Planned) -> str | None:
    """The resolver's lock of the stack's packages; None for a source package, or one that is built.

    Raises what was met where the resolver could not be asked.
    """
    if planned.resolution is not None:
        return planned.resolution.pylock
    if planned.is_built or (planned.plan.stack and planned.plan.stack.source):
        return None
    if planned.error is not None:
        raise from_document(planned.error)
    raise ResolutionError(
        "the packages of the stack could not be resolved",
        found=planned.plan.not_checked,
        hint="`sartor plan --explain` shows what is not checked",
    )


def _distance(tried: Tried) -> tuple[bool, int]:
    """How far a candidate is from being taken: one that wants another machine is farthest."""
    rules = {r.rule for r in tried.rejections}
    return bool(rules & ANOTHER_MACHINE), len(rules)


def _ruled_out_by_request(tried: Tried) -> bool:
    return bool({r.rule for r in tried.rejections} & {"asked-for", "model-format", "served"})
