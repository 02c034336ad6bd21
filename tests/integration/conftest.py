"""A home with the environment built for all tests; after each the proof that nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from indexserver import Index, serving, wheel_of
from sartor_cli import Sartor, checked_home, isolated_variables, user_variables
from slim_envs import LIBRARIES, OTHERS, Made, made_with
from slim_maker import DATA
from venvs import small_one
from wheelserver import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SARTOR_HOME in which the demo model was served once."""
    folder = tmp_path_factory.mktemp("shared")
    sartor = Sartor(folder / "home", folder, user_variables())
    sartor.run("up", "--detach", "--json").succeeded()
    sartor.run("stop").succeeded()
    return sartor.home


@pytest.fixture
def plain(tmp_path: Path) -> Sartor:
    """`sartor`, which builds nothing here."""
    return Sartor(tmp_path / "home", tmp_path, user_variables())


@pytest.fixture
def sartor(built_home: Path, tmp_path: Path) -> Iterator[Sartor]:
    """`sartor` with everything built; nothing may be left when the test ends."""
    yield from checked_home(Sartor(built_home, tmp_path, user_variables()))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Sartor]:
    """`sartor` with an empty home and the tester's own package index."""
    yield from checked_home(Sartor(tmp_path / "home", tmp_path, user_variables()))


@pytest.fixture
def isolated(tmp_path: Path) -> Iterator[Sartor]:
    """`sartor` with an empty home, no package configuration at all and nothing in uv's cache."""
    yield from checked_home(Sartor(tmp_path / "home", tmp_path, isolated_variables(tmp_path)))


@pytest.fixture(scope="session")
def wheels(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheels that the demo model's engine was installed from."""
    (environment,) = (built_home / "environments").glob("[!.]*")
    folder = tmp_path_factory.mktemp("wheels")
    return [wheel_of(environment, "xllamacpp", folder)]


@pytest.fixture
def index(wheels: list[Path]) -> Iterator[Index]:
    """A package index of one's own, on the loopback."""
    with serving(wheels) as opened:
        yield opened


@pytest.fixture(scope="session")
def made_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    members = {name: (DATA / own).read_bytes() for name, own in LIBRARIES.items()}
    path = tmp_path_factory.mktemp("wheel") / "made-1.0-py3-none-any.whl"
    path.write_bytes(make_wheel({**members, **OTHERS}))
    return path


@pytest.fixture
def env(tmp_path: Path, made_wheel: Path) -> Made:
    return made_with(tmp_path, made_wheel)


@pytest.fixture(scope="session")
def shared_env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of a few small packages, for all tests that alter nothing in it."""
    return small_one(tmp_path_factory.mktemp("verify") / "env")


@pytest.fixture
def own_env(tmp_path: Path) -> Path:
    """An environment of a few small packages, for one test."""
    return small_one(tmp_path / "env")
