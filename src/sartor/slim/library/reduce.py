"""One library reduced to GPUs: planned, written beside, inspected again, and then put in place.

`plan_library` is pure and serves whoever has a library's bytes: in a wheel, or on a server. Its
plan's pieces give the new bytes (`sartor.slim.library.pieces.streamed`). `slim_library` is for a
file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor.artifact.elf import Elf
from sartor.artifact.source import FileSource, Invalid
from sartor.errors import ArtifactUnreadableError, NoSuchTargetError
from sartor.slim.library.check import fault_of
from sartor.slim.library.counts import counted, left_whole
from sartor.slim.library.fitted import fitted
from sartor.slim.library.headers import NotUnderstood, read_headers
from sartor.slim.library.model import LeftAlone, SlimmedLibrary, Tally
from sartor.slim.library.pieces import Copied, Piece, length
from sartor.slim.library.regions import Region, find_regions
from sartor.slim.library.renewed import not_retargeted, renewed, retargeted
from sartor.slim.library.written import beside
from sartor.slim.retarget.jobs import NO_COMPILER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted
    from sartor.slim.library.model import LeftCode
    from sartor.slim.retarget.jobs import Compiler


class LibraryPlan(msgspec.Struct, frozen=True):
    """What a library becomes, and the pieces of its new file; those of the old where none are."""

    result: SlimmedLibrary
    pieces: list[Piece]
    regions: list[Region] = []


def plan_library(
    source: Source, path: str, wanted: Wanted, compiler: Compiler = NO_COMPILER
) -> LibraryPlan:
    """The plan for the library in ``source``, which the result calls ``path``.

    What is not understood is left alone, whole, and said so in the result. Where ``wanted`` asks
    for PTX to be compiled, ``compiler`` does it, and what it raises is raised; nothing else is.
    """
    result = SlimmedLibrary(
        path=path,
        gpus=list(wanted.targets),
        keep_ptx=wanted.keep_ptx,
        retarget=wanted.retarget,
        compress=wanted.compress,
        changed=False,
        bytes_before=source.size,
        bytes_after=source.size,
    )
    same = untouched(source)
    try:
        regions = find_regions(source, read_headers(source, Elf(source)), wanted)
        renewal = renewed(source, regions, wanted, compiler)
        planned, left_out = fitted(source, renewal.regions, wanted)
        result = counted(result, source, planned.regions, wanted)
    except NotUnderstood as fault:
        whole = left_whole(result, source, wanted)
        return LibraryPlan(left(whole, "layout", fault.reason), same)
    except Invalid as fault:
        whole = left_whole(result, source, wanted)
        return LibraryPlan(left(whole, "unreadable", fault.reason), same)
    told = not_retargeted(renewal, left_out)
    result = replace(result, left_alone=[*told, *result.left_alone])
    if planned.small:
        why = "what would go is less than can be cut out of the file"
        return LibraryPlan(left(result, "small", why), same)
    if planned.pieces is None:
        return LibraryPlan(result, same)
    result = replace(
        result,
        changed=True,
        bytes_after=length(planned.pieces),
        retargeted=retargeted(renewal, left_out),
    )
    return LibraryPlan(result, planned.pieces, planned.regions)


def _any_result(_: SlimmedLibrary) -> None:
    """Whatever would become is written."""


def slim_library(
    path: Path,
    output: Path | None,
    wanted: Wanted,
    compiler: Compiler = NO_COMPILER,
    check: Callable[[SlimmedLibrary], None] = _any_result,
) -> SlimmedLibrary:
    """Write the library at ``path``, reduced, to ``output``; None: only say what would become.

    Mode and times are kept. What is left alone is copied. Raises `NoSuchTargetError`,
    `ArtifactUnreadableError` where it is no regular file, what ``check`` raises of what would
    become, and what `beside` raises.
    """
    return written_library(path, output, wanted, compiler, check).result


def written_library(
    path: Path,
    output: Path | None,
    wanted: Wanted,
    compiler: Compiler = NO_COMPILER,
    check: Callable[[SlimmedLibrary], None] = _any_result,
) -> LibraryPlan:
    """As `slim_library`; what was written is made of the plan's pieces."""
    try:
        with FileSource(path) as source:
            plan = plan_library(source, str(path), wanted, compiler)
            check(plan.result)
            if output is None:
                return plan
            try:
                _write(source, path, output, plan, wanted)
            except _RefusedError as refused:
                plan = LibraryPlan(left(plan.result, "check", str(refused)), untouched(source))
                _write(source, path, output, plan, wanted)
            return plan
    except FileNotFoundError as error:
        raise NoSuchTargetError(f"there is no file `{error.filename}`") from error
    except Invalid as fault:
        raise ArtifactUnreadableError(f"`{path}` cannot be read: {fault.reason}") from fault


class _RefusedError(Exception):
    """The output did not stand up to inspection."""


def _write(source: Source, path: Path, output: Path, plan: LibraryPlan, wanted: Wanted) -> None:
    """Write and inspect; raises `_RefusedError`, and then the output is not there."""
    with beside(path, output, plan.pieces) as name:
        if not plan.result.changed:
            return
        with FileSource(name) as written:
            fault = fault_of(source, written, plan.pieces, plan.regions, wanted)
        if fault is not None:
            raise _RefusedError(fault)


def untouched(source: Source) -> list[Piece]:
    """The pieces of a file that stays as it is."""
    return [Copied(0, source.size)]


def left(result: SlimmedLibrary, code: LeftCode, why: str) -> SlimmedLibrary:
    """The result of a library that is left alone as a whole."""
    whole = LeftAlone(code=code, why=why, bytes=result.device_bytes_before)
    return replace(
        result,
        changed=False,
        bytes_after=result.bytes_before,
        device_bytes_after=result.device_bytes_before,
        images=[_all_kept(tally) for tally in result.images],
        units=[
            replace(unit, kept=[*unit.kept, *unit.dropped], dropped=[], new=[], kernels=None)
            for unit in result.units
        ],
        retargeted=[],
        left_alone=[whole, *result.left_alone],
    )


def _all_kept(tally: Tally) -> Tally:
    return replace(
        tally,
        kept=tally.kept + tally.dropped,
        kept_bytes=tally.kept_bytes + tally.saved_bytes + tally.dropped_bytes,
        dropped=0,
        dropped_bytes=0,
        new=0,
        new_bytes=0,
        compressed=0,
        saved_bytes=0,
    )
