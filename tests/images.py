"""Container images for tests: two layers of real libraries, by buildah and by hand.

The lower layer is a package as installed; the upper one replaces one of its libraries and removes
another.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from functools import cache
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from pathlib import Path

SITE = "usr/lib/python3/dist-packages"
OCI = "application/vnd.oci.image"
FORMS = ("oci", "oci.tar", "docker.tar", "zstd")


class Layers:
    """What is in the image: files of each layer by path, and what the upper one removes."""

    def __init__(self, lower: dict[str, bytes], upper: dict[str, bytes], removed: str) -> None:
        self.lower = lower
        self.upper = upper
        self.removed = removed

    def merged(self) -> dict[str, bytes]:
        """What a container sees."""
        left = {path: data for path, data in self.lower.items() if path != self.removed}
        return left | self.upper


def write_files(files: dict[str, bytes], folder: Path) -> Path:
    """The files in a folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def by_buildah(layers: Layers, folder: Path) -> dict[str, Path] | None:
    """Every form, as buildah writes it; None where there is none, or no right to mount."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        return None

    def buildah(*words: str) -> str:
        store = ("--root", str(folder / "root"), "--runroot", str(folder / "run"))
        argv = ["buildah", "--storage-driver", "vfs", *store, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    lower = buildah("from", "scratch")
    buildah("copy", lower, str(write_files(layers.lower, folder / "lower")), "/")
    buildah("commit", "--quiet", lower, "lower")
    upper = buildah("from", "--pull-never", "lower")
    buildah("copy", upper, str(write_files(layers.upper, folder / "upper")), "/")
    mounted = folder / buildah("mount", upper)
    (mounted / layers.removed).unlink()
    buildah("umount", upper)
    buildah("commit", "--quiet", upper, "both")
    places = {form: folder / form for form in FORMS}
    buildah("push", "--quiet", "both", f"oci:{places['oci']}:both")
    buildah("push", "--quiet", "both", f"oci-archive:{places['oci.tar']}:both")
    buildah("push", "--quiet", "both", f"docker-archive:{places['docker.tar']}:both")
    zstd = ("--compression-format", "zstd")
    buildah("push", "--quiet", *zstd, "both", f"oci:{places['zstd']}:both")
    return places


def by_hand(layers: Layers, folder: Path) -> dict[str, Path]:
    """Every form, after the specifications."""
    folder_of, _, name = layers.removed.rpartition("/")
    tars = [tar_of(layers.lower), tar_of({**layers.upper, f"{folder_of}/.wh.{name}": b""})]
    places = {form: folder / form for form in FORMS}
    write_files(layout([image(tars, gzipped, "gzip")]), places["oci"])
    compress = zstandard.ZstdCompressor().compress
    write_files(layout([image(tars, compress, "zstd")]), places["zstd"])
    places["oci.tar"].write_bytes(tar_of(layout([image(tars, gzipped, "gzip")])))
    places["docker.tar"].write_bytes(tar_of(docker(tars)))
    return places


@cache
def gzipped(data: bytes) -> bytes:
    """A layer, packed fast and once."""
    return gzip.compress(data, 1, mtime=0)


def tar_of(files: dict[str, bytes]) -> bytes:
    """A tar of the files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as out:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return made.getvalue()


def blob(data: bytes) -> tuple[str, str, int]:
    """Where a blob is in a layout, its digest and its size."""
    digest = hashlib.sha256(data).hexdigest()
    return f"blobs/sha256/{digest}", f"sha256:{digest}", len(data)


def image(
    tars: list[bytes],
    compress: object,
    name: str,
    platform: str = "linux/amd64",
    history: list[dict[str, object]] | None = None,
) -> tuple[str, dict[str, bytes]]:
    """The digest of an image's manifest, and its blobs."""
    assert callable(compress)
    system, _, architecture = platform.partition("/")
    packed = [compress(tar) for tar in tars]
    rootfs = {"type": "layers", "diff_ids": [blob(tar)[1] for tar in tars]}
    made = {"os": system, "architecture": architecture, "rootfs": rootfs}
    config = json.dumps({**made, **({"history": history} if history else {})}).encode()
    suffix = "" if name == "none" else f"+{name}"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": descriptor(config, f"{OCI}.config.v1+json"),
            "layers": [descriptor(data, f"{OCI}.layer.v1.tar{suffix}") for data in packed],
        }
    ).encode()
    return blob(manifest)[1], {blob(data)[0]: data for data in (manifest, config, *packed)}


def descriptor(data: bytes, media_type: str) -> dict[str, object]:
    """How a manifest names a blob."""
    _, digest, size = blob(data)
    return {"mediaType": media_type, "digest": digest, "size": size}


def layout(images: list[tuple[str, dict[str, bytes]]]) -> dict[str, bytes]:
    """An OCI layout of images."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    manifests = []
    for digest, blobs in images:
        files |= blobs
        manifests.append(
            {
                "mediaType": f"{OCI}.manifest.v1+json",
                "digest": digest,
                "size": len(blobs[f"blobs/{digest.replace(':', '/')}"]),
            }
        )
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    return files


def docker(tars: list[bytes]) -> dict[str, bytes]:
    """What `docker save` writes."""
    digests = [blob(tar)[1] for tar in tars]
    rootfs = {"type": "layers", "diff_ids": digests}
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs}).encode()
    names = [f"{digest.partition(':')[2]}.tar" for digest in digests]
    manifest = [{"Config": "config.json", "RepoTags": ["both:latest"], "Layers": names}]
    files = {"manifest.json": json.dumps(manifest).encode(), "config.json": config}
    return files | dict(zip(names, tars, strict=True))
