"""Small wheels for tests of slimming: real libraries that nvcc made, between texts."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from typing import TYPE_CHECKING

from slim_maker import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "units-1.0-py3-none-manylinux_2_17_x86_64.whl"
INFO = "units-1.0.dist-info"
TIMES = (2021, 3, 4, 5, 6, 8)


def library() -> bytes:
    """A library with translation units for several GPUs."""
    return (DATA / "units.so").read_bytes()


def row(path: str, data: bytes) -> str:
    """A file's row in RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}"


def contents(name: str = "units", extra: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """The files of a wheel without its RECORD, in their order."""
    info = f"{name}-1.0.dist-info"
    return {
        f"{name}/__init__.py": b"# a package\n" * 50,
        f"{name}/units.so": library(),
        f"{name}/plain.bin": bytes(range(256)) * 40,
        **(extra or {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
        + b"Requires-Python: >=3.8\n\nA text.\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: false\n"
        b"Tag: py3-none-manylinux_2_17_x86_64\n",
    }


def write_wheel(
    path: Path,
    files: Mapping[str, bytes] | None = None,
    *,
    record: bytes | None = None,
    methods: Mapping[str, int] | None = None,
) -> Path:
    """A wheel of these files; ``record`` is another than the right one, ``methods`` but deflate."""
    files = contents() if files is None else files
    info = next(name for name in files if name.endswith("/METADATA")).partition("/")[0]
    own = f"{info}/RECORD"
    rows = "".join(f"{row(name, data)}\n" for name, data in files.items())
    record = f"{rows}{own},,\n".encode() if record is None else record
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, own: record}.items():
            entry = zipfile.ZipInfo(name, TIMES)
            entry.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
            method = (methods or {}).get(name, zipfile.ZIP_DEFLATED)
            archive.writestr(entry, data, method, 9 if method == zipfile.ZIP_DEFLATED else None)
    return path


def read_wheel(path: Path) -> dict[str, bytes]:
    """The files of a wheel as the standard library reads them, each held against its checksum."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}
