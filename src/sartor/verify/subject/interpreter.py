"""The interpreter of an environment, whoever made that: found, started, asked what it is."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import msgspec

from sartor.errors import InterpreterError, NoEnvironmentError
from sartor.processes import bounded, child_environment, signal_name

PROBE = Path(__file__).parents[1] / "programs" / "probe.py"
SECONDS = 60.0
OLDEST = (3, 9)
"""The checks' programs are written for it."""
SHOWN_LINES = 8
ANEW = "make the environment anew, for example `uv venv --clear` and `uv pip sync pylock.toml`"
NAME_ONE = "name a virtual environment, a conda prefix or an interpreter: `{} /path/to/environment`"
VERIFY = "--env"
"""How an environment is named, where no other command's way is said."""


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter says of itself.

    ``site`` are the folders that it imports packages from, in order; ``markers`` the variables of
    PEP 508. ``path`` is its whole ``sys.path``.
    """

    version: str
    prefix: str
    base_prefix: str
    site: list[str]
    markers: dict[str, str]
    free_threaded: bool
    path: list[str]


def find_interpreter(path: Path, way: str = VERIFY) -> Path:
    """The interpreter of the environment at ``path``, or that is ``path`` itself.

    No link is followed: by its place an interpreter knows its environment. ``way`` is how the
    command names one. Raises `NoEnvironmentError`, and `InterpreterError` for one that is gone.
    """
    path = path.expanduser().absolute()
    try:
        if path.is_dir():
            return _in_folder(path, way)
        if path.is_file():
            return _of_file(path, way)
    except PermissionError as error:
        raise _forbidden(path) from error
    if path.is_symlink():
        raise _gone(path)
    raise NoEnvironmentError(f"there is no `{path}`", hint=NAME_ONE.format(way))


def is_interpreter(path: Path) -> bool:
    """Whether a file is the Python of an environment, by its name and place; none is started."""
    return path.parent.name == "bin" and path.name.startswith(("python", "pypy"))


def _of_file(path: Path, way: str) -> Path:
    if is_interpreter(path) or os.access(path, os.X_OK):
        return path
    raise NoEnvironmentError(f"`{path}` is a file, and no environment", hint=NAME_ONE.format(way))


def _in_folder(folder: Path, way: str) -> Path:
    if not os.access(folder, os.R_OK | os.X_OK):
        raise _forbidden(folder)
    for name in ("python", "python3"):
        found = folder / "bin" / name
        if found.is_file():
            return found
        if found.is_symlink():
            raise _gone(found)
    around = next((p for p in folder.parents if (p / "bin" / "python").is_file()), None)
    whole = around in {None, Path("/"), Path("/usr")}
    hint = NAME_ONE.format(way) if whole else f"is `{way} {around}` meant?"
    raise NoEnvironmentError(
        f"`{folder}` is no environment: there is no `bin/python` in it", hint=hint
    )


def _gone(link: Path) -> InterpreterError:
    return InterpreterError(
        f"the interpreter `{link}` is gone",
        found=[f"it is a link to `{link.readlink()}`, and there is no such file"],
        hint=f"install that Python again, or {ANEW}",
    )


def _forbidden(path: Path) -> NoEnvironmentError:
    return NoEnvironmentError(
        f"`{path}` may not be read", hint="run as a user who may, or give this one the permission"
    )


def ask(python: Path, way: str = VERIFY) -> Interpreter:
    """Start ``python`` and ask what it is; raises `InterpreterError` where it does not say."""
    words, said = _run(python)
    try:
        lines = words.strip().splitlines()
        found = msgspec.json.decode(lines[-1] if lines else "", type=Interpreter)
    except msgspec.DecodeError as error:
        raise InterpreterError(
            f"`{python}` is no Python that answers",
            found=_last(said or words),
            hint=NAME_ONE.format(way),
        ) from error
    if tuple(int(n) for n in found.markers["python_version"].split(".")) < OLDEST:
        raise InterpreterError(
            f"`{python}` is Python {found.version}",
            hint=f"the checks run on Python {'.'.join(map(str, OLDEST))} and newer",
        )
    return found


def _run(python: Path) -> tuple[str, str]:
    """What it prints, on stdout and on stderr."""
    try:
        process = subprocess.Popen(
            [str(python), "-I", "-c", PROBE.read_text("utf-8")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise _does_not_start(python, error) from error
    with bounded(process):
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise InterpreterError(
                f"`{python}` does not answer within {SECONDS:g} s",
                hint="what its `.pth` files and `sitecustomize` import when it starts may hang",
            ) from error
    if process.returncode != 0:
        status = process.returncode
        how = f"ended by {signal_name(-status)}" if status < 0 else f"ended with status {status}"
        raise InterpreterError(
            f"the interpreter `{python}` does not start: {how}",
            found=_last(err.decode("utf-8", "replace")),
            hint=ANEW,
        )
    return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


def _does_not_start(python: Path, error: OSError) -> InterpreterError:
    """``ENOENT`` for a file that is there means that its loader, or a script's program, is not."""
    why, hint = error.strerror or type(error).__name__, ANEW
    if error.errno == errno.ENOENT:
        why = "the program that loads it is not on this machine (another libc, another machine)"
    elif error.errno == errno.ENOEXEC:
        why = "it is no program of this machine"
    elif error.errno == errno.EACCES:
        hint = "give it the permission to be executed; a file system may be mounted `noexec`"
    return InterpreterError(f"the interpreter `{python}` does not start: {why}", hint=hint)


def _last(words: str) -> list[str]:
    return [line for line in words.splitlines() if line.strip()][-SHOWN_LINES:]
