"""What is verified: an environment, whoever made it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from sartor.engines.launch import launcher
from sartor.facts.versions import within_versions
from sartor.lock.model import Locking
from sartor.processes import child_environment
from sartor.verify.installed import installed, versions
from sartor.verify.interpreter import ask, find_interpreter

if TYPE_CHECKING:
    from sartor.build.model import Environment
    from sartor.engines.facts import LineFact
    from sartor.verify.interpreter import Interpreter


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """An environment as the checks take it: made by Sartor or not.

    ``path`` is its folder, ``site`` every folder that its interpreter imports packages from (its
    own first, then the system's where it has ``include-system-site-packages``). ``packages`` maps
    each installed project to its version. ``variables`` are those that its programs need.
    ``accelerator`` is what its stack computes on: ``cuda`` where packages with CUDA are installed.
    ``modules`` are what its engine imports; ``headers`` whether that compiles C against Python.
    ``sees_gpu`` is a program for its interpreter, with status 0 where the engine sees a GPU.
    ``left_out`` are projects that are declared and were left out on purpose. ``locking`` is the
    lock that it is held against, where there is one. ``markers`` are the variables of PEP 508,
    ``free_threaded`` whether its interpreter is one without the global lock. ``pylock`` is the file
    from which Sartor installed it, ``lock_sha256`` the digest of the `pylock.toml` of ``locking``.
    ``taken`` are packages of its interpreter's own that are of its stack, ``only`` those that were
    asked for, with all that they require; None: all that is there counts.
    """

    path: Path
    python: Path
    python_version: str
    site: list[Path]
    packages: dict[str, str]
    accelerator: Literal["cpu", "cuda"]
    modules: list[str] = []
    headers: bool = False
    sees_gpu: str | None = None
    variables: dict[str, str] = {}
    left_out: list[str] = []
    locking: Locking | None = None
    markers: dict[str, str] = {}
    free_threaded: bool = False
    pylock: Path | None = None
    lock_sha256: str | None = None
    taken: list[str] | None = None
    only: list[str] | None = None


def subject_of(environment: Environment, locking: Locking | None = None) -> Subject:
    """An environment that Sartor made; raises `InterpreterError` where it does not start."""
    stack, path = environment.stack, Path(environment.path)
    asked = ask(find_interpreter(path))
    started = launcher(stack.launcher or "") if stack.accelerator == "cuda" else None
    found = _subject(path, environment.python, asked, locking)
    if stack.there:
        from sartor.verify.taken import distributions_of

        found = msgspec.structs.replace(found, taken=sorted(stack.there))
        found = msgspec.structs.replace(found, packages=versions(distributions_of(found)))
    return msgspec.structs.replace(
        found,
        accelerator="cuda" if stack.accelerator == "cuda" else "cpu",
        modules=stack.modules,
        headers=started is not None and started.compiles,
        sees_gpu=started.sees_gpu if started else None,
        variables=environment.variables(child_environment()),
        left_out=stack.leave_out,
        pylock=Path(environment.lock),
    )


def subject_at(path: Path, locking: Locking | None = None) -> Subject:
    """The environment at ``path``, or of the interpreter that is there, whoever made it.

    The engine in it is known by its distribution. Raises `NoEnvironmentError` and
    `InterpreterError`.
    """
    from sartor.build.environment import environment_at

    python = find_interpreter(path)
    ours = environment_at(path.expanduser().absolute())
    if ours is not None:
        return subject_of(ours, locking)
    asked = ask(python)
    found = _subject(Path(asked.prefix), python, asked, locking)
    return with_engine(found)


def with_engine(found: Subject) -> Subject:
    """The subject with what the engine in it, known by its distribution, imports and needs."""
    line = line_of(found)
    cuda = line is not None and found.accelerator == "cuda" and line.launcher is not None
    started = launcher(line.launcher or "") if line is not None and cuda else None
    return msgspec.structs.replace(
        found,
        modules=line.modules if line else ["torch"] if "torch" in found.packages else [],
        headers=started is not None and started.compiles,
        sees_gpu=started.sees_gpu if started else None,
        left_out=line.leave_out if line else [],
    )


def _subject(path: Path, python: Path, asked: Interpreter, locking: Locking | None) -> Subject:
    """What any environment's interpreter and its folders say."""
    site = [Path(folder) for folder in asked.site]
    packages = versions(installed(site))
    return Subject(
        path=path,
        python=python,
        python_version=asked.version,
        site=site,
        packages=packages,
        accelerator="cuda" if _with_cuda(site, packages) else "cpu",
        locking=locking,
        markers=asked.markers,
        free_threaded=asked.free_threaded,
    )


def line_of(subject: Subject) -> LineFact | None:
    """The first line of an engine that is installed, for what it computes on; None: no engine."""
    lines = _lines(subject.packages)
    alike = [line for line in lines if line.accelerator == subject.accelerator]
    return next(iter(alike or lines), None)


def _lines(packages: dict[str, str]) -> list[LineFact]:
    """The lines of engines whose distributions are installed."""
    from sartor.engines.facts import engines

    return [
        line
        for fact in engines()
        for line in fact.line
        if line.distribution in packages
        and within_versions(line.versions, packages[line.distribution])
    ]


def _with_cuda(site: list[Path], packages: dict[str, str]) -> bool:
    """Whether what computes here does so on GPUs of NVIDIA's, by its own libraries.

    What computes is the engine, else torch, else whatever has libraries.
    """
    from sartor.verify.evidence import read_site

    computing = {line.distribution for line in _lines(packages)} or {"torch"} & packages.keys()
    parts = [read_site(folder) for folder in site]
    own = {p: None for part in parts for package in part.packages
           if package.name in computing for p in package.libraries}  # fmt: skip
    libraries = [library for part in parts for library in part.libraries]
    asked = [lib for lib in libraries if lib.path in own] if computing else libraries
    return any(lib.cuda_major is not None or lib.images for lib in asked)
