"""For all rings: no example of Hypothesis has to be quick, for machines are shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("sartor", deadline=None)
settings.load_profile("sartor")
