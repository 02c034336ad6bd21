"""The proof that `sartor up` asks for: as far as *loads*, made once for each environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import VerifyError
from sartor.paths import write_atomically
from sartor.verify.model import Report
from sartor.verify.proof import Proving, prove
from sartor.verify.subject import subject_of

if TYPE_CHECKING:
    from sartor.build.model import Environment
    from sartor.host.model import Host
    from sartor.reporter import Reporter

RECORD = "sartor-report.json"


def verified(environment: Environment, host: Host, reporter: Reporter) -> Report:
    """Prove ``environment`` as far as *loads*, or return the proof that is there already.

    Raises `VerifyError` where a check fails; the report is kept only where none does.
    """
    record = Path(environment.path) / RECORD
    try:
        return msgspec.json.decode(record.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        pass
    report = prove(subject_of(environment), host, Proving(asked="loads"), reporter)
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
