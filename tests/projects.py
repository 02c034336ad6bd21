"""Projects of small wheels on loopback indexes, for whatever resolves and lists them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wheelserver import WheelServer, make_wheel, serving_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

FOREIGN = ("PIP_", "UV_", "SARTOR_")


def wheel(
    name: str,
    version: str,
    requires: Sequence[str] = (),
    tags: str = "py3-none-any",
    python: str = "",
) -> dict[str, bytes]:
    """One wheel, by its name."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {python}"] if python else []
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    data = make_wheel({}, name, version, metadata="\n".join([*lines, "", ""]).encode())
    return {f"{name}-{version}-{tags}.whl": data}


@contextmanager
def publishing(*files: dict[str, bytes], uploaded: str | None = None) -> Iterator[WheelServer]:
    """An index of these files, with their METADATA beside them (PEP 658)."""
    every = {name: data for group in files for name, data in group.items()}
    with serving_wheels({}) as server:
        publish(server, every, uploaded)
        yield server


def publish(server: WheelServer, files: dict[str, bytes], uploaded: str | None = None) -> None:
    """Add files to an index."""
    for name, data in files.items():
        stated: dict[str, object] = {"size": len(data)}
        if name.endswith(".whl"):
            server.metadata[name] = metadata_of(data)
            stated["core-metadata"] = {"sha256": hashlib.sha256(metadata_of(data)).hexdigest()}
        if uploaded:
            stated["upload-time"] = uploaded
        server.stated[name] = stated
    server.files |= files


def metadata_of(data: bytes) -> bytes:
    """The METADATA in a wheel."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA")))


def simple(server: WheelServer) -> str:
    """What UV_DEFAULT_INDEX takes."""
    return f"{server.address}/simple"


def pages(server: WheelServer) -> list[str]:
    """The projects whose pages were asked for, in their order."""
    return [s.path.split("/")[2] for s in server.seen if s.path.startswith("/simple/")]


def isolate(monkeypatch: pytest.MonkeyPatch, folder: str, variables: dict[str, str]) -> None:
    """No package configuration but these variables; uv's cache in a folder."""
    import os

    for name in [*os.environ]:
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    own = {"HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_CONFIG_DIRS": folder}
    own |= {"PIP_CONFIG_FILE": os.devnull, "UV_CACHE_DIR": f"{folder}/uv", "UV_HTTP_RETRIES": "0"}
    own |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "UV_PYTHON_DOWNLOADS": "never"}
    for name, value in (own | variables).items():
        monkeypatch.setenv(name, value)
