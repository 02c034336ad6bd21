"""Compiling an engine here, for this processor: once for each (source, flags, ISA, compiler)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import msgspec
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import Version

from sartor.artifact.digest import file_sha256
from sartor.errors import BuildError, CompilerMissingError
from sartor.index.files import IndexFile
from sartor.index.uv import run_uv
from sartor.locks import waiting_lock
from sartor.paths import Places, explain_os_errors, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sartor.plan.model import Recipe, Stack
    from sartor.reporter import Reporter

NO_COMPILER = "install a C and C++ compiler, or take the published build"
CUDA_COMPILER = "-DCMAKE_CUDA_COMPILER="
_UNIT = re.compile(r"^\[(\d+)/(\d+)\]|^\[\s*(\d+)%\]")


def build_wheel(stack: Stack, places: Places, log: Path, reporter: Reporter) -> Path:
    """The wheel of the stack's source package, compiled for this machine or found in the cache.

    Raises `CompilerMissingError`, `BuildError` (the log has the compiler's words), and what
    fetching the source raises.
    """
    key = wheel_key(stack, compiler_version(), cuda_compiler_version(stack))
    folder = make_folder(places.wheels / key)
    with waiting_lock(places.wheels / f".{key}.lock", reporter, "compiling this"):
        done = sorted(folder.glob("*.whl"))
        if done:
            reporter.note(f"compiled before: {done[0].name}")
            return done[0]
        source = fetch_source(stack, places, reporter)
        return _compile(stack, source, folder, log, reporter)


def wheel_key(stack: Stack, compiler: str, cuda_compiler: str | None) -> str:
    """16 hexadecimal digits for (source hash, flags, ISA, compilers, architecture)."""
    recipe = recipe_of(stack)
    parts = [recipe.sha256, *recipe.cmake_args, recipe.isa, compiler, stack.architecture]
    parts += [cuda_compiler] if cuda_compiler else []
    return hashlib.sha256("\n".join(str(p) for p in parts).encode()).hexdigest()[:16]


def recipe_of(stack: Stack) -> Recipe:
    """The source package of a stack that has one."""
    if stack.source is None:
        raise ValueError(f"{stack.engine} {stack.version} is not built from a source package")
    return stack.source


def compiler_version() -> str:
    """What the C++ compiler says of itself; raises `CompilerMissingError` where there is none."""
    program = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    program = program or shutil.which("clang++")
    if program is None:
        raise CompilerMissingError("there is no C++ compiler on this machine", hint=NO_COMPILER)
    said = _version_lines(program.split())
    return said[0] if said else program


def cuda_compiler_version(stack: Stack) -> str | None:
    """What the stack's nvcc says of itself; None where the stack is not for CUDA.

    Raises `CompilerMissingError` where there is none.
    """
    if stack.accelerator != "cuda":
        return None
    named = [
        a.removeprefix(CUDA_COMPILER)
        for a in recipe_of(stack).cmake_args
        if a.startswith(CUDA_COMPILER)
    ]
    program = named[0] if named else os.environ.get("CUDACXX") or shutil.which("nvcc")
    if program is None or shutil.which(program) is None:
        raise CompilerMissingError(
            f"`{program or 'nvcc'}` is not on this machine",
            hint="install the CUDA toolkit, or take the published build",
        )
    return "\n".join(_version_lines([program]))


def _version_lines(program: list[str]) -> list[str]:
    done = subprocess.run([*program, "--version"], capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace").splitlines()


def _compile(stack: Stack, source: Path, folder: Path, log: Path, reporter: Reporter) -> Path:
    """Compile in a folder that outlives a killed run, so that the next one goes on from there."""
    work = make_folder(folder.parent.parent / "builds" / folder.name)
    for leftover in ("tmp", "out"):
        shutil.rmtree(work / leftover, ignore_errors=True)

    def count(line: str) -> None:
        match = _UNIT.match(line)
        if match and match[1]:
            reporter.progress("compiling", int(match[1]), int(match[2]), "units")
        elif match:
            reporter.progress("compiling", int(match[3]), 100, "%")

    variables = {
        "CMAKE_ARGS": " ".join(recipe_of(stack).cmake_args),
        "TMPDIR": str(make_folder(work / "tmp")),
    }
    arguments = ["build", "--wheel", "--out-dir", str(work / "out")]
    arguments += ["--python", stack.python.path or sys.executable]
    arguments += ["--config-setting", f"build-dir={work / 'objects'}", str(_unpacked(source, work))]
    try:
        run_uv(arguments, log, reporter, what="compiling", environment=variables, on_line=count)
    except BuildError as error:
        raise _compiler_said(log, error) from error
    finally:
        shutil.rmtree(work / "tmp", ignore_errors=True)
    wheel = next((work / "out").glob("*.whl"))
    with explain_os_errors(folder):
        done = wheel.replace(folder / wheel.name)
    shutil.rmtree(work, ignore_errors=True)
    return done


def _unpacked(source: Path, work: Path) -> Path:
    """The source tree of an archive, unpacked once; a half unpacked one is made anew."""
    tree = work / "source"
    if not tree.exists():
        partial = work / "source.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with explain_os_errors(work), tarfile.open(source) as archive:
            archive.extractall(partial, filter="data")
        next(partial.iterdir()).rename(tree)
        partial.rmdir()
    return tree


def _compiler_said(log: Path, error: BuildError) -> BuildError:
    lines = [x for x in log.read_text("utf-8", "replace").splitlines() if "error" in x.lower()]
    return BuildError(
        "compiling failed",
        found=lines[-6:] or error.found,
        hint="the log has the compiler's own words; the published build needs no compiler",
        log=str(log),
    )


def fetch_source(stack: Stack, places: Places, reporter: Reporter) -> Path:
    """The stack's source package from the user's indexes, with the SHA-256 that Sartor knows.

    Kept in Sartor's cache; an interrupted download is gone on with. Raises `BuildError` where no
    index has it, and what `sartor.remote.fetch.fetch_all` raises.
    """
    from sartor.remote.fetch import fetch_all, kept_path
    from sartor.remote.targets import Keeping, Remotes

    recipe = recipe_of(stack)
    kept = IndexFile(f"{recipe.project}-{stack.version}.tar.gz", "", sha256=recipe.sha256)
    target = kept_path(places.packages, kept)
    if file_sha256(target) == recipe.sha256:
        return target
    target.unlink(missing_ok=True)
    keeping = Keeping(listings=places.listings)
    with contextlib.closing(Remotes(reporter, keeping=keeping)) as remotes:
        listed = _source_package(remotes.files(canonicalize_name(recipe.project)), stack.version)
    known = msgspec.structs.replace(kept, url=listed.url, size=listed.size)
    return fetch_all([known], places, reporter)[recipe.sha256]


def _source_package(files: Iterable[IndexFile], version: str) -> IndexFile:
    for file in files:
        with contextlib.suppress(InvalidSdistFilename):
            if parse_sdist_filename(file.name)[1] == Version(version):
                return file
    raise BuildError(
        f"the index has no source package of version {version}",
        hint="a mirror that carries wheels only looks like this; name another index",
    )
