"""The distribution project's registry on the loopback, and a small client that pushes to it.

The server is Debian's `docker-registry`: the one that is installed, or the package's, unpacked into
the user's cache.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import requests

from sartor_cli import accepts, closed_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

USER, PASSWORD = "ada", "walnut"
HTPASSWD = f"{USER}:$2b$04$2z89ouP59nDBlBgTP.M2JOSvZS9cIkArmL2kHBtvik2MT/tJv1ley\n"
GET = re.compile(r'"GET (?P<path>\S+) HTTP/1.1" (?P<status>\d+) (?P<bytes>\d+) ')
CONFIG = """
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {data}}}
http:
  addr: 127.0.0.1:{port}
"""
WITH_LOGIN = """
auth:
  htpasswd: {{realm: loopback, path: {path}}}
"""


@cache
def registry_program() -> Path | None:
    """The server's program; None where it is neither here nor to be had."""
    found = shutil.which("docker-registry")
    if found:
        return Path(found)
    folder = Path(platformdirs.user_cache_dir("sartor-tests")) / "docker-registry"
    program = folder / "usr/bin/docker-registry"
    if not program.is_file() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["apt-get", "download", "docker-registry"], cwd=folder, check=False, capture_output=True
        )
        for package in folder.glob("docker-registry_*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    return program if program.is_file() else None


class Distribution:
    """A server that runs; ``address`` is its host and port."""

    def __init__(self, port: int, log: Path, login: tuple[str, str] | None) -> None:
        self.address = f"127.0.0.1:{port}"
        self._log = log
        self._login = login

    def sent(self) -> int:
        """Bytes of the bodies that it sent to whoever read, by its own log."""
        return sum(int(m["bytes"]) for m in GET.finditer(self._log.read_text("utf-8")))

    def push(self, layout: dict[str, bytes], repository: str, tag: str) -> str:
        """Push an OCI layout: its only image, or its index; the digest of what the tag means."""
        blobs = {path: data for path, data in layout.items() if path.startswith("blobs/")}
        index = json.loads(layout["index.json"])
        manifests = {m["digest"]: m["mediaType"] for m in index["manifests"]}
        for path, data in blobs.items():
            digest = path.removeprefix("blobs/").replace("/", ":")
            if digest not in manifests:
                self._push_blob(repository, digest, data)
        for digest, kind in manifests.items():
            data = blobs[f"blobs/{digest.replace(':', '/')}"]
            self._put_manifest(repository, digest, kind, data)
        if len(manifests) == 1:
            return self._put_manifest(repository, tag, kind, data)
        kind = index.get("mediaType", "application/vnd.oci.image.index.v1+json")
        return self._put_manifest(
            repository, tag, kind, json.dumps({**index, "mediaType": kind}).encode()
        )

    def _push_blob(self, repository: str, digest: str, data: bytes) -> None:
        start = f"http://{self.address}/v2/{repository}/blobs/uploads/"
        begun = requests.post(start, auth=self._login, timeout=30)
        begun.raise_for_status()
        done = requests.put(
            begun.headers["Location"],
            params={"digest": digest},
            data=data,
            headers={"Content-Type": "application/octet-stream"},
            auth=self._login,
            timeout=60,
        )
        done.raise_for_status()

    def _put_manifest(self, repository: str, name: str, kind: str, data: bytes) -> str:
        done = requests.put(
            f"http://{self.address}/v2/{repository}/manifests/{name}",
            data=data,
            headers={"Content-Type": kind},
            auth=self._login,
            timeout=30,
        )
        done.raise_for_status()
        return done.headers["Docker-Content-Digest"]


@contextmanager
def distribution(folder: Path, *, with_login: bool = False) -> Iterator[Distribution]:
    """A registry with nothing in it, until the block ends."""
    program = registry_program()
    assert program is not None
    port = closed_port()
    config = CONFIG.format(data=folder / "data", port=port)
    if with_login:
        (folder / "htpasswd").write_text(HTPASSWD)
        config += WITH_LOGIN.format(path=folder / "htpasswd")
    (folder / "config.yml").write_text(config)
    log = folder / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(program), "serve", str(folder / "config.yml")], stdout=out, stderr=out
        )
    try:
        wait_until(lambda: accepts("127.0.0.1", port) or server.poll() is not None)
        yield Distribution(port, log, (USER, PASSWORD) if with_login else None)
    finally:
        server.kill()
        server.wait()
