"""Making an environment for a stack: lock, install beside, rename.

A folder under ``environments/`` with a record in it is finished; anything else there is what a
killed run left, and is removed. Downloads survive in uv's cache and locks under ``locks/``, so a
second try starts from them.
"""

from __future__ import annotations

import contextlib
import datetime
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
from filelock import FileLock, Timeout

from sartor import __version__
from sartor.build.model import Environment
from sartor.index.uv import online_or_from_cache, run_uv
from sartor.locks import waiting_lock
from sartor.paths import (
    Places,
    disk_full,
    explain_os_errors,
    free_bytes,
    make_folder,
    make_private_folder,
    write_atomically,
)
from sartor.plan.machine import two_numbers
from sartor.plan.model import environment_key
from sartor.plan.planner import Built

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sartor.plan.model import Stack
    from sartor.reporter import Reporter

RECORD = "sartor-environment.json"
ASK_SITES = "import sys; print(*(p for p in sys.path if p.endswith('-packages')), sep='\\n')"


def find(places: Places, key: str) -> Environment | None:
    """The finished environment of that key, if it is there and its interpreter still is."""
    environment = environment_at(places.environments / key)
    return environment if environment and environment.python.exists() else None


def environment_at(path: Path) -> Environment | None:
    """What Sartor wrote down of the environment that it made at ``path``; None: it made none."""
    try:
        environment = msgspec.json.decode((path / RECORD).read_bytes(), type=Environment)
    except (OSError, msgspec.DecodeError):
        return None
    return environment if environment.path == str(path) else None


def built(places: Places, slimmed_to: Sequence[str] | None = None) -> dict[Built, Environment]:
    """Every finished environment, by what the planner knows it as; the newest of several.

    ``slimmed_to``: of those for CUDA the ones that are reduced to these architectures; None: any.
    """
    keys = (record.parent.name for record in places.environments.glob(f"*/{RECORD}"))
    found = [e for key in keys if (e := find(places, key)) is not None]
    if slimmed_to is not None:
        wanted = list(slimmed_to)
        found = [e for e in found if e.stack.accelerator != "cuda" or e.stack.slimmed_to == wanted]
    return {of(e.stack): e for e in sorted(found, key=lambda e: e.built_at)}


def made_with(places: Places, stack: Stack) -> str | None:
    """The interpreter of the newest environment of the same stack, which may be any of its version.

    ``stack`` as a lock has it: no interpreter, and the packages that are taken from one.
    """
    same = [e for e in built(places).values() if _without_python(e.stack) == _without_python(stack)]
    return same[-1].stack.python.path if same else None


def _without_python(stack: Stack) -> tuple[str, dict[str, str], list[tuple[str, str | None]]]:
    files = sorted((p.filename, p.sha256) for p in stack.packages)
    return f"{stack.engine} {stack.version} {stack.architecture}", stack.there, files


def of(stack: Stack) -> Built:
    """What the planner knows an environment of the stack as."""
    version = two_numbers(stack.python.version or "")
    return Built(stack.engine, stack.line, stack.version, version)


def ensure(
    stack: Stack,
    pylock: str | None,
    places: Places,
    reporter: Reporter,
    *,
    from_folder: Path | None = None,
    reduce: Callable[[Path], object] | None = None,
) -> tuple[Environment, bool]:
    """The environment for ``stack``, and whether it was there already.

    ``pylock`` is the resolver's lock of its packages (PEP 751); None for a source package, which
    is resolved once it is compiled. ``from_folder``: no index is asked, the lock names files, and
    that folder has the wheels of missing system libraries. ``reduce`` is called with the folder of
    one that is installed and not finished yet. Two at a time wait for each other. Raises the errors
    of `sartor.errors` numbered 20 to 27.
    """
    make_folder(places.environments)
    sweep(places)
    key = environment_key(stack)
    found = find(places, key)
    if found:
        return found, True
    path = places.environments / f".{key}.lock"
    with waiting_lock(path, reporter, "building this environment"):
        found = find(places, key)
        if found:
            return found, True
        return _build(stack, pylock, places, reporter, from_folder, reduce), False


def sweep(places: Places) -> None:
    """Remove what killed builds left half made, of this stack and of any other."""
    for staging in places.environments.glob(".*.building"):
        key = staging.name[1:].removesuffix(".building")
        lock = FileLock(places.environments / f".{key}.lock")
        with contextlib.suppress(Timeout, OSError), lock.acquire(timeout=0):
            shutil.rmtree(staging, ignore_errors=True)
            shutil.rmtree(places.locks / f".{key}.partial", ignore_errors=True)


