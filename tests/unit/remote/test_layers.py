"""Layers that are read at a time say what layers say that are read one after the other."""

from __future__ import annotations

import hashlib
import io
import tarfile
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sartor.artifact.image import ImageMembers, tar_layer
from sartor.artifact.oci import stored_layer
from sartor.artifact.reading import Progress, Walk
from sartor.artifact.source import BytesSource, Invalid
from sartor.remote.layers import LayersReading

if TYPE_CHECKING:
    from sartor.artifact.device_code import Names
    from sartor.artifact.oci import Layer

PTX = b".version 8.%d\n.target sm_%d\n.address_size 64\n"
Member = tuple[str, str, str | None, int]


def names(_: str) -> Names:
    return "none"


def packed(content: list[Member]) -> bytes:
    """A layer of files, links and signs that something is removed."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as out:
        for kind, path, target, number in content:
            folder, _, name = path.rpartition("/")
            prefix = f"{folder}/" if folder else ""
            info, data = tarfile.TarInfo(path), b""
            if kind == "file":
                data = b"Name: x\nVersion: %d\n" % number if "METADATA" in path else b""
                data = data or PTX % (number % 8, 70 + number)
            elif kind == "link":
                info.type, info.linkname = tarfile.LNKTYPE, target or ""
            elif kind == "hide":
                info.name = f"{prefix}.wh.{name}"
            elif kind == "clear":
                info.name = f"{prefix}.wh..wh..opq"
            else:
                info.type = tarfile.DIRTYPE
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return made.getvalue()


def layer(number: int, data: bytes) -> Layer:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return stored_layer(f"layer {number}", BytesSource(data, "layer"), digest)


paths = st.sampled_from(
    ["a.ptx", "b.ptx", "d", "d/a.ptx", "d/b.ptx", "d/c.txt", "d/x-1.dist-info/METADATA", "e/a.ptx"]
)
members = st.tuples(
    st.sampled_from(["file", "file", "link", "link", "hide", "clear", "folder"]),
    paths,
    paths,
    st.integers(0, 9),
)


def said(walk: Walk, notes: object) -> tuple[object, ...]:
    """What comes of it: packages last, for they add to what was not read."""
    packages = walk.packages()
    libraries = sorted(walk.libraries, key=lambda library: library.path)
    return packages, libraries, notes, walk.not_read


HARD_LINKED: list[Member] = [
    ("file", "d/a.ptx", None, 1),
    ("link", "d/b.ptx", "d/a.ptx", 0),
    ("link", "e/a.ptx", "d/a.ptx", 0),
]


@example([HARD_LINKED, [("hide", "d/a.ptx", None, 0)]])
@example([HARD_LINKED, [("hide", "d", None, 0)]])
@example([HARD_LINKED[1:], [("file", "d/b.ptx", None, 2)]])
@settings(max_examples=400)
@given(st.lists(st.lists(members, max_size=6), max_size=4))
def test_they_say_the_same(contents: list[list[Member]]) -> None:
    layers = [layer(number, packed(content)) for number, content in enumerate(contents)]
    one_by_one = ImageMembers(layers, [], lambda: None)
    expected = Walk(names, Progress(), "image")
    expected.over(one_by_one)
    walk = Walk(names, Progress(), "image")
    reading = LayersReading(walk, nullcontext, lambda: None)
    reading.read([tar_layer(layer) for layer in layers])
    assert said(walk, reading.not_read) == said(expected, one_by_one.not_read)


def test_one_bad_layer_ends_all() -> None:
    good = [layer(n, packed([("file", f"{n}.ptx", None, 1)])) for n in range(12)]
    bad = good[4]._replace(digest=f"sha256:{'0' * 64}")
    left: list[bool] = []
    reading = LayersReading(
        Walk(names, Progress(), "image"), nullcontext, lambda: left.append(True)
    )
    with pytest.raises(Invalid, match="another digest"):
        reading.read([tar_layer(layer) for layer in (*good[:4], bad, *good[5:])])
    assert left == [True]
