"""Candidates and what stands against them, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sartor.plan.model import Rejected, Tried


def name_of(tried: Tried) -> str:
    """``vllm 0.32.0 (published)``."""
    one = tried.candidate
    return (
        f"{one.engine} {one.version} ({one.line})" if one.version else f"{one.engine} ({one.line})"
    )


def reason(rejection: Rejected) -> str:
    """A rejection in one line."""
    hint = f" ({rejection.hint})" if rejection.hint else ""
    return f"{rejection.rule}: wanted {rejection.wanted}; found {rejection.found}{hint}"
