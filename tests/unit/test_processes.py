"""What other people's programs are started with."""

from __future__ import annotations

from sartor.processes import SECRETS, child_environment


def test_secrets_stay_here() -> None:
    given = dict.fromkeys(SECRETS, "secret") | {"HOME": "/h", "HF_HOME": "/c"}
    assert child_environment(given) == {"HOME": "/h", "HF_HOME": "/c"}
