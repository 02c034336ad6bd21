"""Stand-in until the branch lands."""

from __future__ import annotations

from typing import Any

import msgspec

from sartor.plan.decision import Decision
from sartor.plan.outcome import Compile, PlannedFeature, Sizes, SystemPackage


class Closure(msgspec.Struct, frozen=True):
    decisions: list[Decision] = []
    features: list[PlannedFeature] = []
    first_use_compiles: list[Compile] = []
    sizes: Sizes | None = None
    system_packages: list[SystemPackage] = []
    env: dict[str, str] = {}
    grades: dict[str, str] = {}
    cuda: dict[str, str] = {}
    not_checked: list[str] = []


def closure(*_: Any) -> Closure:
    return Closure()
