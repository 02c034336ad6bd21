"""Torch's operators against float64: the program of grade *golden*.

``device``: ``cuda`` or ``cpu``.
"""

from __future__ import annotations

from sartor_checks import (
    Check,
    Settings,
    torch_attention,
    torch_convolution,
    torch_elements,
    torch_linalg,
    torch_order,
    torch_products,
    torch_random,
)
from sartor_checks.torch_numbers import Golden, golden_checks

MODULES = (
    torch_products,
    torch_convolution,
    torch_attention,
    torch_elements,
    torch_order,
    torch_random,
    torch_linalg,
)


def goldens() -> list[Golden]:
    """Every operator that is checked, on whatever device."""
    return [golden for module in MODULES for golden in module.goldens()]


def checks(settings: Settings) -> list[Check]:
    """Those of the device."""
    return golden_checks(goldens(), settings["device"])
