"""What locks keep of the facts that rules went by."""

from __future__ import annotations

import hashlib

from sartor import facts


def test_each_file_of_facts_has_a_digest() -> None:
    found = facts.digests()
    assert {"gpus.toml", "engines/vllm.toml"} <= found.keys()
    data = (facts.FOLDER / "gpus.toml").read_bytes()
    assert found["gpus.toml"] == hashlib.sha256(data).hexdigest()
