"""A kernel for Triton, which reads it from this file."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

BLOCK = 128


# Triton compiles the annotations too: it takes none but its own.
@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _add_one(x, count, block: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0) * block + tl.arange(0, block)
    tl.store(x + at, tl.load(x + at, mask=at < count) + 1, mask=at < count)


def add_one(x: Any) -> None:
    """Add one to each element, in place."""
    _add_one[(triton.cdiv(x.numel(), BLOCK),)](x, x.numel(), BLOCK)
