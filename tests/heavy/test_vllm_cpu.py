"""vLLM on the CPU (a third party's build): the safetensors demo model, and a folder by its path."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import openai
import pytest

import sartor_cli
from sartor.models.demo import write_demo_safetensors
from sartor_cli import client

if TYPE_CHECKING:
    from pathlib import Path

    from sartor_cli import Document, Sartor

MINUTES_10 = 600.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sartor_cli, "SECONDS", MINUTES_10)


def say(endpoint: Document, text: str, tokens: int, key: str = "none") -> int:
    """How many tokens the model answers."""
    with client(endpoint, key) as api:
        reply = api.chat.completions.create(
            model=endpoint["model"],
            messages=[{"role": "user", "content": text}],
            max_tokens=tokens,
        )
    assert reply.usage is not None
    return reply.usage.completion_tokens


def test_a_safetensors_folder_is_served_by_vllm(sartor: Sartor, tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    write_demo_safetensors(folder)
    given = sartor.having(SARTOR_API_KEY="a-key-of-mine")
    endpoint = given.json("up", "--model", str(folder), "--detach", "--context", "512")
    assert (endpoint["engine"], endpoint["build"]) == ("vllm", "cpu")
    assert "third party" in endpoint["because"][0]
    assert say(endpoint, "Hello", 8, "a-key-of-mine") == 8
    with pytest.raises(openai.AuthenticationError):
        say(endpoint, "Hello", 8, "another")
    with pytest.raises(openai.BadRequestError):
        say(endpoint, "hello " * 2000, 8, "a-key-of-mine")
    assert "a-key-of-mine" not in sartor.log_texts()
    assert sartor.json("stop")["stopped"] == [endpoint["id"]]


def test_the_engine_can_be_named(sartor: Sartor) -> None:
    endpoint = sartor.json("up", "--engine", "vllm", "--detach")
    assert endpoint["demo"]
    assert say(endpoint, "Hello", 4) == 4
    shutil.rmtree(sartor.home / "models")
