"""The root of all errors that Sartor expects, its JSON document, and hints of names that are close.

The errors themselves stand in `sartor.errors`, where all of this is imported from as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class ErrorDocument(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.error/1"):
    """What ``--json`` prints on stdout instead of a result when a command fails."""

    code: str
    message: str
    exit_code: int
    found: list[str] = []
    hint: str | None = None
    log: str | None = None


class SartorError(Exception):
    """The root of all expected errors.

    ``message`` says what happened in one sentence, ``found`` lists what was seen (one line each),
    ``hint`` says what to do next, ``log`` names the file that holds the whole story.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    summary: ClassVar[str] = "an error that has no code of its own"

    def __init__(
        self,
        message: str,
        *,
        found: Iterable[str] = (),
        hint: str | None = None,
        log: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.found = list(found)
        self.hint = hint
        self.log = log

    def document(self) -> ErrorDocument:
        """The error as its JSON document."""
        return ErrorDocument(
            code=self.code,
            message=self.message,
            exit_code=self.exit_code,
            found=self.found,
            hint=self.hint,
            log=self.log,
        )


def from_document(document: ErrorDocument) -> SartorError:
    """The error of which that is the document, to be raised where it was not met."""
    kinds = {kind.code: kind for kind in _kinds(SartorError)}
    kind = kinds.get(document.code, SartorError)
    return kind(document.message, found=document.found, hint=document.hint, log=document.log)


def _kinds(kind: type[SartorError]) -> Iterator[type[SartorError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def closest(name: str, known: Iterable[str], most: int = 3, cutoff: float = 0.5) -> list[str]:
    """The names among ``known`` that ``name`` was probably meant to be, best first.

    ``cutoff`` is how alike they must be, from 0 to 1; short names want more.
    """
    import difflib

    return difflib.get_close_matches(name.lower(), list(known), n=most, cutoff=cutoff)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that offers the closest known names, or None where nothing is close."""
    names = closest(name, known)
    return f"did you mean {' or '.join(f'`{n}`' for n in names)}?" if names else None
