"""llama.cpp's checks: the demo model in each type, against the reference; and what is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from sartor.errors import IndexUnreachableError, SartorError
from sartor.host.model import Host
from sartor.index.uv import run_uv
from sartor.reporter import Silent
from sartor.verify.child import run
from sartor.verify.model import Failed, NotChecked, Passed
from sartor.verify.runs.engines import engine_programs
from sartor.verify.subject.model import Subject

if TYPE_CHECKING:
    from sartor.verify.child import Program
    from sartor.verify.model import Outcome

KINDS = ("F32", "F16", "Q8_0")


def python_with(folder: Path, *projects: str) -> Path:
    """The interpreter of an environment made by the user's own configuration."""
    python, log = folder / "env" / "bin" / "python", folder / "log"
    try:
        run_uv(["venv", str(folder / "env")], log, Silent(), what="making an environment")
        arguments = ["pip", "install", "--no-build", "--python", str(python), *projects]
        run_uv(arguments, log, Silent(), what="installing")
    except SartorError as error:
        pytest.skip(f"NOT CHECKED: {projects} cannot be had here: {error}")
    return python


def program(python: Path, folder: Path, *more: str) -> Program:
    """The program for an environment with xllamacpp, and with ``more`` projects."""
    subject = Subject(
        path=python.parents[1],
        python=python,
        python_version="",
        site=[],
        packages=dict.fromkeys(["xllamacpp", *more], ""),
        accelerator="cpu",
    )
    (found,) = engine_programs(subject, Host(), folder)
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("llama"), "xllamacpp", "numpy")


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.check: outcome for outcome in outcomes}


def part(outcome: Outcome) -> float:
    """The error of a check that was made, in parts of its bound."""
    assert isinstance(outcome, Passed | Failed)
    assert outcome.measured is not None
    assert outcome.measured.error is not None
    return outcome.measured.error / outcome.measured.bound


def test_each_type_runs_and_answers_as_the_reference_does(python: Path, tmp_path: Path) -> None:
    found = by_name(run(program(python, tmp_path, "numpy")))
    runs, logits = ([f"xllamacpp {what}, {kind}" for kind in KINDS] for what in ("runs", "logits"))
    assert list(found) == runs + logits
    for outcome in found.values():
        assert isinstance(outcome, Passed), outcome
    assert all(0 < part(found[name]) < 0.6 for name in logits)


def test_a_model_with_one_matrix_spoiled_is_found_out(python: Path, tmp_path: Path) -> None:
    made = program(python, tmp_path, "numpy")
    path = Path(made.settings["models"]["F16"])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 100_000] = bytes(100_000)
    path.write_bytes(data)
    only = msgspec.structs.replace(made, settings=made.settings | {"only": ["F16"]})
    runs, logits = run(only)
    assert isinstance(runs, Passed)
    assert isinstance(logits, Failed)
    assert part(logits) > 2


def test_a_file_that_does_not_load_fails_and_leaves_nothing_to_compare(
    python: Path, tmp_path: Path
) -> None:
    made = program(python, tmp_path, "numpy")
    path = Path(made.settings["models"]["Q8_0"])
    path.write_bytes(path.read_bytes()[:100_000])
    found = by_name(run(made))
    assert isinstance(found["xllamacpp runs, Q8_0"], Failed)
    assert isinstance(found["xllamacpp logits, Q8_0"], NotChecked)
    assert isinstance(found["xllamacpp logits, F32"], Passed)


def test_numpy_is_put_beside_an_environment_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is verified stays as it is; where NumPy is not to be had nothing is proved."""
    bare = python_with(tmp_path, "xllamacpp")
    packages = sorted(p.name for p in bare.parents[1].glob("lib/python3*/site-packages/*"))
    made = program(bare, tmp_path)
    assert {type(outcome) for outcome in run(made)} == {Passed}
    assert packages == sorted(p.name for p in bare.parents[1].glob("lib/python3*/site-packages/*"))

    def unreachable(*_: object, **__: object) -> None:
        raise IndexUnreachableError("no index", hint="none")

    monkeypatch.setattr("sartor.index.uv.online_or_from_cache", unreachable)
    found = run(program(bare, tmp_path / "again"))
    assert {type(outcome) for outcome in found} == {NotChecked}
    assert {outcome.grade for outcome in found} == {"launches", "golden"}
