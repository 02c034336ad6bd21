"""Small valid inputs for the fuzzers, of every format that `sartor inspect` reads."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import zstandard

DATA = Path(__file__).resolve().parent / "data"
INFO = "demo-1.0.dist-info"
METADATA = b"""Metadata-Version: 2.4
Name: demo
Version: 1.0+cu130
Requires-Python: >=3.10
Requires-Dist: torch==2.11.0
Requires-Dist: nvidia-cuda-runtime ; extra == "gpu"

Text, and more text.
"""
WHEEL = b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp310-abi3-manylinux_2_28_x86_64\n"
RECORD = b'demo/a.so,sha256=x,4\n"demo/b,c.so",,\ndemo-1.0.dist-info/RECORD,,\n'
PARTS = b"\n--- next file ---\n"
"""Between the three texts of the seeds of metadata."""


def files(*suffixes: str) -> list[bytes]:
    """The committed files with these suffixes, earlier findings included."""
    found = [*(DATA / "fatbin").iterdir(), *(DATA / "regressions").glob("*")]
    return [path.read_bytes() for path in sorted(found) if path.suffix in suffixes]


def containers() -> list[bytes]:
    """Fatbins, and two of them with padding between."""
    plain = files(".fatbin")
    return [*plain, plain[0] + b"\0" * 24 + plain[1]]


def metadata() -> list[bytes]:
    """METADATA, WHEEL and RECORD in one."""
    return [PARTS.join([METADATA, WHEEL, RECORD])]


def small_library() -> bytes:
    return (DATA / "fatbin" / "library.so").read_bytes()


def wheels() -> list[bytes]:
    """A wheel in each of the ways in which members are written."""
    return [zipped(zipfile.ZIP_STORED), zipped(zipfile.ZIP_DEFLATED), zipped(None)]


def zipped(method: int | None) -> bytes:
    """A wheel; None: as a stream, sizes after the data."""
    made = io.BytesIO()
    out = _Unseekable(made) if method is None else made
    with zipfile.ZipFile(out, "w", method or zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("demo/a.so", small_library())
        archive.writestr("demo/k.fatbin", (DATA / "fatbin" / "zstd.fatbin").read_bytes())
        for name, data in (("METADATA", METADATA), ("WHEEL", WHEEL), ("RECORD", RECORD)):
            archive.writestr(f"{INFO}/{name}", data)
    return made.getvalue()


class _Unseekable(io.RawIOBase):
    """Writes on, and cannot go back."""

    def __init__(self, to: io.BytesIO) -> None:
        self._to = to

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        assert isinstance(data, (bytes, bytearray, memoryview))
        return self._to.write(data)


def tarred(content: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as out:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return made.getvalue()


def layers() -> list[bytes]:
    """Layers of an image: PAX, GNU, ustar, with long names and whiteouts, packed and not."""
    content = {
        "usr/lib/a.so": small_library(),
        "usr/lib/" + "x" * 180 + "/b.so": b"\x7fELF",
        f"site-packages/{INFO}/METADATA": METADATA,
        "usr/lib/.wh.c.so": b"",
        "opt/.wh..wh..opq": b"",
    }
    plain = [tarred(content), tarred(content, tarfile.GNU_FORMAT)]
    return [*plain, gzip.compress(plain[0]), zstandard.ZstdCompressor().compress(plain[1])]


def images() -> list[bytes]:
    """What `docker save` writes: an OCI layout in a tar archive."""
    return [image(layer) for layer in (layers()[0], layers()[2])]


def image(layer: bytes) -> bytes:
    """A layout with one layer."""
    blobs = {}

    def add(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    packed = "+gzip" if layer.startswith(b"\x1f\x8b") else ""
    plain = gzip.decompress(layer) if packed else layer
    ids = [f"sha256:{hashlib.sha256(plain).hexdigest()}"]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": ids},
    }
    manifest = {
        "schemaVersion": 2,
        "config": add(json.dumps(config).encode(), "config.v1+json"),
        "layers": [add(layer, f"layer.v1.tar{packed}")],
    }
    index = {
        "schemaVersion": 2,
        "manifests": [add(json.dumps(manifest).encode(), "manifest.v1+json")],
    }
    return tarred(
        {
            "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
            "index.json": json.dumps(index).encode(),
            **blobs,
        }
    )


def mangled() -> list[bytes]:
    """Names of real kernels, and some whose parts repeat parts."""
    short = b"_Z4axpyfPKfPf\n_Z5scaleIfEvPT_S0_\n_ZN3cub6detail11EmptyKernelIvEEvv"
    long = (
        b"_ZN7cutlass13device_kernelIN5flash19FlashAttnFwdCombineIN4cute5tupleIJNS3_1CILi8EEENS5_"
        b"ILi128EEEEEELi8ELi256ELi1ELb0ELb1EffNS_4arch4Sm90EEEEEvNT_6ParamsE"
    )
    doubled = b"_Z1f1PIiiE" + b"".join(b"S_I%bE" % (n * 2) for n in (b"S0_", b"S1_", b"S2_"))
    packed = b"_Z1fIJ" + b"i" * 12 + b"EEvDpDpT_"
    return [short, long, doubled, packed]
