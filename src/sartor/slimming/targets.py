"""`sartor slim`: targets are opened, reduced to GPUs, written, and come back as results."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor.artifact.members import file_kind
from sartor.artifact.source import FileSource, Invalid
from sartor.artifact.targets import ZIP_MAGICS
from sartor.errors import (
    ArtifactUnreadableError,
    NoSuchTargetError,
    NotSlimmableError,
    UsageError,
)
from sartor.index.wheels import check_python_version
from sartor.paths import Places
from sartor.remote.reference import remote_target
from sartor.slim.choice import Wanted
from sartor.slim.library.reduce import slim_library
from sartor.slim.licence import Forbidden, library_may_be_changed
from sartor.slim.model import SlimmedTarget, Slimming
from sartor.slim.retarget.jobs import NO_COMPILER
from sartor.slim.served import check_served
from sartor.slimming.outputs import check_free, check_output, check_wheel_name, is_folder
from sartor.verify.subject.interpreter import is_interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.requirements import Requirement

    from sartor.reporter import Reporter
    from sartor.slim.library.model import SlimmedLibrary
    from sartor.slim.retarget.jobs import Compiler

WHAT_IS_SLIMMED = "a wheel or a shared library can be slimmed"
CHECK_PATH = "check the path; a project is named with its version: `vllm==0.32.0`"
NO_CODE = "there is no device code in it: it stays as it is"
NAME_OUTPUT = "name a file or a folder for it: `-o OUT`"


class SlimRequest(msgspec.Struct, frozen=True):
    """What `sartor slim` was asked for.

    ``output`` is a file or, where there is such a folder, it ends in ``/``, or there are several
    targets, a folder. ``index`` is a folder for package indexes instead. Of a project's wheels
    those are meant that are for ``python`` (``3.12``) and ``platform`` (``linux/arm64``).
    ``removing``: files that are of no use are left out of wheels, with ``python`` those that are of
    none to that one, and removed from environments. An environment is changed ``in_place``:
    ``keeping`` says whether it can be undone. ``force``: a file is replaced that Sartor did not
    make.
    """

    targets: list[str]
    wanted: Wanted
    output: str | None = None
    dry_run: bool = False
    places: Places | None = None
    in_place: bool = False
    keeping: bool = True
    removing: bool = False
    index: str | None = None
    python: str | None = None
    platform: str | None = None
    force: bool = False


def slim(request: SlimRequest, reporter: Reporter) -> Slimming:
    """Reduce each target, one after another; the results are in their order.

    Raises `NoSuchTargetError`, `ArtifactUnreadableError`, `UsageError`, `DiskFullError`,
    `FolderNotWritableError`, `OthersFileError`, at the first target that cannot be slimmed; for
    one that is not there before any other is.
    """
    if request.python is not None:
        check_python_version(request.python)
    _check_targets(request)
    if request.index is not None:
        results = _indexes(request, reporter)
    else:
        results = [one for text in request.targets for one in _slimmed(text, request, reporter)]
    wanted = request.wanted
    return Slimming(
        gpus=list(wanted.targets),
        keep_ptx=wanted.keep_ptx,
        dry_run=request.dry_run,
        results=results,
    )


def _check_targets(request: SlimRequest) -> None:
    """Before any work: whether every target is there, and the output can take them."""
    if "" in request.targets:
        raise NoSuchTargetError("a target is an empty word", hint="is a variable not set?")
    lost = [
        text
        for text in request.targets
        if not os.path.lexists(text) and remote_target(text, is_there=False) is None
    ]
    if lost:
        more = [f"there is no file `{text}`" for text in lost]
        hint = "nothing was slimmed yet" if len(request.targets) > 1 else CHECK_PATH
        raise NoSuchTargetError(", ".join(more), hint=hint)
    if request.output is not None:
        check_output(request.output, request.targets)


def _slimmed(text: str, request: SlimRequest, reporter: Reporter) -> Iterator[SlimmedTarget]:
    """What becomes of a target, by what it is: by its bytes, and not by its name."""
    remote = remote_target(text, is_there=os.path.lexists(text))
    if remote is not None:
        yield from _of_project(remote, request, reporter)
        return
    path = Path(text)
    if path.is_dir() or is_interpreter(path):
        yield _environment(path, request, reporter)
        return
    if request.in_place:
        raise UsageError(
            f"`{path}` is no environment: `--in-place` changes those alone",
            hint="a wheel or a library is written to another place: `-o OUT`",
        )
    match _kind(path):
        case "wheel":
            yield _wheel(path, request, reporter)
        case "library":
            yield _library(path, request, reporter)


def _of_project(
    remote: Requirement | str, request: SlimRequest, reporter: Reporter
) -> Iterator[SlimmedTarget]:
    """The wheels of a project that are for one Python and processor, fetched first."""
    from sartor.paths import default_places
    from sartor.slim.wheel.contents import refuse_forbidden
    from sartor.slimming.wheels import fetched, meant_wheels

    places = request.places or default_places()
    files = meant_wheels(remote, request.python, request.platform, places, reporter)
    for file in files:
        refuse_forbidden(file.name, file.name.partition("-")[0])
    for path in fetched(files, places, reporter):
        yield replace(_wheel(path, request, reporter), target=path.name)


def _indexes(request: SlimRequest, reporter: Reporter) -> list[SlimmedTarget]:
    """Indexes of wheels, one for each GPU."""
    from sartor.paths import default_places
    from sartor.slimming.index import IndexRequest, make_indexes

    if request.index is None or request.output is not None or request.dry_run:
        raise UsageError("`--index` says where what is written goes", hint="leave out the others")
    asked = IndexRequest(
        request.targets,
        request.wanted,
        Path(request.index),
        request.places or default_places(),
        request.python,
        request.platform,
        compiler_for(request, reporter),
        request.removing,
    )
    return make_indexes(asked, reporter)


def _kind(path: Path) -> str:
    """``wheel`` or ``library``; raises `NoSuchTargetError`, `ArtifactUnreadableError`."""
    try:
        with FileSource(path) as source:
            if source.read(0, min(source.size, 4)) in ZIP_MAGICS:
                return "wheel"
            if file_kind(source) == "elf":
                return "library"
    except FileNotFoundError as error:
        raise NoSuchTargetError(f"there is no file `{path}`", hint=CHECK_PATH) from error
    except OSError as error:
        raise ArtifactUnreadableError(
            f"`{path}` cannot be read: {error.strerror}",
            hint="run as a user who may read it, or copy it to where it can be read",
        ) from error
    except Invalid as error:
        raise ArtifactUnreadableError(
            f"`{path}` cannot be read: {error}", hint=WHAT_IS_SLIMMED
        ) from error
    raise ArtifactUnreadableError(
        f"`{path}` is no wheel and no shared library", hint=WHAT_IS_SLIMMED
    )


def _environment(path: Path, request: SlimRequest, reporter: Reporter) -> SlimmedTarget:
    """An environment: a virtual one, a conda prefix, whatever has an interpreter."""
    from sartor.slimming.environment import InPlaceRequest, slim_environment

    if request.output is not None:
        raise UsageError(
            f"`{path}` is a folder, and is not written to another",
            hint="an environment knows its place, and a copy does not run: copy it with its own "
            "tool (`uv pip sync` into a new one) and slim that, `--in-place`",
        )
    if not request.in_place and not request.dry_run:
        raise UsageError(
            f"`{path}` is a folder: an environment is slimmed in its place",
            hint="`--in-place` does that, and `--undo` takes it back; `--dry-run` says what would "
            "become",
        )
    if request.removing and not request.in_place:
        raise UsageError(
            f"`--remove-unused` would change `{path}`, which is an environment",
            hint="add `--in-place`",
        )
    asked = InPlaceRequest(
        request.wanted,
        dry_run=request.dry_run,
        keeping=request.keeping,
        removing=request.removing,
        compiler=compiler_for(request, reporter),
    )
    reporter.stage("slim", str(path))
    return slim_environment(path, asked, reporter)


def _library(path: Path, request: SlimRequest, reporter: Reporter) -> SlimmedTarget:
    decision = library_may_be_changed(path.name)
    if isinstance(decision, Forbidden):
        raise NotSlimmableError(
            f"`{path}` is left as it is: {decision.because}",
            found=[f"source: {decision.source}"],
            hint="keep it as it is",
        )
    if request.removing:
        raise UsageError(
            f"`{path}` is one file: there is nothing to remove from it",
            hint="`--remove-unused` is for wheels and environments",
        )
    output = None if request.dry_run else output_for(request, path.name)
    if output is not None and not request.force:
        check_free(output, path)
    reporter.stage("slim", path.name)
    compiler = compiler_for(request, reporter)
    found = slim_library(path, output, request.wanted, compiler, partial(_check_library, path))
    return SlimmedTarget(
        target=str(path),
        kind="library",
        output=None if output is None else str(output),
        changed=found.changed,
        bytes_before=found.bytes_before,
        bytes_after=found.bytes_after,
        device_bytes_before=found.device_bytes_before,
        device_bytes_after=found.device_bytes_after,
        device_bytes_least=found.device_bytes_least,
        libraries=[replace(found, path=path.name)],
        why=None if found.units or found.left_alone else NO_CODE,
    )


def _check_library(path: Path, found: SlimmedLibrary) -> None:
    check_served(path.name, [found])


def compiler_for(request: SlimRequest, reporter: Reporter) -> Compiler:
    """Who compiles PTX for a request: nobody where none is to be, or nothing is to be done."""
    if not request.wanted.retarget or request.dry_run:
        return NO_COMPILER
    from sartor.paths import default_places
    from sartor.slim.retarget.ptxas import PtxasCompiler

    return PtxasCompiler(request.places or default_places(), reporter)


def _wheel(path: Path, request: SlimRequest, reporter: Reporter) -> SlimmedTarget:
    """A wheel goes to this folder where no other is named."""
    from sartor.slim.wheel.reduce import WheelRequest, slim_wheel

    asked = WheelRequest(path, request.wanted, python=request.python, removing=request.removing)
    if request.dry_run:
        return slim_wheel(asked, reporter)
    output = Path(request.output or ".")
    if request.output is None or is_folder(request.output, request.targets):
        asked = replace(asked, folder=output, copy=request.output is not None)
    else:
        check_wheel_name(output.name, path.name)
        asked = replace(asked, folder=output.parent, name=output.name, copy=True)
    check = None if request.force else partial(check_free, source=path)
    compiler = compiler_for(request, reporter)
    return slim_wheel(replace(asked, compiler=compiler, check=check), reporter)


def output_for(request: SlimRequest, name: str) -> Path:
    """Where what is made of a target goes, which is called ``name`` in a folder.

    Raises `UsageError` where no place was named.
    """
    if request.output is None:
        raise UsageError(f"where `{name}` is to go is not said", hint=NAME_OUTPUT)
    path = Path(request.output)
    return path / name if is_folder(request.output, request.targets) else path
