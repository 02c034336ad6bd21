"""Addresses in a lock: without credentials, and files relative to the lock's own folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import PurePath


def is_file(url: str) -> bool:
    """Whether it is the address of a file or folder of this machine."""
    return "://" not in url or url.startswith("file:")


def relative(url: str, folder: PurePath) -> str:
    """A ``file:`` address, or an absolute path, as a path from ``folder``."""
    path = unquote(urlsplit(url).path) if url.startswith("file:") else url
    return os.path.relpath(path, folder) if os.path.isabs(path) else path  # noqa: PTH117


def absolute(path: str, folder: PurePath) -> str:
    """The ``file:`` address of a path from ``folder``."""
    return "file://" + quote(os.path.normpath(folder / path))


def without_credentials(url: str) -> str:
    """The same address without user, password and fragment."""
    from sartor.index.sources import without_credentials as stripped

    return stripped(url.partition("#")[0])
