"""Every job of the project. `./test` runs them in the environment that it makes; so can you."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "docs", "unit", "integration", "stale"]
BESIDE = ("-n", "logical", "--maxprocesses", "4")
"""Each worker guards itself; what one keeps in memory the others make anew, so few are enough."""


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, and the changelog fragments' names."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict over source and tests."""
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """What is said twice is equal: error table, help texts, and the map of the snapshot."""
    session.run("python", "tools/make_docs.py", "--check")


@nox.session
def unit(session: nox.Session) -> None:
    """Offline, cannot act, under a minute."""
    session.run("pytest", "tests/unit", *BESIDE, *session.posargs)


@nox.session
def integration(session: nox.Session) -> None:
    """Real packages from the index, real servers on loopback."""
    session.run("pytest", "tests/integration", *session.posargs)


@nox.session
def heavy(session: nox.Session) -> None:
    """Long builds: run by hand, results go under benchmarks/results."""
    session.run("pytest", "tests/heavy", *session.posargs)


@nox.session
def gpu(session: nox.Session) -> None:
    """On a machine with an NVIDIA GPU: run by hand, results go under benchmarks/results."""
    session.run("pytest", "tests/gpu", *session.posargs)


@nox.session
def stale(session: nox.Session) -> None:
    """Say loudly which committed results are older than the code that they prove."""
    session.run("python", "tools/stale_results.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Start-up and detection times, and the two builds of llama.cpp side by side."""
    for script in sorted(Path("benchmarks").glob("bench_*.py")):
        session.run("python", os.fspath(script), *session.posargs)
