"""An environment is found, asked what it is, and the engine in it known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.engines.launch import launcher
from sartor.facts.versions import within_versions
from sartor.processes import child_environment
from sartor.verify.subject.evidence import read_site
from sartor.verify.subject.installed import installed, versions
from sartor.verify.subject.interpreter import ask, find_interpreter
from sartor.verify.subject.model import Subject
from sartor.verify.subject.taken import distributions_of

if TYPE_CHECKING:
    from sartor.build.model import Environment
    from sartor.engines.facts import LineFact
    from sartor.lock.model import Locking
    from sartor.verify.subject.interpreter import Interpreter


def subject_of(environment: Environment, locking: Locking | None = None) -> Subject:
    """An environment that Sartor made; raises `InterpreterError` where it does not start."""
    stack, path = environment.stack, Path(environment.path)
    asked = ask(find_interpreter(path))
    started = launcher(stack.launcher or "") if stack.accelerator == "cuda" else None
    found = _subject(path, environment.python, asked, locking)
    if stack.there:
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
    computing = {line.distribution for line in _lines(packages)} or {"torch"} & packages.keys()
    parts = [read_site(folder) for folder in site]
    own = {p: None for part in parts for package in part.packages
           if package.name in computing for p in package.libraries}  # fmt: skip
    libraries = [library for part in parts for library in part.libraries]
    asked = [lib for lib in libraries if lib.path in own] if computing else libraries
    return any(lib.cuda_major is not None or lib.images for lib in asked)
