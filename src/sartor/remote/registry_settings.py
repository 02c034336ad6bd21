"""Which registries may be asked without TLS, and where they are: podman's and docker's files.

``registries.conf`` (version 2, and the lists of version 1) and ``daemon.json``. Mirrors are not
asked: what is read is what the name says.
"""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sartor.remote.image_reference import ImageReference

MOST_FILE = 1 << 20


class Server(NamedTuple):
    """Where an image is asked for. ``insecure``: the user lets it go without TLS."""

    host: str
    repository: str
    insecure: bool = False
    blocked: bool = False


def server_of(reference: ImageReference, environ: Mapping[str, str] | None = None) -> Server:
    """The server of an image, as the user's files say."""
    environ = os.environ if environ is None else environ
    insecure = any(
        _covers(entry, reference.host)
        for table in _docker_files(environ)
        for entry in _texts(table.get("insecure-registries"))
    )
    tables = list(_podman_files(environ))
    for table in tables:
        old = table.get("registries")
        for kind in ("insecure", "block"):
            listed = old.get(kind) if isinstance(old, dict) else None
            named = _texts(listed.get("registries")) if isinstance(listed, dict) else []
            if reference.registry in named and kind == "block":
                return Server(reference.host, reference.repository, blocked=True)
            insecure = insecure or reference.registry in named
    row = _row(tables, reference)
    if row is None:
        return Server(reference.host, reference.repository, insecure)
    insecure = insecure or row.get("insecure") is True
    host, repository = _located(row, reference)
    return Server(host, repository, insecure, row.get("blocked") is True)


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _row(tables: list[dict[str, object]], reference: ImageReference) -> dict[str, object] | None:
    """The `[[registry]]` with the longest prefix of the image's name."""
    name = f"{reference.registry}/{reference.repository}"
    found: dict[int, dict[str, object]] = {}
    for table in tables:
        listed = table.get("registry")
        for row in listed if isinstance(listed, list) else []:
            prefix = str(row.get("prefix") or row.get("location") or "") if row else ""
            if prefix and _begins(name, prefix):
                found[len(prefix)] = row
    return found[max(found)] if found else None


def _begins(name: str, prefix: str) -> bool:
    if prefix.startswith("*."):
        return name.partition("/")[0].endswith(prefix[1:])
    return f"{name}/".startswith(f"{prefix}/")


def _located(row: Mapping[str, object], reference: ImageReference) -> tuple[str, str]:
    location, prefix = str(row.get("location") or ""), str(row.get("prefix") or "")
    name = f"{reference.registry}/{reference.repository}"
    if not location or not prefix or prefix.startswith("*.") or location == prefix:
        return reference.host, reference.repository
    host, _, repository = (location + name[len(prefix) :]).partition("/")
    return host, repository


def _covers(entry: str, host: str) -> bool:
    """Whether docker's ``insecure-registries`` names a host, by itself or by its network."""
    if entry == host:
        return True
    try:
        address = ipaddress.ip_address(host.rpartition(":")[0] or host)
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _docker_files(environ: Mapping[str, str]) -> Iterator[dict[str, object]]:
    home = Path(environ.get("HOME", "/nonexistent"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    for path in (config / "docker/daemon.json", Path("/etc/docker/daemon.json")):
        try:
            read = json.loads(_text(path))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(read, dict):
            yield read


def _podman_files(environ: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """The user's file, or the system's, and what is beside them; the last row of a prefix wins."""
    home = Path(environ.get("HOME", "/nonexistent"))
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers"
    system = Path("/etc/containers")
    if named := environ.get("CONTAINERS_REGISTRIES_CONF"):
        paths = [Path(named)]
    else:
        files = [folder / "registries.conf" for folder in (own, system)]
        paths = [path for path in files if path.is_file()][:1]
        for folder in (system, own):
            paths += sorted((folder / "registries.conf.d").glob("*.conf"))
    for path in paths:
        try:
            yield tomllib.loads(_text(path))
        except (OSError, ValueError):
            continue


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MOST_FILE).decode()


def _texts(value: object) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []
