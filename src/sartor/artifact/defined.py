"""Which symbols the libraries of an environment define: asked of the files, never listed whole."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sartor.artifact.elf import Elf
from sartor.artifact.elf_symbols import SymbolTable
from sartor.artifact.source import FileSource, Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MOST_OPEN = 256
"""Files that are open at once; most systems allow 1,024."""


@contextlib.contextmanager
def symbol_tables(root: Path, paths: Iterable[str]) -> Iterator[dict[str, SymbolTable]]:
    """The symbols of libraries below ``root``, by path, as long as the block lasts.

    One that cannot be opened, or has no symbols that can be looked up, is left out, and so are
    those past `MOST_OPEN`.
    """
    with contextlib.ExitStack() as stack:
        found: dict[str, SymbolTable] = {}
        for path in paths:
            if len(found) == MOST_OPEN:
                break
            with contextlib.suppress(OSError, Invalid):
                source = stack.enter_context(FileSource(root / path, path))
                found[path] = SymbolTable(Elf(source))
        yield found
