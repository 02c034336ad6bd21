"""Which stored formats and dtypes engines serve on which GPUs: `facts/quantisation.toml`."""

from __future__ import annotations

from functools import cache

from sartor.facts import Fact, read_table
from sartor.facts.versions import within_versions

FILE = "quantisation.toml"


class QuantisationFact(Fact, frozen=True):
    """A format that an engine reads. ``least`` is a compute capability; empty: no reader for it.

    ``methods`` are values of ``quant_method``; ``algorithm`` is what its ``quant_algo`` or scheme
    begins with (None: whatever it is). From ``native`` on the GPU computes in the format; below,
    the weights alone are kept in it (None: not told apart).
    """

    engine: str
    methods: list[str]
    versions: str
    least: str
    native: str | None = None
    algorithm: str | None = None
    note: str | None = None


class DtypeFact(Fact, frozen=True):
    """A dtype that an engine computes in from a compute capability on.

    ``fallback`` is what it takes instead below, by itself, and ``families`` what it takes of
    models of these types, which float16 does not hold; ``option`` asks for the former.
    """

    engine: str
    dtype: str
    versions: str
    least: str
    fallback: str | None = None
    option: str | None = None
    families: dict[str, str] = {}


@cache
def quantisations() -> tuple[QuantisationFact, ...]:
    """Every format."""
    return read_table(FILE, "quantisation", QuantisationFact)


@cache
def dtypes() -> tuple[DtypeFact, ...]:
    """Every dtype."""
    return read_table(FILE, "dtype", DtypeFact)


def formats_of(engine: str, version: str) -> list[QuantisationFact]:
    """The rows of a release of an engine."""
    return [
        row
        for row in quantisations()
        if row.engine == engine and (not row.versions or within_versions(row.versions, version))
    ]


def dtype_of(engine: str, version: str, dtype: str) -> DtypeFact | None:
    """What is known of a dtype in a release of an engine."""
    return next(
        (
            row
            for row in dtypes()
            if row.engine == engine
            and row.dtype == dtype
            and (not row.versions or within_versions(row.versions, version))
        ),
        None,
    )
