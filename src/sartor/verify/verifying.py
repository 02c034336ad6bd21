"""`sartor verify`: what is meant is found, proved, and its report written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import NoEnvironmentError, ReportFileError, UsageError
from sartor.paths import explain_os_errors, not_writable, write_together
from sartor.verify.model import GRADES, Report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sartor.build.model import Environment
    from sartor.lock.model import Locking
    from sartor.paths import Places
    from sartor.reporter import Reporter
    from sartor.verify.proving import Proving
    from sartor.verify.subject.model import Subject

MAKE_ONE = "make one with `sartor up`, or name any other: `sartor verify --env PATH`"
OUTPUT = "name a file that can be written: `--output FILE`"
NOT_CHECKED = 3
"""The exit status where nothing failed, and yet the grade is not reached: something was not made.

`2` is that of a command line that does not hold together."""
MOST_BYTES = 256 << 20


def verify(
    env: Path | None,
    lock: Path | None,
    only: Sequence[str],
    proving: Proving,
    places: Places,
    reporter: Reporter,
) -> Report:
    """Prove the environment that is meant, on this machine; of it ``only`` these projects, if any.

    Raises `NoEnvironmentError`, `InterpreterError` and `LockFileError`.
    """
    from packaging.utils import canonicalize_name

    from sartor.line import find_host
    from sartor.verify.proof import prove
    from sartor.verify.subject.narrow import narrowed

    if not 0 <= proving.jit_seconds < float("inf"):
        raise UsageError(
            f"`--jit-seconds {proving.jit_seconds:g}` is no time", hint="seconds: `600`"
        )
    subject = meant(env, lock, places, reporter)
    if only:
        subject = narrowed(subject, [canonicalize_name(project) for project in only])
    return prove(subject, find_host(None, places), proving, reporter)


def meant(env: Path | None, lock: Path | None, places: Places, reporter: Reporter) -> Subject:
    """The environment that was named, or that a lock or this machine's Sartor has."""
    from sartor.build.environment import built
    from sartor.verify.subject.find import subject_at, subject_of

    locking = _locked(lock) if lock is not None else None
    if env is not None:
        subject = subject_at(env, locking)
    else:
        ours = sorted(built(places).values(), key=lambda e: e.built_at, reverse=True)
        one = _newest(ours) if locking is None else _of_lock(ours, locking, lock)
        reporter.note(f"{one.stack.label}, in {one.path}")
        subject = subject_of(one, locking)
    if lock is None:
        return subject
    from sartor.artifact.digest import file_sha256

    digest = file_sha256(lock / "pylock.toml")
    return msgspec.structs.replace(subject, lock_sha256=digest)


def _locked(folder: Path) -> Locking:
    from sartor.locking import read_locked

    looks_like_one = (folder / "bin").is_dir() or folder.is_file()
    if looks_like_one and not (folder / "pylock.toml").exists():
        raise UsageError(
            f"`{folder}` is no folder with a lock",
            hint=f"an environment is named as `--env {folder}`",
        )
    return read_locked(folder)


def _newest(ours: list[Environment]) -> Environment:
    if not ours:
        raise NoEnvironmentError("Sartor made no environment on this machine", hint=MAKE_ONE)
    return ours[0]


def _of_lock(ours: list[Environment], locking: Locking, lock: Path | None) -> Environment:
    """The newest environment of the locked engine that has every locked package."""
    wanted = {package.name: package.version for package in locking.packages}
    for environment in ours:
        if wanted.items() <= environment.packages.items():
            return environment
    raise NoEnvironmentError(
        f"Sartor made no environment of the lock in `{lock}` on this machine",
        found=[f"{e.stack.label}, in {e.path}" for e in ours[:8]],
        hint="name the one that it was installed into: `sartor verify LOCK --env PATH`",
    )


def check_output(path: Path) -> None:
    """Raise `FolderNotWritableError` before a long proof, where its report could not be written."""
    if path.is_dir():
        raise not_writable(path, IsADirectoryError(21, "it is a folder", str(path)), OUTPUT)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise not_writable(path, FileNotFoundError(2, "no such folder", str(folder)), OUTPUT)
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise not_writable(path, PermissionError(13, "Permission denied", str(path)), OUTPUT)


def write_report(report: Report, path: Path) -> None:
    """Write the report beside ``path`` and rename it there; a device or a pipe is written to.

    A link is followed. Raises `DiskFullError` and `FolderNotWritableError`.
    """
    data = msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
    place = path.resolve()
    try:
        with explain_os_errors(path, OUTPUT):
            if place.exists() and not place.is_file():
                place.write_bytes(data)
            else:
                write_together({place: data}, place.parent, OUTPUT)
    except OSError as error:
        raise not_writable(path, error, OUTPUT) from error


def read_report(path: Path) -> Report:
    """The report in a file, which ``--output`` or ``--json`` wrote; raises `ReportFileError`."""
    hint = "write one with `sartor verify --output FILE`"
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ReportFileError(f"`{path}` cannot be read: {why}", hint=hint) from error
    try:
        return msgspec.json.decode(data, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReportFileError(
            f"`{path}` is no report of this version", found=[str(error)], hint=hint
        ) from error


def status_of(report: Report) -> int:
    """0: the grade that was asked for is reached; 1: a check failed; 3: some was not made."""
    if report.failures:
        return 1
    reached = -1 if report.grade is None else GRADES.index(report.grade)
    return 0 if reached >= GRADES.index(report.asked) else NOT_CHECKED
