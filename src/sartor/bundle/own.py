"""Sartor's own wheel, out of what runs: the tree of an editable install, or an installed wheel.

The same files give the same bytes: in order, at one date, without what an installer adds.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import sartor
from sartor.artifact.record import digest_text
from sartor.errors import NotBundlableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution

NAME = "sartor"
PINS = "requirements.txt"
"""In the installed package; in the tree that is ``requirements/run.txt``."""
DATE = (1980, 1, 1, 0, 0, 0)
WHEEL = "Wheel-Version: 1.0\nGenerator: sartor bundle\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
AGAIN = "install Sartor anew: `uv tool install sartor`, or `./sartor` from its tree"


def own_wheel() -> tuple[str, bytes]:
    """The wheel of the Sartor that runs: its file name, and its bytes.

    Raises `NotBundlableError` where a file is not as it was installed.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution(NAME)
    except PackageNotFoundError as error:
        raise NotBundlableError(
            "the Sartor that runs is not installed, so that no wheel can be made of it", hint=AGAIN
        ) from error
    info = f"{NAME}-{found.version}.dist-info"
    files = {**_package_files(found), **_about(found, info)}
    return f"{NAME}-{found.version}-py3-none-any.whl", _zipped(files, f"{info}/RECORD")


def pins() -> str:
    """The versions of what Sartor needs to run, as a file of requirements with hashes."""
    package = Path(sartor.__file__).parent
    for path in (package / PINS, _tree(package) / "requirements" / "run.txt"):
        if path.is_file():
            return path.read_text("utf-8")
    raise NotBundlableError("the versions of what Sartor needs to run are not at hand", hint=AGAIN)


def refuse_python(version: str) -> None:
    """Raise `NotBundlableError` where Sartor does not run on a target's Python (``3.10``)."""
    from importlib.metadata import metadata

    from sartor.index.wheels import allows

    wanted = str(metadata(NAME).json.get("requires_python") or "")
    if not allows(wanted, version):
        raise NotBundlableError(
            f"Sartor wants Python {wanted}, and the lock is for {version}",
            hint="lock for another Python of the target: `sartor lock --python 3.12`",
        )


def _tree(package: Path) -> Path:
    """The project's folder, of a package in its ``src``."""
    return package.parent.parent


def _package_files(found: Distribution) -> dict[str, bytes]:
    """The files of the package: those of its RECORD, or of an editable install all in its tree."""
    package = Path(sartor.__file__).parent
    recorded = {str(f): f for f in found.files or [] if str(f).startswith(f"{NAME}/")}
    if f"{NAME}/__init__.py" not in recorded:
        files = {f"{NAME}/{p.relative_to(package)}": p.read_bytes() for p in _sources(package)}
        return {**files, f"{NAME}/{PINS}": pins().encode()}
    files = {}
    for name, file in recorded.items():
        if name.endswith(".pyc"):
            continue
        path = Path(str(file.locate()))
        data = path.read_bytes() if path.is_file() else b""
        if file.hash is not None and file.hash.value != _digest(data):
            raise NotBundlableError(
                f"`{path}` is not as it was installed: its sha256 is another", hint=AGAIN
            )
        files[name] = data
    return files


def _sources(package: Path) -> Iterator[Path]:
    for path in package.rglob("*"):
        inner = path.relative_to(package).parts
        if path.is_file() and not any(p.startswith(".") or p == "__pycache__" for p in inner):
            yield path


def _about(found: Distribution, info: str) -> dict[str, bytes]:
    """What says what the package is; what an installer adds is left out."""
    about = {f"{info}/WHEEL": WHEEL.encode()}
    for file in found.files or []:
        inner = str(file).partition(".dist-info/")[2]
        if inner in {"METADATA", "entry_points.txt"} or inner.startswith("licenses/"):
            about[f"{info}/{inner}"] = Path(str(file.locate())).read_bytes()
    return about


def _digest(data: bytes) -> str:
    """As a wheel's RECORD has it."""
    return digest_text(hashlib.sha256(data).digest())


def _zipped(files: dict[str, bytes], record: str) -> bytes:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for name in sorted(files):
        writer.writerow([name, f"sha256={_digest(files[name])}", len(files[name])])
    writer.writerow([record, "", ""])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in [*sorted(files.items()), (record, rows.getvalue().encode())]:
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, data)
    return out.getvalue()
