"""A wheel's RECORD held against its members by Python's own `zipfile`, `csv` and `hashlib`."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def record_faults(path: Path) -> list[str]:
    """What is wrong: a file without a row, a row without a file, another hash or size."""
    with zipfile.ZipFile(path) as archive:
        files = {n: archive.read(n) for n in archive.namelist() if not n.endswith("/")}
    (own,) = (name for name in files if name.endswith(".dist-info/RECORD"))
    rows = list(csv.reader(io.StringIO(files[own].decode(), newline="")))
    faults = [f"{row[0]}: no file" for row in rows if row[0] not in files]
    listed = [row[0] for row in rows]
    faults += [f"{name}: {listed.count(name)} rows" for name in files if listed.count(name) != 1]
    for name, told, size in rows:
        if name in files and name != own:
            digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest())
            if (told, size) != (f"sha256={digest.decode().rstrip('=')}", str(len(files[name]))):
                faults.append(f"{name}: {told}, {size}")
    return faults


def rows(path: Path) -> list[bytes]:
    """The lines of the RECORD, with their ends."""
    with zipfile.ZipFile(path) as archive:
        (own,) = (n for n in archive.namelist() if n.endswith(".dist-info/RECORD"))
        return archive.read(own).splitlines(keepends=True)
