"""Images: what is visible in the image is read, once, from the bytes that its digests name."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tracemalloc
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.artifact import image, stream
from sartor.artifact.image import ImageMembers, folder_image
from sartor.artifact.members import matters
from sartor.artifact.oci import stored_layer
from sartor.artifact.source import BytesSource, Invalid
from sartor.artifact.targets import open_members
from sartor.errors import ArtifactUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEBI = 1 << 20
Content = str | bytes | None
"""Of a member: text is where a link leads, None makes a folder."""


def layer(content: dict[str, Content], hard: tuple[str, ...] = ()) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as out:
        for path, data in content.items():
            info = tarfile.TarInfo(path)
            if isinstance(data, bytes):
                info.size = len(data)
            elif data is None:
                info.type = tarfile.DIRTYPE
            else:
                info.type = tarfile.LNKTYPE if path in hard else tarfile.SYMTYPE
                info.linkname = data
            out.addfile(info, io.BytesIO(data if isinstance(data, bytes) else b""))
    return made.getvalue()


def members(*layers: bytes) -> ImageMembers:
    """An image of these, the lowest first."""
    found = [
        stored_layer(f"layer {index}", BytesSource(data, f"layer {index}"), digest(data))
        for index, data in enumerate(layers)
    ]
    return ImageMembers(found, [], lambda: None)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def contents(found: ImageMembers) -> dict[str, bytes]:
    walked = [(path, source.read(0, source.size)) for path, source in found.walk(matters)]
    assert len({path for path, _ in walked}) == len(walked)
    return dict(walked)


def test_the_uppermost_version_counts() -> None:
    lower = layer({"usr/lib/a.so": b"old", "usr/lib/b.so": b"kept"})
    upper = layer({"./usr/lib/a.so": b"new"})
    assert contents(members(lower, upper)) == {"usr/lib/a.so": b"new", "usr/lib/b.so": b"kept"}


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ({"lib/.wh.a.so": b""}, {"lib/sub/b.so", "c.so"}),
        ({"lib/.wh.sub": b""}, {"lib/a.so", "c.so"}),
        ({".wh.lib": b""}, {"c.so"}),
        ({"lib/.wh..wh..opq": b""}, {"c.so"}),
        ({"lib/.wh..wh..opq": b"", "lib/new.so": b"n"}, {"c.so", "lib/new.so"}),
        ({".wh..wh..opq": b""}, set()),
        ({"lib": b"a file now"}, {"c.so"}),
        ({"lib": "usr/lib"}, {"c.so"}),
        ({"lib/a.so": "sub/b.so"}, {"lib/sub/b.so", "c.so"}),
        ({"lib/a.so": None}, {"lib/sub/b.so", "c.so"}),
        ({"lib": None}, {"lib/a.so", "lib/sub/b.so", "c.so"}),
        ({"li/.wh..wh..opq": b"", "lib/.wh.a": b""}, {"lib/a.so", "lib/sub/b.so", "c.so"}),
    ],
)
def test_what_upper_layers_hide(upper: dict[str, Content], left: set[str]) -> None:
    lower = layer({"lib/a.so": b"a", "lib/sub/b.so": b"b", "c.so": b"c"})
    assert set(contents(members(lower, layer(upper)))) == left


def test_a_whiteout_spares_its_own_layer_and_those_above() -> None:
    bottom = layer({"lib/a.so": b"1"})
    middle = layer({"lib/a.so": b"2", "lib/.wh.a.so": b"", "lib/.wh..wh..opq": b""})
    assert contents(members(bottom, middle, layer({"b.so": b"3"}))) == {
        "lib/a.so": b"2",
        "b.so": b"3",
    }


names = st.sampled_from(["a.so", "b.so", "d", "d/a.so", "d/b.so", "d/e", "d/e/a.so"])
operations = st.dictionaries(
    st.tuples(st.sampled_from(["put", "hide", "clear"]), names), st.binary(max_size=3), max_size=5
)


@settings(max_examples=300)
@given(st.lists(operations, max_size=4))
def test_layers_top_down_equal_layers_applied_in_order(
    layers: list[dict[tuple[str, str], bytes]],
) -> None:
    """The judge extracts the layers one over the other, as a runtime does."""
    files: dict[str, bytes] = {}
    packed = []
    for operation in layers:
        content: dict[str, Content] = {}
        for (what, path), data in operation.items():
            folder, _, name = path.rpartition("/")
            prefix = f"{folder}/" if folder else ""
            if what == "put" and path.endswith(".so"):
                content[path] = data
            elif what == "hide":
                content[f"{prefix}.wh.{name}"] = b""
            elif what == "clear" and not path.endswith(".so"):
                content[f"{path}/.wh..wh..opq"] = b""
        for path in content:
            folder, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                files = {p: d for p, d in files.items() if not p.startswith(f"{folder}/")}
            elif name.startswith(".wh."):
                gone = f"{folder}/{name[4:]}".lstrip("/")
                files = {
                    p: d for p, d in files.items() if p != gone and not p.startswith(f"{gone}/")
                }
        files |= {p: d for p, d in content.items() if isinstance(d, bytes) and ".wh." not in p}
        packed.append(layer(content))
    assert contents(members(*packed)) == files


def test_symbolic_links_are_not_followed() -> None:
    found = members(layer({"lib/a.so.1": b"a", "lib/a.so": "a.so.1", "lib/x.so": "/etc/shadow"}))
    assert contents(found) == {"lib/a.so.1": b"a"}


def test_a_hard_link_counts_once() -> None:
    data = layer({"a.so": b"a", "b.so": "a.so", "c.so": "./a.so"}, ("b.so", "c.so"))
    assert contents(members(data)) == {"a.so": b"a"}


@pytest.mark.parametrize("first", ["cache/blob", "cache/a.so"])
def test_a_file_that_is_visible_as_a_hard_link_alone(first: str) -> None:
    """As an installer leaves it that links from its cache, and removes the cache afterwards."""
    lower = layer({first: b"a", "env/a.so": first, "env/b.so": first}, ("env/a.so", "env/b.so"))
    assert contents(members(lower, layer({".wh.cache": b""}))) == {"env/a.so": b"a"}


def test_a_hard_link_to_nothing_is_named() -> None:
    found = members(layer({"a.so": "gone.so"}, ("a.so",)))
    assert contents(found) == {}
    assert "hard link to `gone.so`" in found.not_read[0].why


def test_names_that_lead_elsewhere_are_named() -> None:
    data = layer({"../../a.so": b"x", "lib/../b.so": b"x", "c\x1b.so": b"x", "/usr/d.so": b"d"})
    found = members(data)
    assert contents(found) == {"usr/d.so": b"d"}
    assert {n.path for n in found.not_read} == {"../../a.so", "lib/../b.so", "c\\x1b.so"}


def test_a_path_twice_in_one_layer_is_named() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as out:
        for data in (b"first", b"other"):
            info = tarfile.TarInfo("a.so")
            info.size = 5
            out.addfile(info, io.BytesIO(data))
    found = members(made.getvalue())
    assert contents(found) == {"a.so": b"first"}
    assert "twice" in found.not_read[0].why


def chunked(data: bytes) -> bytes:
    """As zstd:chunked lays it out: frames that are to be skipped around the real ones."""
    note = b"\x50\x2a\x4d\x18" + (9).to_bytes(4, "little") + b"123456789"
    half = len(data) // 2
    return note + zstandard.compress(data[:half]) + zstandard.compress(data[half:]) + note


def in_members(data: bytes) -> bytes:
    """As eStargz lays it out: a gzip member for each file."""
    return b"".join(gzip.compress(data[at : at + 700]) for at in range(0, len(data), 700))


PACKERS: list[Callable[[bytes], bytes]] = [
    bytes,
    gzip.compress,
    in_members,
    zstandard.compress,
    chunked,
]


@pytest.mark.parametrize("pack", PACKERS)
def test_layers_are_told_by_their_magic(pack: Callable[[bytes], bytes]) -> None:
    data = pack(layer({"a.so": b"a" * 5000, "b.so": b"b"}))
    assert contents(members(data)) == {"a.so": b"a" * 5000, "b.so": b"b"}
    with pytest.raises(Invalid):
        contents(members(data[: len(data) // 2]))


@pytest.mark.parametrize("pack", PACKERS)
def test_a_layer_of_another_digest_is_refused(pack: Callable[[bytes], bytes]) -> None:
    data = pack(layer({"a.so": b"a"}))
    found = stored_layer("it", BytesSource(data, "it"), digest(b"another"))
    with pytest.raises(Invalid, match="another digest"):
        contents(ImageMembers([found], [], lambda: None))


def test_a_large_file_of_a_layer_is_read_again_where_it_must() -> None:
    first, second = bytes(range(256)) * 40, b"second" * 2000
    data = gzip.compress(layer({"a.so": first, "b.so": second}))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("HEAD", 64), ("TAIL", 64), ("WHOLE", 128), ("RECENT", 16)):
            patch.setattr(stream, name, value)
        for path, source in members(data).walk(matters):
            whole = first if path == "a.so" else second
            for offset in (0, 5000, 9000, 700, len(whole) - 9):
                assert source.read(offset, 9) == whole[offset : offset + 9]


def test_a_bomb_of_a_layer_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    made = io.BytesIO()
    info = tarfile.TarInfo("a.so")
    info.size = 200 * MEBI
    with gzip.GzipFile(fileobj=made, mode="wb", compresslevel=1) as out:
        out.write(info.tobuf())
        for _ in range(200):
            out.write(bytes(MEBI))
        out.write(bytes(1024))
    tracemalloc.start()
    for _, source in members(made.getvalue()).walk(matters):
        assert source.read(source.size - 4, 4) == bytes(4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * MEBI
    monkeypatch.setattr(image, "MOST_PLAIN", 100 * MEBI)
    with pytest.raises(Invalid, match="a layer of more than"):
        list(members(made.getvalue()).walk(matters))


class Store:
    """Blobs, and the layouts around them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def add(self, data: bytes, **more: object) -> dict[str, object]:
        self.files[f"blobs/{digest(data).replace(':', '/')}"] = data
        return {"digest": digest(data), "size": len(data), **more}

    def image(self, *layers: bytes, architecture: str = "amd64") -> dict[str, object]:
        config = {
            "os": "linux",
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        manifest = {
            "schemaVersion": 2,
            "config": self.add(json.dumps(config).encode()),
            "layers": [
                self.add(data, mediaType="application/vnd.oci.image.layer.v1.tar+gzip")
                for data in layers
            ],
        }
        return self.add(json.dumps(manifest).encode())

    def index(self, *manifests: dict[str, object]) -> bytes:
        return json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()

    def folder(self, root: Path, *manifests: dict[str, object]) -> Path:
        self.files["index.json"] = self.index(*manifests)
        for path, data in self.files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        return root

    def archive(self, path: Path) -> Path:
        path.write_bytes(layer(dict(self.files)))
        return path


def on(architecture: str) -> dict[str, object]:
    return {"platform": {"os": "linux", "architecture": architecture}}


def opened(path: Path, platform: str | None = None) -> tuple[dict[str, bytes], list[str]]:
    kind, found = open_members(path, platform)
    assert kind == "image"
    assert isinstance(found, ImageMembers)
    read = contents(found)
    found.close()
    return read, [n.why for n in found.not_read]


def test_a_layout_in_a_folder_and_in_a_tar(tmp_path: Path) -> None:
    store = Store()
    made = store.image(gzip.compress(layer({"a.so": b"a"})), layer({"b.so": b"b"}))
    folder = store.folder(tmp_path / "layout", made)
    expected: tuple[dict[str, bytes], list[str]] = ({"a.so": b"a", "b.so": b"b"}, [])
    assert opened(folder) == expected
    assert opened(store.archive(tmp_path / "image.tar")) == expected


def test_platforms(tmp_path: Path) -> None:
    store = Store()
    arm = store.image(layer({"arm.so": b""}), architecture="arm64") | on("arm64")
    amd = store.image(layer({"amd.so": b""})) | on("amd64")
    noise = store.image(layer({"attestation.so": b""})) | on("unknown")
    noise["platform"] = {"os": "unknown", "architecture": "unknown"}
    nested = store.add(store.index(arm, amd, noise))
    root = store.folder(tmp_path, nested)
    read, why = opened(root)
    assert set(read) == {"amd.so"}
    assert len(why) == 1
    assert "another image (linux/arm64)" in why[0]
    assert set(opened(root, "linux/arm64")[0]) == {"arm.so"}
    with pytest.raises(ArtifactUnreadableError, match="linux/riscv64") as error:
        open_members(root, "linux/riscv64")
    assert len(error.value.found) == 2


def test_the_only_image_is_taken_whatever_it_runs_on(tmp_path: Path) -> None:
    store = Store()
    root = store.folder(tmp_path, store.image(layer({"arm.so": b""}), architecture="arm64"))
    assert set(opened(root)[0]) == {"arm.so"}
    with pytest.raises(ArtifactUnreadableError, match="linux/amd64"):
        open_members(root, "linux/amd64")


def damaged(root: Path, number: int) -> None:
    """Another byte in the blob that was written in that place."""
    blobs = sorted((root / "blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
    data = blobs[number].read_bytes()
    blobs[number].write_bytes(b" " + data[1:] if number < 2 else data[:-1] + b"x")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_blob_that_is_not_what_its_digest_says(tmp_path: Path, number: int) -> None:
    store = Store()
    root = store.folder(tmp_path, store.image(layer({"a.so": b"a"})))
    damaged(root, number)
    with pytest.raises((Invalid, ArtifactUnreadableError), match="another digest"):
        opened(root)


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = Store()
    there, gone = layer({"a.so": b"a"}), layer({"b.so": b"b"})
    made = store.image(there, gone)
    del store.files[f"blobs/{digest(gone).replace(':', '/')}"]
    assert opened(store.folder(tmp_path, made)) == (
        {"a.so": b"a"},
        ["this layer is not in the layout"],
    )


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[1, 2",
        b'{"manifests": [{"digest": "../../../../etc/passwd"}]}',
        b'{"manifests": [{"digest": "sha256:AB"}]}',
        b'{"manifests": 7}',
        b"[" * 100_000,
        b'{"manifests": []}',
    ],
)
def test_an_index_that_is_none(tmp_path: Path, index: bytes) -> None:
    root = Store().folder(tmp_path)
    (root / "index.json").write_bytes(index)
    with pytest.raises(ArtifactUnreadableError) as error:
        open_members(root)
    assert error.value.hint or error.value.found


def docker_archive(path: Path, layers: dict[str, bytes], diff_ids: list[str]) -> Path:
    config = json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}}
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": ["a:latest"], "Layers": list(layers)}]
    path.write_bytes(
        layer({**layers, name: config, "manifest.json": json.dumps(manifest).encode()})
    )
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_docker_save_writes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    one, two = layer({"a.so": b"1", "b.so": b"1"}), layer({"a.so": b"2"})
    layers = {"1/layer.tar": pack(one), "2/layer.tar": pack(two)}
    path = docker_archive(tmp_path / "x.tar", layers, [digest(one), digest(two)])
    assert opened(path) == ({"a.so": b"2", "b.so": b"1"}, [])
    wrong = docker_archive(tmp_path / "y.tar", layers, [digest(one), digest(one)])
    with pytest.raises(Invalid, match="another digest"):
        opened(wrong)


def test_docker_save_with_a_layer_too_few(tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "x.tar", {"1/layer.tar": layer({})}, [])
    with pytest.raises(ArtifactUnreadableError, match="1 layers, and 0"):
        open_members(path)


def test_a_folder_image_closes_its_files(tmp_path: Path) -> None:
    store = Store()
    found = folder_image(store.folder(tmp_path, store.image(layer({"a.so": b"a"}))), None)
    found.close()
    with pytest.raises(OSError, match="Bad file"):
        contents(found)