def _build(
    stack: Stack,
    pylock: str | None,
    places: Places,
    reporter: Reporter,
    from_folder: Path | None,
    reduce: Callable[[Path], object] | None,
) -> Environment:
    key = environment_key(stack)
    staging = _staging(places, key)
    final = places.environments / key
    for leftover in (staging, final):
        shutil.rmtree(leftover, ignore_errors=True)
    needed = int(stack.disk_mb * 1e6)
    if free_bytes(places.environments) < needed:
        raise disk_full(places.environments, needed)
    log = places.logs / f"build-{key}.log"
    make_private_folder(log.parent)
    log.unlink(missing_ok=True)
    try:
        if pylock is None:
            lock = _make_lock(stack, key, places, log, reporter)
        else:
            lock = _lock_file(places, key)
            write_atomically(lock, pylock)
        _install(stack, lock, staging, log, reporter, from_folder)
        supplied = _supply(stack, staging, log, reporter, from_folder)
        if reduce is not None:
            reduce(staging)
        environment = Environment(
            key=key,
            path=str(final),
            stack=stack,
            packages=installed(staging),
            lock=str(lock),
            built_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            sartor=__version__,
            library_path=str(final / supplied) if supplied else None,
        )
        with explain_os_errors(staging):
            write_atomically(staging / RECORD, msgspec.json.encode(environment))
            staging.rename(final)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return environment


def _staging(places: Places, key: str) -> Path:
    return places.environments / f".{key}.building"


def _lock_file(places: Places, key: str) -> Path:
    return make_folder(places.locks) / f"pylock.{key}.toml"


def _make_lock(stack: Stack, key: str, places: Places, log: Path, reporter: Reporter) -> Path:
    """Compile the source package, and resolve what its wheel requires; the lock of both."""
    from sartor.build.native import build_wheel

    wheel = build_wheel(stack, places, log, reporter)
    lock = _lock_file(places, key)
    name, _, _ = stack.requirements[0].partition("==")
    requirements = [f"{name} @ {wheel.as_uri()}", *stack.requirements[1:]]
    partial = places.locks / f".{key}.partial"
    make_folder(partial)
    try:
        _resolve(stack, requirements, partial, log, reporter)
        (partial / "pylock.toml").replace(lock)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return lock


def _resolve(
    stack: Stack, requirements: list[str], folder: Path, log: Path, reporter: Reporter
) -> None:
    """Ask uv for one consistent set; without a network, from its cache alone."""
    asked = folder / "requirements.in"
    write_atomically(asked, "".join(f"{r}\n" for r in requirements))
    arguments = ["pip", "compile", str(asked), "--output-file", str(folder / "pylock.toml")]
    arguments += ["--format", "pylock.toml", *_interpreter(stack)]
    online_or_from_cache(arguments, log, reporter, "resolving")


def _interpreter(stack: Stack) -> list[str]:
    """uv's arguments for the planned interpreter; this one where the plan names none."""
    return ["--python", stack.python.path or sys.executable]


def _install(
    stack: Stack,
    lock: Path,
    staging: Path,
    log: Path,
    reporter: Reporter,
    from_folder: Path | None,
) -> None:
    venv = ["venv", "--quiet", "--relocatable", "--no-project", *_interpreter(stack), str(staging)]
    run_uv(venv, log, reporter, what="making the environment")
    python = str(staging / "bin" / "python")
    if stack.there:
        _behind(staging, stack.python.path or sys.executable)
    sync = ["pip", "sync", str(lock), "--python", python, "--preview-features", "pylock"]
    online_or_from_cache(sync, log, reporter, "downloading", from_folder=from_folder)


def _behind(staging: Path, python: str) -> None:
    """Put the packages of ``python`` behind the environment's own; that may be an environment too.

    `--system-site-packages` would pass that over, and give those of the Python that it is made of.
    """
    done = subprocess.run([python, "-I", "-c", ASK_SITES], capture_output=True, check=False)
    folders = done.stdout.decode("utf-8", "replace").splitlines()
    (own,) = staging.glob("lib/python3*/site-packages")
    lines = [f"import site; site.addsitedir({folder!r})\n" for folder in folders]
    write_atomically(own / "sartor_behind.pth", "".join(lines))


def _supply(
    stack: Stack, staging: Path, log: Path, reporter: Reporter, from_folder: Path | None
) -> str | None:
    """Put the missing system libraries into the environment; returns their folder's name in it."""
    if not stack.supply:
        return None
    from sartor.build.libraries import SUPPLIED, supply

    python = _interpreter(stack)
    supply(stack.supply, staging, python, log, reporter, from_folder=from_folder)
    return SUPPLIED


def installed(environment: Path) -> dict[str, str]:
    """Project → version, from the ``.dist-info`` folders of an environment."""
    found = {}
    for folder in environment.glob("lib/python*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        found[name.replace("_", "-").lower()] = version
    return dict(sorted(found.items()))
