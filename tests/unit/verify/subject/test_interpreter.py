"""What is no interpreter is told before it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sartor.errors import NoEnvironmentError
from sartor.verify.subject.interpreter import find_interpreter

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_that_is_no_program_is_no_environment(tmp_path: Path) -> None:
    wheel = tmp_path / "six-1.17.0-py2.py3-none-any.whl"
    wheel.touch(mode=0o644)
    with pytest.raises(NoEnvironmentError, match="is a file, and no environment") as told:
        find_interpreter(wheel)
    assert "`--env /path/to/environment`" in str(told.value.hint)


def test_an_interpreter_without_the_permission_is_an_interpreter(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.touch(mode=0o644)
    assert find_interpreter(python) == python
    program = tmp_path / "mine"
    program.touch(mode=0o755)
    assert find_interpreter(program) == program
