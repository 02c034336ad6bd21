"""A proof that is broken off: what was made is reported, or the interruption goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sartor.errors import InterruptedBySignal
from sartor.host.model import Host
from sartor.reporter import Silent
from sartor.verify import statics
from sartor.verify.loads import checks as loads
from sartor.verify.model import NotChecked, Passed
from sartor.verify.proof import prove
from sartor.verify.proving import Proving
from sartor.verify.resolves import checks as resolves
from subjects import subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.verify.model import Outcome

DONE = Passed(check="a hash", grade="resolves")
OPENED = Passed(check="a library", grade="loads")


@pytest.fixture(params=[KeyboardInterrupt, InterruptedBySignal("ended by SIGTERM")])
def interrupted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first grade comes to its end, the second does not."""

    def resolve(_: object, found: Callable[[Outcome], None], __: object) -> dict[str, str]:
        found(DONE)
        return {"lib/a.so": "0" * 64}

    def load(*given: object) -> None:
        found = given[-1]
        assert callable(found)
        found(OPENED)
        raise request.param

    monkeypatch.setattr(resolves, "check_resolves", resolve)
    monkeypatch.setattr(statics, "static_outcomes", lambda *_: [])
    monkeypatch.setattr(loads, "check_loads", load)


@pytest.mark.usefixtures("interrupted")
def test_what_was_made_is_reported() -> None:
    report = prove(subject("cpu"), Host(), Proving(keep_part=True), Silent())
    assert report.grade == "resolves"
    assert report.files == {"lib/a.so": "0" * 64}
    assert all(made in report.outcomes for made in (DONE, OPENED))
    left = [o for o in report.outcomes if isinstance(o, NotChecked)]
    assert [o.grade for o in left] == ["loads", "launches", "golden"]
    assert all(o.why == "the proof was broken off" for o in left)


@pytest.mark.usefixtures("interrupted")
def test_it_goes_on_where_others_clean_up() -> None:
    with pytest.raises((KeyboardInterrupt, InterruptedBySignal)):
        prove(subject("cpu"), Host(), Proving(), Silent())
