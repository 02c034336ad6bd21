"""From a local file to its evidence, by way of the shelf: what is known is not read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.artifact.digest import file_sha256
from sartor.evidence.fingerprint import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.artifact.model import Evidence
    from sartor.artifact.reading import Names, NamesWanted, Progress
    from sartor.evidence.shelf import Shelf


class Asked:
    """``names``, with a note of what was asked for: whether all names of all libraries were."""

    def __init__(self, names: NamesWanted) -> None:
        self._names = names
        self._given: set[Names] = set()

    def __call__(self, path: str) -> Names:
        """The names that are wanted of the library at ``path``."""
        wanted = self._names(path)
        self._given.add(wanted)
        return wanted

    @property
    def level(self) -> Names:
        """`all` where nothing else was wanted of any library; else whether any names were."""
        if self._given and self._given <= {"all"}:
            return "all"
        return "none" if self._given <= {"none"} else "one"


def evidence_of(
    path: Path,
    names: NamesWanted,
    shelf: Shelf,
    progress: Progress | None = None,
    platform: str | None = None,
    *,
    again: bool = False,
) -> Evidence:
    """The evidence of what is at ``path``: of the shelf where that knows the file, else read.

    What is read of a file is put on the shelf. A file that changes while it is read is not.
    ``again``: it is read in any case. Raises what `read_evidence` raises.
    """
    before = fingerprint(path)
    if before is None:
        from sartor.artifact.reading import read_evidence

        return read_evidence(path, names, progress, platform)
    sha256 = shelf.digest(path)
    if sha256 is None and shelf.may_know(path.stat().st_size):
        sha256 = file_sha256(path)
        if sha256 is not None:
            shelf.remember(path, before.text, sha256)
    if sha256 is not None:
        if not again and (found := shelf.find(sha256, str(path), names)):
            return found
        names = shelf.widened(sha256, names)
    from sartor.artifact.reading import read_evidence

    asked = Asked(names)
    evidence = read_evidence(path, asked, progress, platform)
    after = fingerprint(path)
    if evidence.sha256 is not None and after is not None and after.text == before.text:
        shelf.remember(path, before.text, evidence.sha256)
        shelf.keep(evidence, asked.level, again=again)
    return evidence
