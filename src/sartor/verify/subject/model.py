"""What is verified: an environment, whoever made it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from sartor.lock.model import Locking


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
