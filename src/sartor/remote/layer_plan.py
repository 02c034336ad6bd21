"""Which layers of an image need not be fetched, as far as can be told without fetching them.

Pure functions of what an image declares of a layer (its history) and of a look at the layer's
beginning and end. Nothing here proves that a layer holds no library: who skips one says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.image import WHITEOUT
from sartor.artifact.members import matters, shown
from sartor.facts.registries import data_suffixes, library_places
from sartor.paths import human_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.oci import Step
    from sartor.artifact.tar import TarMember

COPIED = re.compile(r"(?:/bin/sh -c )?(?:#\(nop\) )?\s*(?:COPY|ADD)\s+(?P<words>\S.*)", re.DOTALL)
COMMENT = re.compile(r"\s+#\s*buildkit\s*$")
ODD = re.compile(r"[$\"'\[\]\\*]|<<")
MOST_DECLARED = 4096
SMALL, LARGE = 1 << 20, 64 << 20
"""Layers that are fetched in any case; those that are looked at whatever made them."""
LARGE_FILE = 1 << 20
"""A file that makes a layer one of data, where it has the name of such."""
MOST_REST = 10 << 10
"""What a tar may have after its last file: it is filled up to so many bytes."""
BLOCK = 512
FOUR_GIB = 1 << 32


class Look(NamedTuple):
    """The first members of a layer, in their order, and the size of the plain layer modulo 4 GiB.

    ``plain_size`` is None where the layer does not say it. ``fetched`` is what the look has cost.
    """

    members: list[TarMember]
    plain_size: int | None
    fetched: int


def declared(history: Sequence[Step] | None, layers: int) -> list[str | None]:
    """How each layer was made, as the image declares it; None where it does not say."""
    made = [step.created_by for step in history or () if not step.empty_layer]
    return [text[:MOST_DECLARED] for text in made] if len(made) == layers else [None] * layers


def destination(created_by: str) -> str | None:
    """The folder or file that a layer was copied to, from the image's root; None: not certain."""
    match = COPIED.fullmatch(COMMENT.sub("", created_by))
    if match is None or ODD.search(match["words"]):
        return None
    words = match["words"].split()
    last = words[-1] if len(words) > 1 else ""
    if not last.startswith("/") or ".." in last.split("/"):
        return None
    return "/".join(part for part in last.split("/") if part not in ("", "."))


def may_hold_libraries(path: str) -> bool:
    """Whether libraries are usual under a path, from the image's root, or in a folder above."""
    inside = f"{path}/" if path else ""
    return not path or any(
        inside.startswith(f"{place}/") or f"{place}/".startswith(inside)
        for place in library_places()
    )


def worth_a_look(created_by: str | None, size: int) -> bool:
    """Whether a look at a layer of ``size`` bytes may spare more than it costs."""
    if size < SMALL:
        return False
    if created_by is None or size >= LARGE:
        return True
    to = destination(created_by)
    return to is not None and not may_hold_libraries(to)


def why_skip(created_by: str | None, look: Look) -> str | None:
    """Why a layer is not fetched, in words; None: it has to be.

    One file that fills it up; or a copy to where no libraries are usual; or, where the image says
    nothing of the layer, weights or data at its beginning.
    """
    files = [m for m in look.members if m.kind != "folder"]
    if not files or any(matters(path_of(m)) or not _is_plain(m) for m in files):
        return None
    first = ", ".join(_named(m) for m in files[:2])
    if _is_filled(look):
        return f"it has {'this file' if len(files) == 1 else 'these files'} and no more: {first}"
    to = destination(created_by) if created_by else None
    usual = any(may_hold_libraries(path_of(m)) for m in files)
    if usual or (created_by and (to is None or may_hold_libraries(to))):
        return None
    if to is not None and all(_under(path_of(m), to) for m in look.members):
        return f"its image declares that it was copied to `/{to}`, and it begins with {first}"
    data = [m for m in files if m.size >= LARGE_FILE and path_of(m).endswith(data_suffixes())]
    if created_by is None and data:
        return f"it begins with {first}"
    return None


def path_of(member: TarMember) -> str:
    """A member's path from the image's root."""
    return member.path.removeprefix("./").strip("/")


def _is_plain(member: TarMember) -> bool:
    """Whether it is a file or a link to one, and is no sign that something below is removed."""
    name = path_of(member).rpartition("/")[2]
    return member.kind in ("file", "symlink") and not name.startswith(WHITEOUT)


def _is_filled(look: Look) -> bool:
    """Whether the layer's plain size leaves no room for another file of any size."""
    last = look.members[-1]
    end = last.offset + -(-last.size // BLOCK) * BLOCK
    if look.plain_size is None:
        return False
    return (look.plain_size - end) % FOUR_GIB <= MOST_REST


def _under(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/") or f"{folder}/".startswith(f"{path}/")


def _named(member: TarMember) -> str:
    return f"`{shown(path_of(member))}` ({human_bytes(member.size)})"
