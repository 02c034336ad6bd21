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

from sartor.errors import BuildError, CompilerMissingError, IndexRefusedError, IndexUnreachableError
from sartor.index.network import default_index
from sartor.index.uv import run_uv
from sartor.locks import waiting_lock
from sartor.paths import Places, explain_os_errors, make_folder

if TYPE_CHECKING:
    from pathlib import Path

    from pypi_simple import DistributionPackage
    from requests import Response, Session

    from sartor.plan.model import Recipe, Stack
    from sartor.reporter import Reporter

NO_COMPILER = "install a C and C++ compiler, or take the published build"
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416
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
    """The stack's source package from the user's index, checked against its known SHA-256.

    Kept under ``sources/``; an interrupted download is gone on with. Two at a time wait for each
    other.
    """
    recipe = recipe_of(stack)
    folder = make_folder(places.root / "sources")
    target = folder / f"{recipe.project}-{stack.version}.tar.gz"
    with waiting_lock(folder / f".{target.name}.lock", reporter, "fetching this source"):
        if _sha256(target) != recipe.sha256:
            partial = folder / f".{target.name}.partial"
            _fetch(stack, partial, reporter)
            partial.replace(target)
    return target


def _fetch(stack: Stack, partial: Path, reporter: Reporter) -> None:
    """Make ``partial`` the whole source; what was there before may be the beginning of another."""
    wanted, found = recipe_of(stack).sha256, _sha256(partial)
    for _ in range(2):
        begun = partial.exists()
        if found != wanted:
            _download(recipe_of(stack).project, stack.version, partial, reporter)
            found = _sha256(partial)
        if found == wanted:
            return
        partial.unlink()
        if not begun:
            break
    raise BuildError(
        f"the source package of {recipe_of(stack).project} {stack.version} is not the one that "
        "Sartor knows",
        found=[f"wanted sha256 {wanted}", f"found sha256 {found}"],
        hint="the index or a proxy serves other bytes; nothing of it was used",
    )


def _download(project: str, version: str, partial: Path, reporter: Reporter) -> None:
    """Fetch what ``partial`` lacks, or all of it where the server does not give a part."""
    import requests
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, PyPISimple

    index = default_index() or PYPI_SIMPLE_ENDPOINT
    try:
        with PyPISimple(index) as client:
            package = _source_package(client.get_project_page(project).packages, version)
            with _ask_for_the_rest(client.s, package.url, partial) as answer:
                answer.raise_for_status()
                _receive(answer, partial, reporter)
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise IndexRefusedError(
            f"fetching the source of {project}: the package index answered {status}",
            hint="check the index in your pip or uv configuration",
        ) from error
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,  # it ended in the middle
    ) as error:
        raise IndexUnreachableError(
            f"fetching the source of {project}: the package index could not be reached",
            hint="check the network and the proxy (HTTPS_PROXY); what has come is kept, "
            "and the published build may be cached",
        ) from error


def _ask_for_the_rest(session: Session, url: str, partial: Path) -> Response:
    headers = {"Accept-Encoding": "identity"}
    begun = partial.stat().st_size if partial.exists() else 0
    if begun:
        answer = session.get(
            url, stream=True, timeout=60, headers=headers | {"Range": f"bytes={begun}-"}
        )
        if answer.status_code != RANGE_NOT_SATISFIABLE:
            return answer
        answer.close()
    return session.get(url, stream=True, timeout=60, headers=headers)


def _receive(answer: Response, partial: Path, reporter: Reporter) -> None:
    """Append the part that came, or write the whole where the server gave that."""
    part = answer.status_code == PARTIAL_CONTENT
    done = partial.stat().st_size if part else 0
    coming = int(answer.headers.get("Content-Length", 0))
    with explain_os_errors(partial), partial.open("ab" if part else "wb") as file:
        total = done + coming if coming else None
        for chunk in answer.iter_content(1 << 16):
            done += file.write(chunk)
            reporter.progress("downloading source", done, total, "B")


def _source_package(packages: list[DistributionPackage], version: str) -> DistributionPackage:
    for package in packages:
        if package.version == version and package.package_type == "sdist":
            return package
    raise BuildError(
        f"the index has no source package of version {version}",
        hint="a mirror that carries wheels only looks like this; name another index",
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
