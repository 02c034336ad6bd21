"""What versions are assumed to require, as the resolver reads it."""

from __future__ import annotations

import tomllib

from sartor.catalog.request import project_file
from sartor.plan.known import Assumed, ResolveQuestion
from worlds import MACHINE


def test_versions_require_what_is_assumed() -> None:
    lines = ("certifi>=1", 'tqdm; extra == "all"')
    question = ResolveQuestion(("a==1",), MACHINE, assumed=(Assumed("a", "1", lines),))
    read = tomllib.loads(project_file(question, [], []))
    assert read["tool"]["uv"]["dependency-metadata"] == [
        {"name": "a", "version": "1", "requires-dist": list(lines)}
    ]
