"""What was slimmed before, to some GPUs: what is gone of it cannot be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.slim.choice import Wanted


def lost(gpus: Sequence[str], wanted: Wanted, *, keep_ptx: bool) -> str | None:
    """What is wanted and cannot be there where all but ``gpus`` was left out; None: nothing."""
    gone = [gpu for gpu in wanted.gpus if gpu not in gpus]
    if gone:
        return f"what {', '.join(gone)} would load is gone"
    return "PTX for later GPUs is gone" if wanted.keep_ptx and not keep_ptx else None


def told(name: str, gpus: Sequence[str], what: str) -> str:
    """``what`` is lost, of a wheel or package that was slimmed to ``gpus``, in a sentence."""
    return f"`{name}` was slimmed before, to {', '.join(gpus)}: {what}"
