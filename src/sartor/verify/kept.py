"""The proof that `sartor up` asks for: as far as *loads*, made once for each environment.

It is kept beside the environment with a stamp of every installed file. Where one was written,
removed or added since, the proof is made again.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import VerifyError
from sartor.paths import Places, make_private_folder, write_atomically
from sartor.verify.compare import said, words
from sartor.verify.model import Report
from sartor.verify.proof import prove
from sartor.verify.proving import Proving
from sartor.verify.resolves.files import FILES_CHECK
from sartor.verify.subject.find import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.build.model import Environment
    from sartor.host.model import Host
    from sartor.reporter import Reporter
    from sartor.verify.model import Failed

RECORD = "sartor-report.json"
STAMP = "sartor-report.stamp"


def verified(environment: Environment, host: Host, reporter: Reporter) -> Report:
    """Prove ``environment`` as far as *loads*, or return the proof that is there already.

    Files that are not as recorded are warned about: wheels are published with a wrong RECORD, and
    what is damaged does not load. Raises `VerifyError` where another check of the stack fails; the
    report is kept only where none does.
    """
    folder = Path(environment.path)
    now = stamp(folder)
    report = _kept(folder, now)
    if report is None:
        report = prove(subject_of(environment), host, Proving(asked="loads"), reporter)
        _log(environment, report)
        fatal = [f for f in report.failures if _is_fatal(environment, f)]
        if fatal:
            raise _error(environment, fatal)
        write_atomically(folder / RECORD, msgspec.json.encode(report))
        write_atomically(folder / STAMP, stamp(folder))
    for failure in report.failures:
        reporter.warn(f"`{failure.check}` does not hold; `sartor verify --env {folder}` says more")
    return report


def _is_fatal(environment: Environment, failure: Failed) -> bool:
    """Whether nothing is to be served with it: it is of the stack, and not of its files' hashes.

    Of an interpreter whose packages the environment sees, those are others' business that the
    stack does not take.
    """
    own = {*environment.packages, *environment.stack.there}
    of_stack = failure.package is None or failure.package in own
    return of_stack and not failure.check.startswith(FILES_CHECK)


def _log(environment: Environment, report: Report) -> None:
    """Every check in a line, where `sartor logs --stage verify` looks."""
    logs = Places(Path(environment.path).parents[1]).logs
    make_private_folder(logs)
    lines = [
        f"{o.grade} {said(o)}: {o.check}: {' '.join(words(o).split())}\n" for o in report.outcomes
    ]
    write_atomically(logs / f"verify-{environment.key}.log", "".join(lines), 0o600)


def _error(environment: Environment, failures: list[Failed]) -> VerifyError:
    first = failures[0]
    return VerifyError(
        f"the environment does not pass `{first.check}`",
        found=[*first.detail.splitlines()[-8:], *(f.check for f in failures[1:])],
        hint=first.hint
        or "remove the environment's folder and run the same command again; "
        f"it is {environment.path}",
    )


def _kept(folder: Path, now: str) -> Report | None:
    """The proof that is there, where no installed file has changed since."""
    try:
        if (folder / STAMP).read_text("utf-8") != now:
            return None
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Report)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError):
        return None


def stamp(folder: Path) -> str:
    """A digest of the name, size, time and place of every file below ``bin`` and ``lib``.

    What Python compiles is left out. It tells that a file was written, not what is in it.
    """
    whole = hashlib.sha256()
    for top in ("bin", "lib"):
        for line in _lines(str(folder / top)):
            whole.update(line.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _lines(top: str) -> Iterator[str]:
    waiting = [top]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    waiting.append(entry.path)
                continue
            about = entry.stat(follow_symlinks=False)
            yield f"{entry.path}\0{about.st_size}\0{about.st_mtime_ns}\0{about.st_ino}\n"
