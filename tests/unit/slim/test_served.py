"""What is said of libraries that have nothing for a GPU."""

from __future__ import annotations

import pytest

from sartor.slim.library.model import LeftAlone, SlimmedLibrary, Tally
from sartor.slim.served import served_notes
from sartor.verdict.model import Target


def library(path: str, *, nothing_for: list[str], arch: str | None = "sm_90") -> SlimmedLibrary:
    return SlimmedLibrary(
        path=path,
        gpus=[Target("sm_61", "6.1")],
        keep_ptx=False,
        changed=False,
        bytes_before=1,
        bytes_after=1,
        nothing_for=nothing_for,
        images=[] if arch is None else [Tally(kind="cubin", arch=arch)],
        left_alone=[LeftAlone(code="layout", why="nothing points to it")],
    )


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (library("b.so", nothing_for=[], arch="sm_61"), "other libraries serve it"),
        (library("b.so", nothing_for=["sm_61"]), "nothing else that was read is for it"),
        (library("b.so", nothing_for=[], arch=None), "nothing else that was read is for it"),
    ],
)
def test_others_serve_a_gpu_only_where_one_has_an_image_for_it(
    other: SlimmedLibrary, said: str
) -> None:
    [note] = served_notes([library("a.so", nothing_for=["sm_61"]), other])
    assert "a.so" in note
    assert note.endswith(said)
