"""What is verified: an environment, whoever made it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from sartor.artifact.environment import site_packages
from sartor.engines.launch import launcher
from sartor.lock.model import Locking
from sartor.processes import child_environment

if TYPE_CHECKING:
    from sartor.build.model import Environment


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """An environment as the checks take it: made by Sartor or not.

    ``path`` is its folder, ``site`` every folder that its interpreter imports packages from (its
    own first, then the system's where it has ``include-system-site-packages``). ``packages`` maps
    each installed project to its version. ``variables`` are those that its programs need.
    ``accelerator`` is what its stack computes on: ``cuda`` where packages with CUDA are installed.
    ``modules`` are what its engine imports; ``headers`` whether that compiles C against Python.
    ``sees_gpu`` is a program for its interpreter, with status 0 where the engine sees a GPU.
    ``left_out`` are projects that are declared and were left out on purpose. ``locking`` is the
    lock that it is held against, where there is one.
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


def subject_of(environment: Environment) -> Subject:
    """An environment that Sartor made."""
    stack, path = environment.stack, Path(environment.path)
    started = launcher(stack.launcher or "") if stack.accelerator == "cuda" else None
    return Subject(
        path=path,
        python=environment.python,
        python_version=stack.python.version or "",
        site=[path / folder for folder in site_packages(path)],
        packages=environment.packages,
        accelerator="cuda" if stack.accelerator == "cuda" else "cpu",
        modules=stack.modules,
        headers=started is not None and started.compiles,
        sees_gpu=started.sees_gpu if started else None,
        variables=environment.variables(child_environment()),
        left_out=stack.leave_out,
    )
