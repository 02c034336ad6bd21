"""The system's own Python is left as it is; an environment that was made of it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sartor.errors import NotSlimmableError
from sartor.slimming.system import MARK, refuse_system
from sartor.verify.subject.interpreter import Interpreter

if TYPE_CHECKING:
    from pathlib import Path


def interpreter(prefix: str, base: str, *path: str) -> Interpreter:
    return Interpreter(
        version="3.12.1",
        prefix=prefix,
        base_prefix=base,
        site=[],
        markers={},
        free_threaded=False,
        path=list(path),
    )


def test_what_is_managed_by_others(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("[externally-managed]")
    with pytest.raises(NotSlimmableError, match="PEP 668") as caught:
        refuse_system(interpreter("/opt/python", "/opt/python", str(tmp_path)))
    assert "venv" in str(caught.value.hint)
    refuse_system(interpreter("/home/me/env", "/opt/python", str(tmp_path)))


def test_what_belongs_to_the_distribution(tmp_path: Path) -> None:
    with pytest.raises(NotSlimmableError, match="distribution"):
        refuse_system(interpreter("/usr", "/usr", str(tmp_path)))
    refuse_system(interpreter("/usr/local", "/usr/local", str(tmp_path)))
