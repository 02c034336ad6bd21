"""What `tools/make_docs.py --check` finds in documents."""

from __future__ import annotations

import runpy
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools/make_docs.py"
TEXT = """
[one](there.md#part) [two](https://example.org/x) [three](#part) [four](gone.md "Title")
[five](a%20b.md) PLACEHOLDERS
```
TRANSCRIPT
x[0](not_a_link.md)
```
answered in TRANSCRIPT_COLD s
"""


def test_placeholders_and_dead_links(tmp_path: Path) -> None:
    (tmp_path / "there.md").touch()
    (tmp_path / "a b.md").touch()
    (tmp_path / "README.md").write_text(TEXT)
    assert runpy.run_path(str(TOOL))["defects"](tmp_path / "README.md") == [
        "`TRANSCRIPT` was never filled in",
        "`TRANSCRIPT_COLD` was never filled in",
        "the link to `gone.md` leads nowhere",
    ]
