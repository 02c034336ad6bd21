"""What locks keep of the facts that rules went by."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sartor import facts

if TYPE_CHECKING:
    import pytest


def test_each_file_of_facts_has_a_digest() -> None:
    found = facts.digests()
    assert {"gpus.toml", "engines/vllm.toml"} <= found.keys()
    data = (facts.FOLDER / "gpus.toml").read_bytes()
    assert found["gpus.toml"] == hashlib.sha256(data).hexdigest()


def test_one_digest_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    before = facts.digest()
    assert len(before) == 64
    monkeypatch.setattr(facts, "digests", lambda: {"gpus.toml": "0" * 64})
    assert facts.digest() != before
