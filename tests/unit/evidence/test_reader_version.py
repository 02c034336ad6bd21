"""`READER_VERSION` has to be raised when readers say something else of the same bytes."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import msgspec

from sartor.artifact.reading import read_evidence
from sartor.evidence.row import READER_VERSION

FATBIN = Path(__file__).parents[2] / "data/fatbin"
SAID = Path(__file__).parent / "said.json"
FILES = sorted(p for p in FATBIN.iterdir() if p.suffix not in {".sh", ".cu", ".toml"})
COMMAND = "python tests/unit/evidence/test_reader_version.py"


def said() -> dict[str, str]:
    """A digest of what is read of each file, with all names."""
    found = {}
    for path in FILES:
        evidence = msgspec.structs.replace(read_evidence(path, lambda _: "all"), target=path.name)
        found[path.name] = hashlib.sha256(msgspec.json.encode(evidence)).hexdigest()[:16]
    return found


def test_readers_say_what_they_said() -> None:
    """Where they do not: rows in stores and snapshots are old, and their number has to say so."""
    known = json.loads(SAID.read_text("utf-8"))
    hint = f"readers changed: raise READER_VERSION in src/sartor/evidence/row.py, then `{COMMAND}`"
    assert known == {"reader": READER_VERSION, "said": said()}, hint


if __name__ == "__main__":
    document = {"reader": READER_VERSION, "said": said()}
    SAID.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    sys.exit(0)
