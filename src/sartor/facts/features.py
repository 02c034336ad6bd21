"""The features of a distribution, at one of its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.facts.packages import facts_about
from sartor.facts.versions import within_versions

if TYPE_CHECKING:
    from sartor.facts.packages import FeatureFact


def features_of(distribution: str, version: str) -> list[FeatureFact]:
    """The features that the facts know of a distribution (a normalised name) at a version."""
    about = facts_about(distribution)
    rows = about.feature if about else []
    return [row for row in rows if within_versions(row.versions, version)]
