"""Each reader of `sartor inspect` as a function of bytes, for fuzzers and for what they found.

Whatever the bytes, only `Invalid` and `SartorError` may come out of one.
"""

from __future__ import annotations

import tempfile
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import inspect_seeds as seeds
from sartor.artifact import cubin, demangle, device_code, fatbin, payload, ptx, speculate
from sartor.artifact.demangled_size import demangled_size
from sartor.artifact.image import ImageMembers, archive_image
from sartor.artifact.library import read_library
from sartor.artifact.metadata import read_package
from sartor.artifact.oci import stored_layer
from sartor.artifact.reading import read_evidence
from sartor.artifact.source import BytesSource, Invalid
from sartor.artifact.stream import StreamedSource
from sartor.artifact.zip import ZipMembers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.artifact.members import Members

TAR_BLOCK = 512
MOST_SHOWN = 4 << 20


def walk_fatbin(data: bytes) -> None:
    """Containers, payloads, names."""
    source = BytesSource(data, "fuzz.fatbin")
    for found in fatbin.containers(source, 0, len(data)):
        if isinstance(found, Invalid):
            continue
        for entry in found.entries:
            with suppress(Invalid):
                plain = payload.plain_payload(source, entry)
                assert len(plain) <= entry.plain
                if entry.kind == fatbin.Kind.PTX:
                    ptx.read_ptx(plain)
    device_code.read_device_code(source, "fuzz", [device_code.Part(0, len(data))], "all")


def read_cubin(data: bytes) -> None:
    """Symbols and notes."""
    source = BytesSource(data, "fuzz.cubin")
    for reader in (cubin.kernel_names, cubin.origin, cubin.architecture):
        with suppress(Invalid):
            reader(source)


def read_text(data: bytes) -> None:
    """PTX, and the names in it in plain form."""
    ptx.looks_like_ptx(data)
    names = ptx.read_ptx(data).kernels
    assert all(len(plain) <= MOST_SHOWN for plain in demangle.demangle(names).values())


def read_elf(data: bytes) -> None:
    """Facts of a library, and its device code."""
    read_library(BytesSource(data, "fuzz.so"), "fuzz.so", "all")


def read_zip(data: bytes) -> None:
    """Directory and members."""
    read_all(ZipMembers(BytesSource(data, "fuzz.whl")))


def read_image(data: bytes) -> None:
    """An image's archive."""
    read_all(archive_image(BytesSource(summed(data), "fuzz.tar"), None, lambda: None))


def read_layer(data: bytes) -> None:
    """One layer, whose digest is right: what a registry may serve."""
    data = summed(data)
    digest = f"sha256:{sha256(data).hexdigest()}"
    layer = stored_layer("layer", BytesSource(data, "layer"), digest)
    read_all(ImageMembers([layer], [], lambda: None))


def summed(data: bytes) -> bytes:
    """A tar archive whose headers' checksums are right again, or else nothing behind them is read.

    Every fourth input is left as it is.
    """
    if len(data) % 4 == 3:
        return data
    found = bytearray(data)
    for at in range(0, len(data) - TAR_BLOCK + 1, TAR_BLOCK):
        if found[at + 257 : at + 262] == b"ustar":
            found[at + 148 : at + 156] = b" " * 8
            found[at + 148 : at + 156] = b"%06o\0 " % sum(found[at : at + TAR_BLOCK])
    return bytes(found)


def read_all(members: Members) -> None:
    """Every file, to its end."""
    with closing(members):
        for _, source in members.walk(bool):
            with suppress(Invalid):
                source.read(0, min(source.size, 1 << 20))
                read_library(source, "fuzz.so", "all")


def read_texts(data: bytes) -> None:
    """A distribution's metadata."""
    texts = [*data.split(seeds.PARTS, 2), None, None]
    read_package(seeds.INFO, texts[0], texts[1], texts[2], file_name="demo-1.0-py3-none-any.whl")


def read_stream(data: bytes) -> None:
    """What is kept of a stream is what went by; and it reads like the bytes."""
    size = 997 if len(data) < (8 << 10) else 4099
    found = speculate.Speculation(len(data))
    for at in range(0, len(data), size):
        found.feed(at, data[at : at + size])
    for at in range(0, len(data), 64):
        kept = found.spans.find(at, 16)
        assert kept is None or kept == data[at : at + 16]

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(data), size):
            yield data[at : at + size]

    streamed = StreamedSource(pieces, len(data), "fuzz")
    plain = outcome(lambda: read_library(BytesSource(data, "fuzz"), "fuzz", "none"))
    assert outcome(lambda: read_library(streamed, "fuzz", "none")) == plain


def outcome(read: Callable[[], object]) -> object:
    """What comes back, or what is wrong."""
    try:
        return read()
    except Invalid as fault:
        return str(fault)


def read_file(data: bytes) -> None:
    """The whole way from a file."""
    with tempfile.TemporaryDirectory(prefix="fuzz", dir="/dev/shm") as folder:
        path = Path(folder) / "target.whl"
        path.write_bytes(data)
        read_evidence(path, lambda _: "all")


def read_names(data: bytes) -> None:
    """C++ names, one a line."""
    names = data.decode("utf-8", "surrogateescape").split("\n")
    for name, plain in demangle.demangle(names).items():
        size = demangled_size(name)
        assert len(plain) <= (MOST_SHOWN if size is None else max(size, len(name)))


class Target(NamedTuple):
    """A reader, and valid inputs of it."""

    run: Callable[[bytes], None]
    corpus: Callable[[], list[bytes]]


TARGETS = {
    "fatbin": Target(walk_fatbin, seeds.containers),
    "cubin": Target(read_cubin, lambda: seeds.files(".cubin")),
    "ptx": Target(read_text, lambda: seeds.files(".ptx")),
    "names": Target(read_names, seeds.mangled),
    "elf": Target(read_elf, lambda: seeds.files(".so", ".o", ".cubin")),
    "zip": Target(read_zip, seeds.wheels),
    "image": Target(read_image, seeds.images),
    "layer": Target(read_layer, seeds.layers),
    "metadata": Target(read_texts, seeds.metadata),
    "stream": Target(read_stream, lambda: [*seeds.containers(), *seeds.files(".so")]),
    "file": Target(
        read_file,
        lambda: [
            *seeds.wheels(),
            *seeds.images(),
            *seeds.files(".so", ".fatbin", ".ptx", ".cubin"),
        ],
    ),
}
