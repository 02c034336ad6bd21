"""The error for a request that no candidate meets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.errors import (
    CompilerMissingError,
    DiskFullError,
    IndexRefusedError,
    IndexUnreachableError,
    ModelTooLargeError,
    NothingFitsError,
    ResolutionError,
    SartorError,
    SystemLibraryMissingError,
)
from sartor.plan.conclusion import name_of, reason
from sartor.plan.known import DEFAULT

if TYPE_CHECKING:
    from sartor.plan.model import Plan, Rejected, Tried

OWN_ERRORS: dict[str, type[SartorError]] = {
    "memory": ModelTooLargeError,
    "compiler": CompilerMissingError,
    "system-libraries": SystemLibraryMissingError,
    "disk": DiskFullError,
    "resolution": ResolutionError,
}
ANOTHER_MACHINE = {"gpu", "architecture", "platform-tag"}
MOST_SHOWN = 12


def why_nothing_fits(plan: Plan) -> SartorError:
    """The nearest misses first; candidates that the user ruled out by name are not listed.

    Where one rule alone stands between the best candidate and a plan, the error is that rule's own;
    where the user's own index did not answer, that is the error.
    """
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
    if (unreached := _unreached(plan, nearest)) is not None:
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


def _unreached(plan: Plan, nearest: list[Tried]) -> SartorError | None:
    """The error of the user's own index, where it is what stands against the nearest candidate."""
    best = [r for r in nearest[0].rejections if r.rule == "index"]
    states = [i for i in plan.indexes if i.alias == DEFAULT]
    if not best or not states or states[0].state == "reached":
        return None
    why = states[0].why or "it did not answer"
    refused = any(status in why for status in ("401", "403", "404", "500"))
    kind: type[SartorError] = IndexRefusedError if refused else IndexUnreachableError
    return kind(f"the package index did not answer: {why}", hint=_hint(best))


def _hint(rejections: list[Rejected]) -> str | None:
    return next((r.hint for r in rejections if r.hint), None)


def _distance(tried: Tried) -> tuple[bool, int]:
    """How far a candidate is from being taken: one that wants another machine is farthest."""
    rules = {r.rule for r in tried.rejections}
    return bool(rules & ANOTHER_MACHINE), len(rules)


def _ruled_out_by_request(tried: Tried) -> bool:
    return bool({r.rule for r in tried.rejections} & {"asked-for", "model-format", "served"})
