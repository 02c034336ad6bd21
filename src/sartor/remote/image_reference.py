"""Names of images in registries, as docker, podman and skopeo write them.

After the grammar of `github.com/distribution/reference`. ``docker://`` says that an image is meant.
Without it a name is one only where it can be nothing else: it begins with a registry's host
(``ghcr.io/a/b``), or has a tag or a digest after a ``/`` (``vllm/vllm-openai:v0.11.0``).
"""

from __future__ import annotations

import re

import msgspec

from sartor.errors import UsageError
from sartor.facts.registries import default_registry, registries

SCHEME = "docker://"
PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
HOST = rf"(?:{LABEL}(?:\.{LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
REFERENCE = re.compile(
    rf"(?:(?P<host>{HOST})/)?(?P<path>{PART}(?:/{PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?",
    re.ASCII,
)
CERTAIN_HOST = re.compile(r".*:\d+|localhost|\[.*\]|\d+\.\d+\.\d+\.\d+|.*\.[A-Za-z]{2,}", re.ASCII)
"""With a port, an address, or a name that ends as one of the Internet does."""
FILE_LIKE = re.compile(r".*\.(so(\.\d+)*|whl|cubin|fatbin|ptx|zip|tar|gz|tgz|zst|toml|json)")
MOST = 4096
HOW = "an image is written `docker://registry/name:tag`, or `docker://registry/name@sha256:...`"


class ImageReference(msgspec.Struct, frozen=True):
    """An image in a registry. ``registry`` is as people call it, ``host`` its server."""

    registry: str
    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def wanted(self) -> str:
        """What its manifest is asked for by: the digest, else the tag."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        ends = f"@{self.digest}" if self.digest else f":{self.tag or 'latest'}"
        return f"{self.registry}/{self.repository}{ends}"


def named_image(text: str, *, begins_there: bool) -> ImageReference | None:
    """The image that a target names beyond doubt, or None.

    ``begins_there``: its first part is a file or folder here, so that it may be a path. Raises
    `UsageError` where ``docker://`` is followed by no name.
    """
    if text.startswith(SCHEME):
        return parse_image(text.removeprefix(SCHEME))
    match = REFERENCE.fullmatch(text) if len(text) <= MOST else None
    if match is None or begins_there or "/" not in text:
        return None
    pinned = bool(match["tag"] or match["digest"])
    host = _host(text)
    if not pinned and (host is None or FILE_LIKE.fullmatch(text)):
        return None
    if host is not None and not CERTAIN_HOST.fullmatch(host):
        return None
    return parse_image(text)


def may_be_image(text: str) -> bool:
    """Whether ``docker://`` before it would make it the name of an image."""
    return len(text) <= MOST and REFERENCE.fullmatch(text) is not None


def parse_image(text: str) -> ImageReference:
    """The image that a name without its scheme means; raises `UsageError`."""
    host = _host(text)
    rest = text if host is None else text[len(host) + 1 :]
    match = REFERENCE.fullmatch(f"x.y/{rest}") if len(text) <= MOST else None
    if match is None or (host is not None and not re.fullmatch(HOST, host, re.ASCII)):
        raise UsageError("what follows `docker://` is no name of an image", hint=_why(text))
    repository, tag, digest = match["path"], match["tag"], match["digest"]
    row = next((r for r in registries() if (host or "").lower() in r.names), None)
    if host is not None and row is None:
        return ImageReference(host, host, repository, tag, digest)
    row = row or default_registry()
    if "/" not in repository:
        repository = f"{row.official}/{repository}"
    return ImageReference(row.names[0], row.host, repository, tag, digest)


def _host(text: str) -> str | None:
    """The registry that a name begins with, as docker tells one from a namespace."""
    first, slash, _ = text.partition("/")
    is_host = "." in first or ":" in first or first == "localhost" or first.lower() != first
    return first if slash and is_host else None


def _why(text: str) -> str:
    if "@" in text.partition("/")[0]:
        return f"credentials are kept by `docker login` or `podman login`; {HOW}"
    if text.lower() != text:
        return f"the name before the tag has small letters alone; {HOW}"
    return HOW
