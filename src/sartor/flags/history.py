"""Where in the releases of a project an option or variable came and went."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sartor.flags.model import Option, OptionSet, Variable


class History:
    """The releases of one project, oldest first."""

    def __init__(self, sets: Sequence[OptionSet]) -> None:
        self.sets = sorted(sets, key=lambda s: Version(s.version))

    @cached_property
    def _options(self) -> list[dict[str, Option]]:
        return [{name: o for o in s.options for name in o.names} for s in self.sets]

    @cached_property
    def _variables(self) -> list[dict[str, Variable]]:
        return [{v.name: v for v in s.variables} for s in self.sets]

    def last_before(self, name: str, version: str) -> tuple[Option | Variable, str | None] | None:
        """The thing as it was last known before a version, and the release that first lacked it."""
        tables = self._tables(name)
        at = Version(version)
        found: Option | Variable | None = None
        gone: str | None = None
        for one, table in zip(self.sets, tables, strict=True):
            if Version(one.version) > at:
                break
            if name in table:
                found, gone = table[name], None
            elif found is not None and gone is None:
                gone = one.version
        return None if found is None else (found, gone)

    def first_after(self, name: str, version: str) -> str | None:
        """The first later release that has it."""
        tables = self._tables(name)
        for one, table in zip(self.sets, tables, strict=True):
            if Version(one.version) > Version(version) and name in table:
                return one.version
        return None

    def _tables(self, name: str) -> Sequence[Mapping[str, Option | Variable]]:
        return self._options if name.startswith("-") else self._variables

    def default_since(self, name: str, version: str) -> str | None:
        """The first release with the default that an option has in ``version``."""
        since: str | None = None
        wanted = next((t.get(name) for s, t in self._pairs() if s.version == version), None)
        for one, table in self._pairs():
            if Version(one.version) > Version(version):
                break
            option = table.get(name)
            same = option is not None and wanted is not None and same_default(option, wanted)
            since = (since or one.version) if same else None
        return since

    def _pairs(self) -> list[tuple[OptionSet, dict[str, Option]]]:
        return list(zip(self.sets, self._options, strict=True))


def same_default(one: Option, other: Option) -> bool:
    """Whether two options have the same default; of what is not told, not."""
    if one.default_unknown or other.default_unknown:
        return False
    return (one.default, one.default_text) == (other.default, other.default_text)
