"""How the wheel-variant proposals name what a wheel is for: `facts/variants.toml`, read once."""

from __future__ import annotations

from functools import cache

from sartor.facts import Fact, read_table

FILE = "variants.toml"


class VariantFact(Fact, frozen=True):
    """The form of ``variant.json``, and the property that is a GPU's architecture.

    ``value`` is the property's for a compute capability, which stands for ``{number}``.
    """

    schema_url: str
    namespace: str
    feature: str
    value: str


@cache
def variant_format() -> VariantFact:
    """The form that is written."""
    (row,) = read_table(FILE, "variant", VariantFact)
    return row
