"""What `facts/memory.toml` says of an engine: its defaults, and what it takes besides the model."""

from __future__ import annotations

from functools import cache
from typing import Literal

from sartor.facts import Fact, read_table
from sartor.fit.model import Bound
from sartor.host.names import gpu_fact
from sartor.models.shape import Grade

MIB = 1 << 20
GIB = 1 << 30


class LimitFact(Fact, frozen=True):
    """An engine's defaults. ``batched`` tokens and ``sequences`` of one step are for GPUs of
    ``large_from_gib`` GiB on (``large``; not those ``never_large``), the others, and the CPU.

    ``graph_sizes`` is how many sizes of a step are captured as CUDA graphs. ``second_runner`` names
    the mixtures that vLLM runs, like all dense models, with its second model runner.
    """

    name: str
    block: dict[str, int]
    batched: dict[str, int]
    sequences: dict[str, int]
    large_from_gib: int = 0
    never_large: list[str] = []
    graph_sizes: int = 0
    second_runner: list[str] = []


class OverheadFact(Fact, frozen=True):
    """One thing that takes memory: from ``least`` to ``most``, in ``unit``."""

    engine: str
    what: str
    unit: Literal["MiB", "bytes", "share"]
    least: float
    likely: float
    most: float
    grade: Grade

    def times(self, size: float) -> Bound:
        """So many of it, in bytes."""
        unit = MIB if self.unit == "MiB" else 1
        numbers = (int(n * unit * size) for n in (self.least, self.likely, self.most))
        return Bound.of(numbers, self.grade)


@cache
def limits(engine: str) -> LimitFact | None:
    """The defaults of ``engine``; None where nothing is known of it."""
    rows = read_table("memory.toml", "engine", LimitFact)
    return next((row for row in rows if row.name == engine), None)


def usable(name: str, memory_bytes: int) -> Bound:
    """What of a GPU's memory a program can have: by product where measured, else by its class."""
    product = gpu_fact(name)
    kind = f"usable of {product.klass}" if product else "usable"
    rows = {row.what: row for row in read_table("memory.toml", "overhead", OverheadFact)}
    row = rows.get(f"usable of {name}") or rows.get(kind) or rows["usable"]
    return row.times(memory_bytes)


@cache
def overhead(engine: str, what: str) -> OverheadFact:
    """The row for ``what``; raises `LookupError` where the facts have none."""
    rows = read_table("memory.toml", "overhead", OverheadFact)
    found = next((row for row in rows if (row.engine, row.what) == (engine, what)), None)
    if found is None:
        raise LookupError(f"facts/memory.toml has no overhead `{what}` of {engine}")
    return found
