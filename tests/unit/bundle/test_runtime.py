"""What goes with a stack: an index that does not answer is no wheel that is missing."""

from __future__ import annotations

import pytest

from sartor.bundle.runtime import refuse_unreached
from sartor.errors import IndexUnreachableError
from sartor.index.files import IndexFile
from sartor.plan.known import Listing

MET = IndexUnreachableError("the index is not reached", hint="check the network")


def test_an_index_that_does_not_answer_is_said_as_that() -> None:
    silent = Listing("", "uv", "not reached", why=MET.message, error=MET.document())
    with pytest.raises(IndexUnreachableError) as told:
        refuse_unreached([Listing("", "click", "reached"), silent])
    assert told.value.document() == MET.document()


def test_what_is_kept_of_an_index_is_enough() -> None:
    kept = [IndexFile("uv-1.0-py3-none-any.whl", "https://index.example/uv", sha256="0" * 64)]
    refuse_unreached(
        [Listing("", "uv", "not reached", files=kept, why="earlier", error=MET.document())]
    )
    refuse_unreached([Listing("", "uv", "reached")])
