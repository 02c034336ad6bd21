"""Hub names as people type them: ``org/name``, ``org/name:Q4_K_M``, ``org/name/path/file.gguf``."""

from __future__ import annotations

import re

import msgspec

_PREFIXES = ("https://huggingface.co/", "huggingface.co/", "hf.co/", "hf://")
_REFERENCE = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
    r"(?: :(?P<tag>[\w.-]+) | /(?:(?:blob|resolve)/main/)?(?P<file>[^:]+\.gguf) )? /?",
    re.VERBOSE | re.ASCII,
)


class HubReference(msgspec.Struct, frozen=True):
    """A repository, and the quantization tag or the file that was named with it."""

    repository: str
    tag: str | None = None
    file: str | None = None


def parse_hub_reference(text: str) -> HubReference | None:
    """What ``text`` names on the hub; None where it cannot be a hub name.

    Pure: whether the repository exists is not asked. A path with two components that ends like
    a file (``folder/model.gguf``) is none; nor is one that starts like a path.
    """
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    match = _REFERENCE.fullmatch(text)
    if match is None or ".." in text.split("/"):
        return None
    repository, tag, file = match["repository"], match["tag"], match["file"]
    if repository.endswith((".gguf", ".safetensors")):
        return None
    return HubReference(repository, tag, file)
