"""An environment that may not be written: the way out is of that, and not of Sartor's folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from sartor.errors import FolderNotWritableError
from sartor.paths import not_writable
from sartor.reporter import Silent
from sartor.slimming import environment

if TYPE_CHECKING:
    from pathlib import Path


def test_an_environment_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *_: object) -> NoReturn:
        raise not_writable(path, PermissionError(13, "Permission denied", str(path)))

    monkeypatch.setattr(environment, "waiting_lock", refused)
    with pytest.raises(FolderNotWritableError) as caught, environment.locked(tmp_path, Silent()):
        pass
    assert "SARTOR_HOME" not in str(caught.value.hint)
    assert "--dry-run" in str(caught.value.hint)
