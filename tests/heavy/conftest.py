"""The heavy ring is run by hand; it uses the integration ring's driver of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sartor_cli import Sartor, leftovers, user_variables, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("heavy") / "home"


@pytest.fixture
def sartor(home: Path, tmp_path: Path) -> Iterator[Sartor]:
    """`sartor` with a home for the module; nothing may run when the test ends."""
    found = Sartor(home, tmp_path, user_variables())
    yield found
    found.run("stop", "--all")
    wait_until(lambda: not leftovers(found.home), 60)
