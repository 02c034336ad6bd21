"""What the index that a wheel came from says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.verdict.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.verdict.case import Case


def yanked(case: Case) -> Iterator[Finding]:
    """Those who published a wheel have taken it back, for the reason that the index gives."""
    for file, reason in case.yanked.items():
        text = f"those who published `{file}` have taken it back: {reason}"
        yield Finding(code="yanked", severity="warning", text=text)
