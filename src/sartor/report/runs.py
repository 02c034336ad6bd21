"""The runs of this user as a table of text."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from sartor.report.command import command
from sartor.report.table import table

if TYPE_CHECKING:
    from sartor.serve.model import RunState


def status_lines(runs: list[RunState], now: datetime.datetime | None = None) -> list[str]:
    """One line for each run, with what to do about those that do not run."""
    if not runs:
        return [f"nothing runs; `{command()} up` starts something"]
    now = now or datetime.datetime.now(datetime.UTC)
    rows = [["RUN", "STATE", "MODEL", "ENGINE", "URL", "SINCE", "PID"]]
    for run in runs:
        state = run.state
        if run.exit_status is not None:
            state = f"ended ({run.exit_status})"
        engine = f"{run.engine} {run.version}"
        since = _age(now - datetime.datetime.fromisoformat(run.started_at))
        rows.append([run.id, state, run.model, engine, run.url, since, str(run.pid or "")])
    lines = table(rows)
    lines += [f"{run.id}: environment {run.environment}" for run in runs]
    if any(run.state in {"lost", "ended"} for run in runs):
        sartor = command()
        lines.append(f"`{sartor} logs RUN` shows why a run ended; `{sartor} stop` cleans up")
    if any(run.state == "elsewhere" for run in runs):
        lines.append("elsewhere: on another machine or in another container; stop it there")
    return lines


def _age(span: datetime.timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
