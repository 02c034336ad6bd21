"""Where indexes are: as the facts have it, unless the user names another address for one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sartor import facts
from sartor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Addresses:
    """The addresses of ``--index``: ``ID=ADDRESS`` stands in place of a maker's index, another
    address is asked beside the user's own indexes. Raises `UsageError`."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        known = {row.id: row.url for row in facts.indexes()}
        self.further: list[str] = []
        self._known = known
        for word in given:
            name, _, address = word.partition("=")
            if name in known:
                self._known = self._known | {name: _checked(address, word)}
            else:
                self.further.append(_checked(word, word))

    @property
    def all(self) -> list[str]:
        """All that the user gave."""
        own = {row.id: row.url for row in facts.indexes()}
        return [*self.further, *(url for name, url in self._known.items() if own[name] != url)]

    def of(self, index: str) -> str:
        """The address of an index by its id; of none that is known, what is given."""
        return self._known.get(index, index)


def _checked(address: str, word: str) -> str:
    if urlsplit(address).scheme not in {"http", "https", "file"}:
        raise UsageError(
            f"`--index {word}` is no address of an index",
            hint="the form is `https://host/simple`, or `ID=https://host/simple` with an ID of "
            "`facts/indexes.toml` (`pytorch-cu128`)",
        )
    return address
