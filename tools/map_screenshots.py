"""Photograph the map in Chromium: `python tools/map_screenshots.py [--page FILE] [--out FOLDER]`.

The landing state and the answer to *what runs on an RTX 5090 with driver 570*, reached by two
clicks, at the width of a desktop and of a phone, on light and dark ground.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser import NEEDED, Page, find_chromium  # noqa: E402

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
CLICKS = ('label:has(input[value="rtx-5090"])', 'label:has(input[value="570"])')


def photograph(program: str, page: Path, out: Path) -> list[Path]:
    """The files that were written."""
    written = []
    with Page(program) as tab:
        for name, (width, height) in SIZES.items():
            for ground in ("light", "dark"):
                tab.size(width, height, dark=ground == "dark", phone=name == "phone")
                tab.open(page)
                written.append(out / f"map-{name}-{ground}.png")
                written[-1].write_bytes(tab.screenshot())
                for click in CLICKS:
                    tab.click(click)
                tab.wait("!document.getElementById('result').hidden")
                tab.ask("document.getElementById('ask').scrollIntoView()")
                written.append(out / f"map-{name}-{ground}-answer.png")
                written[-1].write_bytes(tab.screenshot())
    return written


def main() -> int:
    """Write the pictures; 1 where there is no Chromium."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--page", type=Path, default=ROOT / "docs/map.html")
    options.add_argument("--out", type=Path, default=ROOT / "docs/images")
    asked = options.parse_args()
    program = find_chromium()
    if program is None:
        print(f"no Chromium here: {NEEDED}", file=sys.stderr)
        return 1
    asked.out.mkdir(parents=True, exist_ok=True)
    for path in photograph(program, asked.page.resolve(), asked.out):
        print(f"{path} {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
