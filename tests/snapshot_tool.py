"""`tools/make_snapshot.py` as a module, for its tests."""

from __future__ import annotations

from project_tools import load

tool = load("make_snapshot")
