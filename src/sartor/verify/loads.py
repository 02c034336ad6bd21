"""The first two grades: *resolves* and *loads*. Each check runs in a child process with a limit."""

from __future__ import annotations

import datetime
import re
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.engines.launch import launcher
from sartor.errors import PYTHON_HEADERS, SartorError, VerifyError
from sartor.index.uv import run_uv
from sartor.paths import Places, write_atomically
from sartor.processes import bounded, child_environment, signal_name
from sartor.reporter import Silent
from sartor.verify.model import Failed, NotTried, Outcome, Passed, Report

if TYPE_CHECKING:
    from sartor.build.model import Environment
    from sartor.reporter import Reporter

IMPORT_SECONDS = 300
FIND_HEADERS = """
import pathlib, sysconfig
header = pathlib.Path(sysconfig.get_path("include", "posix_prefix"), "Python.h")
print(header if header.exists() else f"there is no {header}")
raise SystemExit(not header.exists())
"""
HUNG = 1 << 16
"""No process ends with this status."""


def verify(environment: Environment, places: Places, reporter: Reporter) -> Report:
    """Prove ``environment`` as far as *loads*, or return the proof that is there already.

    Raises `VerifyError` where a check fails; the report is kept only where none does.
    """
    record = Path(environment.path) / "sartor-report.json"
    try:
        return msgspec.json.decode(record.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        pass
    report = check(environment, places, reporter)
    if report.failures:
        first = report.failures[0]
        raise VerifyError(
            f"the environment does not pass `{first.check}`",
            found=[*first.detail.splitlines()[-8:], *(f.check for f in report.failures[1:])],
            hint=first.hint
            or "remove the environment's folder and run the same command again; "
            f"it is {environment.path}",
        )
    write_atomically(record, msgspec.json.encode(report))
    return report


def check(environment: Environment, places: Places, reporter: Reporter) -> Report:
    """Make every check and report them all, those that failed too."""
    outcomes: list[Outcome] = [_resolves(environment, places)]
    for count, module in enumerate(environment.stack.modules, 1):
        outcomes.append(_imports(environment, module))
        reporter.progress("verifying", count, len(environment.stack.modules), "modules")
    outcomes += _devices(environment)
    failed = any(isinstance(o, Failed) for o in outcomes)
    resolves = isinstance(outcomes[0], Passed)
    return Report(
        environment=environment.path,
        grade="loads" if not failed else "resolves" if resolves else None,
        outcomes=outcomes,
        made_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _resolves(environment: Environment, places: Places) -> Outcome:
    """Every installed package's own requirements are met, but for those left out on purpose."""
    name = "resolves: installed packages agree"
    log = places.logs / f"verify-{environment.key}.log"
    arguments = ["pip", "check", "--python", str(environment.python)]
    try:
        run_uv(arguments, log, Silent(), what="checking the installed packages")
    except SartorError as error:
        lines = [line for line in error.found if "require" in line or "not installed" in line]
        left_out = [*environment.stack.leave_out, *environment.stack.there]
        unmet = [x for x in lines if not any(re.search(rf"`{n}[^\w-]", x) for n in left_out)]
        if unmet or not lines:
            return Failed(name, "\n".join(unmet or error.found))
    return Passed(name, f"{len(environment.packages)} packages")


def _imports(environment: Environment, module: str) -> Outcome:
    name = f"loads: import {module}"
    code = f"import {module} as m, sys; print(getattr(m, '__version__', ''))"
    status, output = run_python(environment, code, IMPORT_SECONDS)
    if status == 0:
        return Passed(name, output.strip().splitlines()[-1] if output.strip() else "imported")
    return Failed(name, f"{output}\n{_how_it_ended(status)}".strip(), _hint(output, status))


def _devices(environment: Environment) -> list[Outcome]:
    """Whether the framework sees the GPU. Nothing is launched: that is a grade of its own."""
    launches = NotTried("launches", "kernels are not launched at this grade")
    if environment.stack.accelerator == "cpu":
        return [launches]
    engine = launcher(environment.stack.launcher or "")
    outcomes: list[Outcome] = [_headers(environment)] if engine.compiles else []
    name = "loads: the framework sees the GPU"
    status, output = run_python(environment, engine.sees_gpu, IMPORT_SECONDS)
    if status == 0:
        return [*outcomes, Passed(name, output.strip()), launches]
    return [*outcomes, Failed(name, f"{output}\n{_how_it_ended(status)}".strip()), launches]


def _headers(environment: Environment) -> Outcome:
    """Triton compiles its link to the driver where the server starts (triton/runtime/build.py)."""
    name = "loads: Python's headers are there for what the engine compiles"
    status, output = run_python(environment, FIND_HEADERS, IMPORT_SECONDS)
    if status == 0:
        return Passed(name, output.strip())
    return Failed(name, f"{output}\n{_how_it_ended(status)}".strip(), PYTHON_HEADERS)


def run_python(environment: Environment, code: str, seconds: float) -> tuple[int, str]:
    """Run ``code`` with the environment's interpreter: its status and the end of its output.

    A negative status is the number of the signal that ended it; `HUNG` says that it took too long.
    """
    argv = [str(environment.python), "-I", "-c", code]
    inherited = child_environment()
    variables = inherited | environment.variables(inherited)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,
        )
        try:
            with bounded(process):
                status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            status = HUNG
        output.seek(max(0, output.tell() - 8192))
        return status, output.read().decode("utf-8", "replace")


def _how_it_ended(status: int) -> str:
    if status == HUNG:
        return f"did not end within {IMPORT_SECONDS} s"
    if status < 0:
        return f"ended by {signal_name(-status)}"
    return f"ended with status {status}"


def _hint(output: str, status: int) -> str | None:
    """What to do about the failures that people meet most."""
    if "cannot open shared object file" in output:
        library = output.rpartition("cannot open shared object file")[0].split()[-1].strip(":")
        return f"the system library `{library}` is missing: install the package that holds it"
    if status == -signal.SIGILL:
        return "the CPU lacks an instruction that was compiled in: `--build native` avoids it"
    return None
