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
    """A ``file:`` address, or an absolute path, as a path from ``folder``.

    One that shares nothing but the root with the folder does not move with it, and stays absolute.
    """
    path = unquote(urlsplit(url).path) if url.startswith("file:") else url
    if not os.path.isabs(path) or os.path.commonpath([path, folder]) == "/":  # noqa: PTH117
        return path
    return os.path.relpath(path, folder)


def absolute(path: str, folder: PurePath) -> str:
    """The ``file:`` address of a path from ``folder``."""
    return "file://" + quote(os.path.normpath(folder / path))


def without_credentials(url: str) -> str:
    """The same address without user, password and fragment."""
    from sartor.index.sources import without_credentials as stripped

    return stripped(url.partition("#")[0])
