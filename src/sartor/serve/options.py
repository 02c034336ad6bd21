"""Before a server is started: whether the engine's version takes what it will be given."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sartor.errors import OptionRefusedError

if TYPE_CHECKING:
    from sartor.engines.launch import Command
    from sartor.flags.model import FlagFinding
    from sartor.plan.model import Stack

REFUSED = frozenset({"unknown", "removed", "invalid", "contradicts"})
"""States with which an engine ends at its start; a default that is another now is no such thing."""


def check_options(stack: Stack, command: Command) -> None:
    """Raise `OptionRefusedError` for an option or a variable that this version does not take.

    By the options that are shipped of its releases. Nothing is said of an engine, or of a version,
    of which none are: its own first words are then what tells.
    """
    from packaging.requirements import Requirement

    from sartor.flags.facts import reader_of

    project = Requirement(stack.requirements[0]).name
    fact = reader_of(project)
    if fact is None:
        return
    from sartor.flags.check import Case, check
    from sartor.flags.command import parse_command
    from sartor.flags.history import History
    from sartor.flags.snapshot import open_snapshot

    shipped = open_snapshot()
    known = shipped.get(project, stack.version) if shipped else None
    if shipped is None or known is None:
        return
    line = parse_command(shlex.join(command.argv), known.engine)
    line = line._replace(environment=command.environment)
    found = check(line, Case(known, History(shipped.sets(project)), fact))
    wrong = [finding for finding in found.findings if finding.state in REFUSED]
    if wrong:
        raise OptionRefusedError(
            f"{stack.engine} {stack.version} does not take what it would be started with",
            found=[_said(finding) for finding in wrong],
            hint=f"`sartor flags {project}=={stack.version}` shows what it takes; "
            f"another version is asked for as `--engine '{stack.engine}==…'`",
        )


def _said(finding: FlagFinding) -> str:
    return ": ".join(filter(None, (finding.flag, finding.state, finding.because)))
