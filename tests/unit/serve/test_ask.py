"""What servers send back, in the shape that was agreed and in others."""

from __future__ import annotations

import pytest

from sartor.errors import ServerTimeoutError
from sartor.serve import ask

CHOICES = [{"message": {"role": "assistant", "content": " Hello. "}, "index": 0}]


def sending(monkeypatch: pytest.MonkeyPatch, *values: dict[str, object]) -> None:
    """Let a server send these one after the other."""
    answers = iter(values)
    monkeypatch.setattr(ask, "request", lambda *_: (200, next(answers)))


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, (3, 2)),
        ({"usage": None}, (0, 0)),
        ({"usage": {"prompt_tokens": None}}, (0, 0)),
        ({"usage": "much"}, (0, 0)),
        ({}, (0, 0)),
    ],
)
def test_tokens_that_are_counted_or_not(
    monkeypatch: pytest.MonkeyPatch, usage: dict[str, object], counted: tuple[int, int]
) -> None:
    sending(monkeypatch, {"choices": CHOICES, **usage})
    answer = ask.first_question("http://127.0.0.1:9/v1", None, "m", 1, "/nowhere/log")
    assert answer.text == "Hello."
    assert (answer.prompt_tokens, answer.completion_tokens) == counted


@pytest.mark.parametrize("value", [{}, {"choices": None}, {"choices": []}, {"choices": [1]}])
def test_what_is_no_answer(monkeypatch: pytest.MonkeyPatch, value: dict[str, object]) -> None:
    sending(monkeypatch, value, {"choices": [{"text": "Yes."}]})
    assert ask.first_question("http://127.0.0.1:9/v1", None, "m", 1, "log").text == "Yes."
    sending(monkeypatch, value, value)
    with pytest.raises(ServerTimeoutError) as raised:
        ask.first_question("http://127.0.0.1:9/v1", None, "m", 1, "log")
    assert raised.value.found


@pytest.mark.parametrize("value", [{}, {"data": None}, {"data": [{"id": 1}]}, {"data": ["m"]}])
def test_lists_of_models_that_are_none(
    monkeypatch: pytest.MonkeyPatch, value: dict[str, object]
) -> None:
    sending(monkeypatch, value)
    assert not ask.ready("http://127.0.0.1:9/v1", None, "m")
