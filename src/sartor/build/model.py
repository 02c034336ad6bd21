"""The `Environment`: what `build` gives and `verify` and `serve` take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.plan.model import Stack

if TYPE_CHECKING:
    from collections.abc import Mapping


class Environment(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.environment/1"):
    """A finished virtual environment. ``packages`` maps each installed project to its version.

    ``library_path`` is a folder of supplied system libraries, None where none were needed.
    ``lock`` is the pylock.toml that was installed. ``built_at`` is RFC 3339, in UTC.
    """

    key: str
    path: str
    stack: Stack
    packages: dict[str, str]
    lock: str
    built_at: str
    sartor: str
    library_path: str | None = None

    @property
    def python(self) -> Path:
        """The interpreter to start the engine with."""
        return Path(self.path) / "bin" / "python"

    def variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The variables that a program of this environment needs, over those that it inherits."""
        if self.library_path is None:
            return {}
        folders = [self.library_path, inherited.get("LD_LIBRARY_PATH", "")]
        return {"LD_LIBRARY_PATH": ":".join(filter(None, folders))}
