"""Talking to a server on this machine, as a client would."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import msgspec

from sartor.errors import ServerTimeoutError
from sartor.serve.model import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

QUESTION = "Say hello in one short sentence."


def request(
    url: str,
    path: str,
    key: str | None,
    body: Mapping[str, object] | None = None,
    seconds: float = 5,
) -> tuple[int, dict[str, object]]:
    """One request: its status and its JSON object (empty where the answer is none).

    Raises `OSError` or `http.client.HTTPException` where there is no answer.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        method = "GET" if body is None else "POST"
        content = None if body is None else json.dumps(body)
        connection.request(method, parts.path + path, body=content, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    try:
        value = json.loads(text)
    except ValueError:
        value = {}
    return answer.status, value if isinstance(value, dict) else {}


def ready(url: str, key: str | None, model: str) -> bool:
    """Whether the server lists ``model``: it has loaded it, knows the key, and is the right one."""
    try:
        status, value = request(url, "/models", key)
    except (OSError, http.client.HTTPException):
        return False
    if status != 200:
        return False
    listed = _as(value, _Models)
    return listed is not None and model in [entry.id for entry in listed.data]


def first_question(url: str, key: str | None, model: str, seconds: float, log: str) -> Answer:
    """Ask one question and return what came back.

    A model without a chat template is asked to complete a text instead. Raises
    `ServerTimeoutError` where nothing usable comes back.
    """
    began = time.perf_counter()
    chat = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 32}
    plain = {"model": model, "prompt": QUESTION, "max_tokens": 32}
    problem = ""
    for path, body in (("/chat/completions", chat), ("/completions", plain)):
        try:
            status, value = request(url, path, key, body, seconds)
        except (OSError, http.client.HTTPException) as error:
            problem = f"{path}: {error}"
            break
        answer = _answer(value, time.perf_counter() - began) if status == 200 else None
        if answer is not None:
            return answer
        problem = f"{path}: status {status}: {json.dumps(value)[:400]}"
    raise ServerTimeoutError(
        "the server started but did not answer a first question",
        found=[problem],
        hint="the server's log says why",
        log=log,
    )


class _Listed(msgspec.Struct, frozen=True):
    id: str


class _Models(msgspec.Struct, frozen=True):
    data: list[_Listed] = []


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message = _Message()
    text: str | None = None


class _Reply(msgspec.Struct, frozen=True):
    choices: list[_Choice]


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Counted(msgspec.Struct, frozen=True):
    usage: _Usage = _Usage()


def _as(value: dict[str, object], kind: type[T]) -> T | None:
    """The value as ``kind``; None where a server sent another shape."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _answer(value: dict[str, object], seconds: float) -> Answer | None:
    """What a server said; None where that is no answer. Tokens that it does not count are 0."""
    reply, usage = _as(value, _Reply), (_as(value, _Counted) or _Counted()).usage
    if reply is None or not reply.choices:
        return None
    said = [c.message.content or c.text or c.message.reasoning_content for c in reply.choices]
    text = next((s for s in said if s), "")
    return Answer(QUESTION, text.strip(), usage.prompt_tokens, usage.completion_tokens, seconds)
