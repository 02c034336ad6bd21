"""How far a proof goes, and with what limits."""

from __future__ import annotations

import msgspec

from sartor.verify.model import GRADES, Grade


class Proving(msgspec.Struct, frozen=True, kw_only=True):
    """How far, and with what limits.

    ``jit_seconds`` is wall time for the driver's compiler: PTX that it has not come to by then is
    not checked. ``open_seconds`` is the limit for opening one library. ``keep_part``: Ctrl-C and
    SIGTERM end in a report of what was made until then; else they are raised.
    """

    asked: Grade = "golden"
    jit_seconds: float = 600.0
    open_seconds: float = 60.0
    keep_part: bool = False

    @property
    def grades(self) -> tuple[Grade, ...]:
        """The grade that was asked for, and those before it."""
        return GRADES[: GRADES.index(self.asked) + 1]
