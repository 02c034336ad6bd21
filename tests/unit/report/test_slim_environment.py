"""What is said of a slimmed environment is a command that a shell takes."""

from __future__ import annotations

import shlex

from sartor.report.slim_environment import environment_lines
from sartor.slim.environment.model import InEnvironment
from sartor.slim.model import SlimmedTarget


def test_the_way_back_is_quoted() -> None:
    result = SlimmedTarget(
        target="/my envs/ä",
        kind="environment",
        output="/my envs/ä",
        changed=True,
        bytes_before=2,
        bytes_after=1,
        environment=InEnvironment(python="3.12", undo="/my envs/ä/sartor-slim", kept_bytes=1),
    )
    said = " ".join(" ".join(environment_lines(result, dry_run=False)).split())
    command = said.split("`")[1]
    assert shlex.split(command) == ["sartor", "slim", "/my envs/ä", "--undo"]
