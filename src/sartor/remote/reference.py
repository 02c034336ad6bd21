"""What a target names: a path, a project, or an address; and what comes of reading it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.model import Evidence

if TYPE_CHECKING:
    from packaging.requirements import Requirement

ADDRESS = re.compile(r"([\w.-]+\s*(\[[^\]]*\])?\s*@\s*)?(?P<url>https?://\S+)", re.IGNORECASE)
FILE_LIKE = re.compile(r".+\.(whl|so(\.\d+)*|cubin|fatbin|ptx|zip|tar|gz|tgz|zst)", re.IGNORECASE)


class Reading(msgspec.Struct, frozen=True):
    """The evidence of one target, or of one wheel of it, and the bytes that were fetched for it.

    ``yanked`` has the wheel, and the reason, where the index says that it was taken back.
    """

    evidence: Evidence
    fetched_bytes: int | None = None
    yanked: dict[str, str] = {}


def remote_target(text: str, *, is_there: bool) -> Requirement | str | None:
    """The project, or the address, that a target names; None for a path.

    A path that is there goes before a project of that name, and `./x` is always a path, as is
    what is called like a file that is read.
    """
    if match := ADDRESS.fullmatch(text.strip()):
        return match["url"]
    if is_there or "/" in text or FILE_LIKE.fullmatch(text):
        return None
    from sartor.index.wheels import parse_requirement

    return parse_requirement(text)
