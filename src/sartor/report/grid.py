"""A table whose columns are many: cells that break into lines, blocks that break into more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "


class Column(msgspec.Struct, frozen=True):
    """One column. A cell is a list of words, for one line or for one line each; what stands in
    parentheses follows without a comma, and goes without them on a line of its own. The words of
    ``head`` always stand below each other; ``stacked``: those of the cells too.
    """

    head: list[str]
    cells: list[list[str]]
    right: bool = False
    stacked: bool = False

    def width(self, *, broken: bool) -> int:
        """How wide the column is, with its cells on one line each or broken."""
        broken = broken or self.stacked
        lines = [line for cell in self.cells for line in lines_of(cell, broken=broken)]
        return max(map(len, [*self.head, *lines]), default=0)


def lines_of(cell: list[str], *, broken: bool) -> list[str]:
    """A cell's lines."""
    if broken:
        return [word[1:-1] if word.startswith("(") else word for word in cell]
    return [", ".join(cell).replace(", (", " (")] if cell else []


def grid(left: Sequence[Column], columns: Sequence[Column], width: int) -> list[str]:
    """The table in ``width`` characters, if it can be: blocks of ``columns``, ``left`` before each.

    All columns have the same number of cells. One column is never broken into two blocks.
    """
    used = total(left, broken=False)
    blocks = in_blocks(columns, max(width - used - len(GAP), 1))
    lines: list[str] = []
    for block in blocks or [[]]:
        broken = used + len(GAP) + total(block, broken=False) > width
        lines += [""] if lines else []
        lines += _block([(c, False) for c in left] + [(c, broken) for c in block])
    return lines


def total(columns: Sequence[Column], *, broken: bool) -> int:
    """The width of columns beside each other."""
    return sum(c.width(broken=broken) for c in columns) + len(GAP) * max(len(columns) - 1, 0)


def in_blocks(columns: Sequence[Column], room: int) -> list[list[Column]]:
    """The columns in as few blocks of at most ``room`` characters as can be, evenly filled."""
    for blocks in range(1, len(columns) + 1):
        size = -(-len(columns) // blocks)
        parts = [list(columns[n : n + size]) for n in range(0, len(columns), size)]
        if size == 1 or all(total(part, broken=True) <= room for part in parts):
            return parts
    return []


def _block(columns: list[tuple[Column, bool]]) -> list[str]:
    widths = [column.width(broken=broken) for column, broken in columns]
    heads = max(len(column.head) for column, _ in columns)
    rows = [[[""] * (heads - len(c.head)) + c.head for c, _ in columns]]
    rows.append([["-" * width] for width in widths])
    rows += [
        [lines_of(c.cells[number], broken=b or c.stacked) for c, b in columns]
        for number in range(len(columns[0][0].cells))
    ]
    sides = [column.right for column, _ in columns]
    return [line for row in rows for line in _row(row, widths, sides)]


def _row(cells: list[list[str]], widths: list[int], right: list[bool]) -> list[str]:
    lines = []
    for number in range(max(map(len, cells), default=0)):
        words = [cell[number] if number < len(cell) else "" for cell in cells]
        padded = [
            word.rjust(width) if to_right else word.ljust(width)
            for word, width, to_right in zip(words, widths, right, strict=True)
        ]
        lines.append(GAP.join(padded).rstrip())
    return lines
