"""What a page of HTML says of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pypi_simple  # noqa: F401 - urllib3 binds a socket where it is imported: not in a test
import pytest

from sartor.remote.pages import local_page

if TYPE_CHECKING:
    from pathlib import Path

LINK = '<a href="a-1.0-py3-none-any.whl"{}>a-1.0-py3-none-any.whl</a>'


@pytest.mark.parametrize(
    ("attribute", "uploaded"),
    [
        (' data-upload-time="2024-09-14T02:58:29.586942Z"', "2024-09-14T02:58:29Z"),
        (' data-upload-time="2024-09-14T02:58:29+02:00"', "2024-09-14T00:58:29Z"),
        (' data-upload-time="2024-09-14T02:58:29"', None),
        (' data-upload-time="yesterday"', None),
        (' data-upload-time=""', None),
        ("", None),
    ],
)
def test_when_a_file_was_uploaded(tmp_path: Path, attribute: str, uploaded: str | None) -> None:
    page = tmp_path / "index.html"
    page.write_text(f"<!DOCTYPE html><html><body>{LINK.format(attribute)}</body></html>")
    (file,) = local_page(page, "https://index.example/simple/a/", "a")
    assert file.uploaded == uploaded
