"""`sartor inspect` on container images: what a container would see is what is judged."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from images import (
    FORMS,
    SITE,
    Layers,
    by_buildah,
    by_hand,
    gzipped,
    image,
    layout,
    tar_of,
    write_files,
)
from sartor_cli import Sartor, isolated_variables, kept_besides_evidence
from wheels import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor_cli import Document

REQUIREMENT = "bitsandbytes==0.50.2"
KEPT, REMOVED = "libbitsandbytes_cuda130.so", "libbitsandbytes_cuda132.so"
GPUS = ("--gpu", "h200", "--gpu", "rtx-5090", "--driver", "580.95")


@pytest.fixture(scope="module")
def layers() -> Layers:
    """A package with two libraries; above it one is replaced by the other, which is removed."""
    with zipfile.ZipFile(wheel(REQUIREMENT)) as archive:
        lower = {
            f"{SITE}/{name}": archive.read(name)
            for name in archive.namelist()
            if ".dist-info/" in name or name.endswith((KEPT, REMOVED))
        }
    folder = f"{SITE}/bitsandbytes"
    upper = {f"{folder}/{KEPT}": lower[f"{folder}/{REMOVED}"]}
    return Layers(lower, upper, f"{folder}/{REMOVED}")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sartor]:
    """`sartor` with a home of its own: inspecting writes nothing but evidence."""
    folder = tmp_path_factory.mktemp("image")
    sartor = Sartor(folder / "home", folder, isolated_variables(folder))
    yield sartor
    assert kept_besides_evidence(sartor.home) == []


@pytest.fixture(scope="module")
def seen(layers: Layers, quiet: Sartor, tmp_path_factory: pytest.TempPathFactory) -> Document:
    """What is printed of a folder that holds what a container of the image would."""
    folder = write_files(layers.merged(), tmp_path_factory.mktemp("merged"))
    return quiet.json("inspect", str(folder), *GPUS)


@pytest.mark.parametrize("maker", [by_buildah, by_hand])
def test_every_form_is_what_a_container_sees(
    maker: object, layers: Layers, seen: Document, quiet: Sartor, tmp_path: Path
) -> None:
    assert callable(maker)
    places = maker(layers, tmp_path)
    if places is None:
        pytest.skip("there is no buildah here, or no root: only images written by hand were read")
    manifests = [f for f in (places["zstd"] / "blobs/sha256").iterdir() if f.stat().st_size < 4096]
    assert any(b"tar+zstd" in manifest.read_bytes() for manifest in manifests)
    (library,) = seen["libraries"]
    assert library["path"] == f"{SITE}/bitsandbytes/{KEPT}"
    assert library["soname"] == REMOVED  # the upper layer's
    for form in FORMS:
        document = quiet.json("inspect", str(places[form]), *GPUS)
        assert document["kind"] == "image"
        for key in ("libraries", "features"):
            assert document[key] == seen[key], (form, key)
        assert [p["name"] for p in document["packages"]] == ["bitsandbytes"]
        assert document["not_checked"] == []


@pytest.mark.parametrize("form", FORMS)
def test_bytes_that_do_not_have_their_digest(
    form: str, layers: Layers, quiet: Sartor, tmp_path: Path
) -> None:
    """The largest file by far is a layer; one bit of it is turned."""
    place = by_hand(layers, tmp_path)[form]
    blobs = sorted((f for f in place.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
    target = blobs[-1] if blobs else place
    data = bytearray(target.read_bytes())
    data[len(data) // 3] ^= 1
    target.write_bytes(data)
    error = quiet.run("inspect", str(place), "--json").failed("artifact-unreadable", 14)
    (found,) = error["found"]
    assert "at offset 0x" in found
    assert any(word in error["message"] for word in ("digest", "inflated", "zstd", "bytes"))


def test_a_digest_alone_is_enough_to_refuse(layers: Layers, quiet: Sartor, tmp_path: Path) -> None:
    """The layer is a sound one, of the same size, under the name of another."""
    files = layout([image([tar_of(layers.merged())], bytes, "none")])
    name = max(files, key=lambda path: len(files[path]))
    files[name] = files[name][:-1] + b"\1"
    error = quiet.run("inspect", str(write_files(files, tmp_path / "image")), "--json").failed(
        "artifact-unreadable", 14
    )
    assert "digest" in error["message"]
    assert name.rpartition("/")[2] in error["found"][0]


def test_several_platforms(layers: Layers, quiet: Sartor, tmp_path: Path) -> None:
    both = [
        image([tar_of(files)], gzipped, "gzip", platform)
        for files, platform in ((layers.upper, "linux/arm64"), (layers.lower, "linux/amd64"))
    ]
    place = str(write_files(layout(both), tmp_path / "image"))
    document = quiet.json("inspect", place)
    assert len(document["libraries"]) == 2  # linux/amd64, where none is named
    assert ["linux/arm64" in fault["why"] for fault in document["not_checked"]] == [True]
    document = quiet.json("inspect", place, "--platform", "linux/arm64")
    assert len(document["libraries"]) == 1
    error = quiet.run("inspect", place, "--platform", "linux/s390x", "--json").failed(
        "artifact-unreadable", 14
    )
    assert {line.rpartition(" ")[2] for line in error["found"]} == {"linux/arm64", "linux/amd64"}
    assert "--platform" in error["hint"]
