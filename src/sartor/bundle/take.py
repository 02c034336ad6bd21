"""From a bundle to an environment: read, hold against the machine, put together, build. Offline."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.bundle import install
from sartor.bundle.fits import refuse_unfit
from sartor.bundle.model import Bundle
from sartor.errors import BundleDamagedError, TargetUnfitError
from sartor.kept import KeptFiles
from sartor.lock.document import lock_texts
from sartor.lock.reading import PYLOCK_NAME
from sartor.lock.stack import stack_of_lock
from sartor.locking import read_locked
from sartor.locks import waiting_lock
from sartor.paths import disk_full, explain_os_errors, free_bytes, make_folder
from sartor.plan.model import Python
from sartor.reporter import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sartor.build.model import Environment
    from sartor.host.model import Host
    from sartor.lock.model import Locking
    from sartor.paths import Places
    from sartor.plan.model import Stack
    from sartor.reporter import Reporter

FULL_VERSION = "import platform; print(platform.python_version())"
COPY = "copy what is named once more; all else is kept as it is"


class Opened(msgspec.Struct, frozen=True):
    """A bundle whose manifest was read; ``folders`` are absolute."""

    bundle: Bundle
    folders: list[Path]

    @property
    def manifest(self) -> dict[str, object]:
        """The manifest as the installer reads it."""
        found: dict[str, object] = msgspec.to_builtins(self.bundle)
        return found

    def joined(self, places: Places) -> Path:
        """Where it is put together out of its parts."""
        return places.bundles / self.bundle.digest[:16]


def open_bundle(folders: Sequence[str]) -> Opened:
    """The bundle that lies in the folders; raises `BundleDamagedError`."""
    paths = [Path(folder).expanduser().absolute() for folder in folders]
    with _explained():
        manifest = install.read_manifest(paths)
    try:
        bundle = msgspec.convert(manifest, Bundle)
    except msgspec.ValidationError as error:
        raise BundleDamagedError(
            f"`{install.MANIFEST}` is not one of this Sartor's: {error}",
            hint="use the Sartor that goes with it: `python3 install.py`",
        ) from error
    return Opened(bundle, paths)


def check(opened: Opened) -> None:
    """Hold every part and member against the manifest; `BundleDamagedError` names all that is not
    whole."""
    faults = install.check(opened.manifest, opened.folders)
    if faults:
        message = f"the bundle is not whole: {len(faults)} files"
        raise BundleDamagedError(message, found=faults, hint=COPY)


def environment(
    opened: Opened, host: Host, places: Places, reporter: Reporter, *, python: str | None = None
) -> tuple[Environment, bool]:
    """The environment of the bundle's stack, and whether it was there; no index is asked.

    ``python`` is the interpreter to make it with; else the host's first of the locked version, or,
    where packages of the machine's own were left out, the one that it was made with before.
    Raises `TargetUnfitError` before anything is put together, and `BundleDamagedError`.
    """
    from sartor.build.environment import ensure, find, made_with
    from sartor.plan.model import environment_key

    bundle = opened.bundle
    for note in refuse_unfit(bundle, host):
        reporter.note(note)
    locking = _locking(opened, places)
    if python is None and bundle.left_out:
        python = made_with(places, bundle.stack)
    stack = _stack(bundle, locking, host, python)
    found = find(places, environment_key(stack))
    if found is not None:
        return found, True
    members = gather(opened, places, ["wheel", "supply"])
    pylock = _pylock(locking, stack, bundle, members, places)
    supply = next((p.parent for path, p in members.items() if path.startswith("supply/")), None)
    return ensure(stack, pylock, places, reporter, from_folder=supply or places.locks)


def gather(opened: Opened, places: Places, kinds: Sequence[str]) -> dict[str, Path]:
    """Have the members of these kinds as whole files; raises `BundleDamagedError`."""
    bundle, joined = opened.bundle, opened.joined(places)
    wanted = [m for m in bundle.members if m.kind in kinds]
    size = sum(m.size for m in wanted if not (joined / m.path).is_file())
    if bundle.parts and free_bytes(places.bundles) < size:
        raise disk_full(places.bundles, size)
    make_folder(places.bundles)
    lock = places.bundles / f".{bundle.digest[:16]}.lock"
    with (
        waiting_lock(lock, Silent(), "putting the bundle together"),
        explain_os_errors(places.bundles),
        _explained(),
    ):
        return install.gather(opened.manifest, opened.folders, joined, kinds)


def model_path(opened: Opened, places: Places) -> str | None:
    """Where the bundle's model is; None where it has none, or its configuration alone.

    Files that were held against their digests once, and were not touched since, are not read again.
    """
    bundle = opened.bundle
    if bundle.model is None or not bundle.model.weights:
        return None
    folder = places.bundles / f".{bundle.digest[:16]}.checked"
    kept = KeptFiles(folder, Silent(), what="which model is whole")
    members = kept.get_as("model", dict[str, _Mark]) or {}
    if not members or any(_mark(mark.path) != mark for mark in members.values()):
        found = gather(opened, places, ["model"])
        members = {path: _mark(str(where)) for path, where in found.items()}
        kept.put("model", msgspec.json.encode(members))
    first = members.get(bundle.model.path)
    return first.path if first is not None else _one_folder([m.path for m in members.values()])


class _Mark(msgspec.Struct, frozen=True):
    """A file as it was: its size, -1 where there is none, and when it was written (ns)."""

    path: str
    size: int = -1
    written: int = 0


def _mark(path: str) -> _Mark:
    try:
        found = os.stat(path)  # noqa: PTH116 - a name that is kept as text
    except OSError:
        return _Mark(path)
    return _Mark(path, found.st_size, found.st_mtime_ns)


def _one_folder(paths: Sequence[str]) -> str:
    """The folder that all files lie in; raises `BundleDamagedError` where they are in several."""
    folders = sorted({str(Path(path).parent) for path in paths})
    if len(folders) > 1:
        raise BundleDamagedError(
            f"files that belong together lie in {len(folders)} folders",
            found=folders,
            hint="put them into one",
        )
    return folders[0]


@contextmanager
def _explained() -> Iterator[None]:
    """The installer's faults as Sartor's errors."""
    try:
        yield
    except install.Fault as fault:
        kind = TargetUnfitError if fault.status == install.UNFIT else BundleDamagedError
        raise kind(fault.message, found=fault.found, hint=fault.hint or COPY) from fault


def _locking(opened: Opened, places: Places) -> Locking:
    with _explained():
        members = install.gather(opened.manifest, opened.folders, opened.joined(places), ["lock"])
    return read_locked(Path(_one_folder([str(path) for path in members.values()])))


def _stack(bundle: Bundle, locking: Locking, host: Host, python: str | None) -> Stack:
    """The stack with the target's interpreter; raises `TargetUnfitError` where it has none."""
    stack = stack_of_lock(locking, host)
    path = python or stack.python.path
    with _explained():
        path = install.find_python(locking.host.python, path)
    # One interpreter has one name, whether it was found or given, or is Sartor's own. But where its
    # packages are wanted, an environment's is another than the one that it is a link to.
    path = os.path.abspath(path) if bundle.left_out else os.path.realpath(path)  # noqa: PTH100
    missing = install.there_faults(msgspec.to_builtins(bundle), path)
    if missing:
        raise TargetUnfitError(
            f"`{path}` has not the packages that were left out of the bundle",
            found=missing,
            hint="make the bundle anew with the list of this machine's packages: `--there FILE`",
        )
    own = Python(path, install.answer(path, FULL_VERSION).strip())
    there, slimmed_to = bundle.stack.there, bundle.stack.slimmed_to
    return msgspec.structs.replace(stack, python=own, there=there, slimmed_to=slimmed_to)


def _pylock(
    locking: Locking, stack: Stack, bundle: Bundle, members: dict[str, Path], places: Places
) -> str:
    """A lock (PEP 751) of the packages that are carried, with their files as they lie here.

    In the place of a locked file stands what was slimmed of it, with its own digest.
    """
    slimmed = {member.source: member for member in bundle.members if member.source is not None}
    packages = []
    for one in locking.packages:
        if one.file is not None and one.name not in stack.there:
            member = slimmed.get(one.file.sha256 or "")
            path = members[f"wheels/{one.file.name}" if member is None else member.path]
            file = msgspec.structs.replace(one.file, url=path.as_uri())
            if member is not None:
                file = msgspec.structs.replace(
                    file,
                    name=path.name,
                    size=member.size,
                    sha256=member.sha256,
                    metadata_sha256=None,
                )
            packages.append(msgspec.structs.replace(one, file=file))
    here = msgspec.structs.replace(locking, packages=packages)
    return lock_texts(here, places.locks.absolute())[PYLOCK_NAME]
