"""Python interpreters: found without starting them, where their path says their version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sartor.facts.versions import numbers
from sartor.host.machine import CommandResult, Unread
from sartor.host.model import Tool
from sartor.host.tools import real_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.host.machine import Machine

OLDEST = (3, 8)
ASK = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
FULL_VERSION = re.compile(r"(?<![\d.])(3\.\d+\.\d+)(?![\d.]*[\d])")


def read_pythons(machine: Machine) -> list[Tool]:
    """Every Python from 3.8 on: Sartor's own first, then PATH's, pyenv's and uv's, newest first.

    A file that several paths lead to appears once, under the first of them.
    """
    own = machine.interpreter()
    found: dict[str, Tool] = {}
    for path in [own.path, *candidates(machine)]:
        real = real_path(machine, path)
        if real in found:
            continue
        version = own.version if path == own.path else version_of(machine, path, real)
        if version and numbers(version)[:2] >= OLDEST:
            found[real] = Tool(f"python{minor(version)}", path, version)
    newest = sorted(found.values(), key=lambda tool: numbers(tool.version or ""), reverse=True)
    return sorted(newest, key=lambda tool: tool.path != own.path)


def candidates(machine: Machine) -> Iterator[str]:
    """Where interpreters may be. pyenv's shims are scripts that stand for the ones below it."""
    shims = f"{pyenv_root(machine)}/shims/"
    yield from (path for path in machine.pythons() if not path.startswith(shims))
    yield from below(machine, f"{pyenv_root(machine)}/versions", r"3\.\d+\.\d+")
    yield from below(machine, uv_folder(machine), r"cpython-3\.\d+\.\d+-.*")


def pyenv_root(machine: Machine) -> str:
    """Where pyenv keeps its versions."""
    return machine.environ("PYENV_ROOT") or f"{machine.environ('HOME') or ''}/.pyenv"


def uv_folder(machine: Machine) -> str:
    """Where uv keeps the interpreters it installed."""
    data = machine.environ("XDG_DATA_HOME") or f"{machine.environ('HOME') or ''}/.local/share"
    return machine.environ("UV_PYTHON_INSTALL_DIR") or f"{data}/uv/python"


def below(machine: Machine, folder: str, pattern: str) -> list[str]:
    """The interpreters of the versions in ``folder`` whose names match."""
    names = machine.list_folder(folder)
    if isinstance(names, Unread):
        return []
    paths = [f"{folder}/{name}/bin/python3" for name in names if re.fullmatch(pattern, name)]
    return [path for path in paths if not isinstance(machine.resolve(path), Unread)]


def version_of(machine: Machine, path: str, real: str) -> str | None:
    """The version of an interpreter: from its path, from its headers, or by starting it."""
    named = FULL_VERSION.findall(real)
    if named:
        return str(named[-1])
    return version_by_headers(machine, real) or version_by_asking(machine, path)


def version_by_headers(machine: Machine, real: str) -> str | None:
    """The version in ``patchlevel.h`` beside ``bin/python3.N``; None without the headers."""
    folder, _, name = real.rpartition("/bin/")
    text = machine.read_text(f"{folder}/include/{name}/patchlevel.h")
    match = re.search(
        r'#define PY_VERSION\s+"(\d+\.\d+\.\d+)', text if isinstance(text, str) else ""
    )
    return match[1] if match else None


def version_by_asking(machine: Machine, path: str) -> str | None:
    """The version that an interpreter prints; None where it does not start."""
    result = machine.run([path, "-I", "-S", "-c", ASK], timeout=3.0)
    if not isinstance(result, CommandResult) or result.returncode != 0:
        return None
    return result.stdout.strip() or None


def minor(version: str) -> str:
    """``3.12.4`` as ``3.12``."""
    return ".".join(version.split(".")[:2])
