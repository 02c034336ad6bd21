"""Hub models against a hub on the loopback, each step in a process of its own as users run it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from hubserver import TOKEN, Hub, Repository, hub_server
from sartor.errors import ErrorDocument
from sartor.fit.model import Asked
from sartor.fit.report import token_bytes
from sartor.models.demo import demo_gguf, folder_files
from sartor.models.ggml import F32
from sartor.models.gguf import ValueType
from sartor.models.gguf_writer import Tensor, gguf_bytes, scalar
from sartor.models.model import Model
from sartor.paths import Places
from sartor.reporter import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT = """
import sys
import msgspec
from sartor.errors import SartorError
from sartor.models.resolve import fetched, resolve
from sartor.paths import Places
from sartor.reporter import Reporter
from pathlib import Path

class Listening(Reporter):
    notes, steps = [], []
    def note(self, text):
        self.notes.append(text)
    def progress(self, what, done, total, unit):
        self.steps.append((done, total))

told = Listening()
found = error = None
try:
    found = resolve(sys.argv[1], Places(Path(sys.argv[3])), told)
    if sys.argv[2] == "fetch":
        found = fetched(found, told)
except SartorError as caught:
    error = caught.document()
print(msgspec.json.encode([found, error, told.notes, told.steps]).decode())
"""


class Outcome(msgspec.Struct, array_like=True):
    model: Model | None
    error: dict[str, object] | None
    notes: list[str]
    steps: list[tuple[float, float | None]]

    def found(self) -> Model:
        assert self.error is None, self.error
        assert self.model is not None
        return self.model

    def code(self) -> object:
        assert self.error is not None
        return self.error["code"]

    def text(self) -> str:
        return json.dumps(self.error)


class Client:
    """Runs Sartor's library in a fresh process that talks to ``hub`` and caches in ``home``."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.hub = hub
        self.home = home

    def __call__(self, reference: str, what: str = "fetch", **environment: str) -> Outcome:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        places = {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.home)}
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, reference, what, str(self.home / "sartor")],
            env={**kept, **places, "NO_PROXY": "*", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        assert not done.stderr
        return msgspec.json.decode(done.stdout, type=Outcome)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return demo_gguf(Places(tmp_path_factory.mktemp("demo")), Silent()).read_bytes()


@pytest.fixture
def hub(gguf: bytes) -> Iterator[Hub]:
    one = {"README.md": b"# x", "tiny-Q8_0.gguf": gguf, "tiny-F16.gguf": gguf + bytes(64)}
    repositories = {
        "org/tiny-GGUF": Repository(one, gguf={"architecture": "llama", "context_length": 2048}),
        "org/tiny": Repository({**folder_files(), "original/params.json": b"{}"}),
        "org/gated": Repository(one, gated=True),
        "org/private": Repository(one, private=True),
        "org/pickles": Repository({"pytorch_model.bin": b"\x80\x02", "config.json": b"{}"}),
    }
    with hub_server(repositories) as running:
        yield running


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    return Client(hub, tmp_path)


def test_a_gguf_is_looked_up_without_its_weights(hub: Hub, client: Client, gguf: bytes) -> None:
    model = client("org/tiny-GGUF", "look").found()
    assert (model.path, model.quantization, model.size_bytes) == (None, "Q8_0", len(gguf))
    assert (model.architecture, model.context_length) == ("llama", 2048)
    assert model.revision == hub.repositories["org/tiny-GGUF"].commit
    assert model.shape is not None
    assert model.shape.weights is not None
    assert 0 <= len(gguf) - model.shape.weights.total < 0.05 * len(gguf)
    assert not hub.bodies()
    assert 0 < sum(entry.sent for entry in hub.parts()) < len(gguf) // 2


def test_a_gguf_is_fetched_whole_and_once(hub: Hub, client: Client, gguf: bytes) -> None:
    first = client("org/tiny-GGUF:Q8_0")
    model = first.found()
    assert Path(model.path or "").read_bytes() == gguf
    assert list(first.steps[-1]) == [len(gguf), len(gguf)]
    assert model.shape is not None
    assert token_bytes(model.shape, Asked(1)) == 2048
    asked = len(hub.bodies())
    assert client("org/tiny-GGUF:Q8_0").found() == model
    assert len(hub.bodies()) == asked


def test_a_model_too_large_is_refused_before_it_is_fetched(hub: Hub, tmp_path: Path) -> None:
    metadata = {
        "general.architecture": scalar(ValueType.STRING, "llama"),
        "llama.block_count": scalar(ValueType.UINT32, 1),
        "llama.embedding_length": scalar(ValueType.UINT32, 1 << 14),
        "llama.attention.head_count": scalar(ValueType.UINT32, 128),
        "llama.vocab_size": scalar(ValueType.UINT32, 1000),
    }
    # a header that demands 16 TiB, in a file of a few bytes
    tensors = [Tensor("blk.0.ffn_up.weight", (1 << 14, 1), F32, bytes(4 << 14))]
    small, large = (struct.pack("<QQ", 1 << 14, rows) for rows in (1, 1 << 28))
    data = gguf_bytes(metadata, tensors).replace(small, large)
    hub.repositories["org/huge-GGUF"] = Repository({"huge-Q8_0.gguf": data})
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    places = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "SARTOR_HOME": str(tmp_path / "home"),
        "NO_PROXY": "*",
    }
    done = subprocess.run(
        [sys.executable, "-m", "sartor", "up", "--json", "--model", "org/huge-GGUF"],
        env={**kept, **places},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    error = msgspec.json.decode(done.stdout, type=ErrorDocument)
    assert (done.returncode, error.code) == (32, "model-too-large")
    assert error.hint
    assert hub.parts()
    assert not hub.bodies()
    assert not list((tmp_path / "hf").rglob("*.gguf"))
    assert not list((tmp_path / "home").rglob("environments/*"))


def test_a_file_is_fetched_by_its_name(client: Client) -> None:
    path = client("org/tiny-GGUF/tiny-F16.gguf").found().path
    assert path is not None
    assert path.endswith("/tiny-F16.gguf")


def test_a_safetensors_folder_is_fetched(hub: Hub, client: Client) -> None:
    looked = client("org/tiny", "look").found()
    assert (looked.path, looked.format, looked.block_count) == (None, "safetensors", 4)
    assert not hub.bodies()
    model = client("org/tiny").found()
    assert model.path is not None
    assert {p.name for p in Path(model.path).iterdir()} == set(folder_files())
    assert model.quantization == looked.quantization == "BF16"
    assert model.size_bytes == looked.size_bytes


def test_a_lost_connection_is_taken_up_at_once(hub: Hub, client: Client, gguf: bytes) -> None:
    hub.drop_after = 2_000_000
    model = client("org/tiny-GGUF:Q8_0").found()
    assert Path(model.path or "").read_bytes() == gguf
    assert [entry.range for entry in hub.bodies()] == [
        None,
        "bytes=2000000-",
        "bytes=4000000-",
    ]
    assert sum(entry.sent for entry in hub.bodies()) == len(gguf)


def test_the_same_command_resumes(hub: Hub, client: Client, gguf: bytes) -> None:
    hub.drop_after, hub.refuse_after_drops = 3_000_000, 1
    broken = client("org/tiny-GGUF:Q8_0")
    assert broken.code() == "hub-unreachable"
    assert "the same command" in broken.text()
    hub.drop_after = hub.refuse_after_drops = None
    model = client("org/tiny-GGUF:Q8_0").found()
    assert Path(model.path or "").read_bytes() == gguf
    served = [(e.range, e.status, e.sent) for e in hub.bodies() if e.status != 503]
    rest = len(gguf) - 3_000_000
    assert served == [(None, 200, 3_000_000), ("bytes=3000000-", 206, rest)]


def test_a_damaged_part_is_noticed(hub: Hub, client: Client, gguf: bytes) -> None:
    hub.drop_after, hub.refuse_after_drops = 3_000_000, 1
    client("org/tiny-GGUF:Q8_0")
    hub.drop_after = hub.refuse_after_drops = None
    (partial,) = client.home.rglob("*.incomplete")
    partial.write_bytes(bytes(len(partial.read_bytes())))
    assert client("org/tiny-GGUF:Q8_0").code() == "model-invalid"
    assert Path(client("org/tiny-GGUF:Q8_0").found().path or "").read_bytes() == gguf


def test_a_killed_download_resumes(hub: Hub, client: Client, gguf: bytes) -> None:
    blobs = client.home / "hub" / "models--org--tiny-GGUF" / "blobs"
    client("org/tiny-GGUF:F16")
    sha = hub.bodies()[-1].path.removeprefix("/cdn/")
    hub.log.clear()
    client("org/tiny-GGUF:Q8_0")
    etag = hub.bodies()[-1].path.removeprefix("/cdn/")
    assert etag != sha
    (blobs / etag).unlink()
    (blobs / f"{etag}.incomplete").write_bytes(gguf[:1_234_567])
    client("org/tiny-GGUF:Q8_0").found()
    assert hub.bodies()[-1].range == "bytes=1234567-"
    assert (blobs / etag).read_bytes() == gguf


def test_a_gated_model_says_what_to_do(hub: Hub, client: Client) -> None:
    outcome = client("org/gated", "look")
    assert outcome.code() == "model-gated"
    assert f"{hub.url}/org/gated" in outcome.text()
    assert "HF_TOKEN" in outcome.text()


def test_a_token_opens_and_is_sent_as_bearer(hub: Hub, client: Client) -> None:
    assert client("org/gated", HF_TOKEN=TOKEN).found().path
    api = [e for e in hub.log if e.path.startswith(("/api/models/", "/org/"))]
    assert {e.authorization for e in api} == {f"Bearer {TOKEN}"}
    assert {e.authorization for e in hub.bodies()} == {None}
    assert client("org/private", "look", HF_TOKEN=TOKEN).error is None


def test_a_wrong_token_is_said_and_not_shown(client: Client) -> None:
    outcome = client("org/tiny-GGUF", "look", HF_TOKEN=TOKEN[:-1] + "x")
    assert outcome.code() == "model-gated"
    assert TOKEN[:-1] not in outcome.text()


@pytest.mark.parametrize("reference", ["org/nothing", "org/private", "org/tiny-GGUF/none.gguf"])
def test_what_is_not_there_is_not_found(client: Client, reference: str) -> None:
    assert client(reference, "look").code() == "model-not-found"


def test_an_unknown_quantization_lists_those_there(client: Client) -> None:
    outcome = client("org/tiny-GGUF:Q2_K", "look")
    assert outcome.code() == "model-not-found"
    assert "`F16`, `Q8_0`" in outcome.text()


def test_pickles_are_no_model(client: Client) -> None:
    assert client("org/pickles", "look").code() == "model-invalid"


def test_an_overloaded_hub_is_said(hub: Hub, client: Client) -> None:
    hub.failing_status = 503
    outcome = client("org/tiny-GGUF", "look")
    assert outcome.code() == "hub-unreachable"
    assert "503" in outcome.text()


def test_offline_without_a_cache(hub: Hub, client: Client) -> None:
    outcome = client("org/tiny-GGUF", HF_HUB_OFFLINE="1")
    assert outcome.code() == "hub-unreachable"
    assert "HF_HUB_OFFLINE" in outcome.text()
    assert not hub.log


@pytest.mark.parametrize("reference", ["org/tiny-GGUF", "org/tiny"])
def test_offline_with_a_cache(hub: Hub, client: Client, reference: str) -> None:
    online = client(reference).found()
    hub.log.clear()
    outcome = client(reference, HF_HUB_OFFLINE="1")
    assert outcome.found().path == online.path
    assert outcome.found().size_bytes == online.size_bytes
    assert outcome.notes
    assert not hub.log


def test_an_unreachable_hub_with_and_without_a_cache(hub: Hub, client: Client) -> None:
    nobody = "http://127.0.0.1:9"
    assert client("org/tiny-GGUF", HF_ENDPOINT=nobody).code() == "hub-unreachable"
    online = client("org/tiny-GGUF").found()
    outcome = client("org/tiny-GGUF", HF_ENDPOINT=nobody)
    assert outcome.found().path == online.path
    assert outcome.notes


def test_an_endpoint_that_is_no_hub(hub: Hub, client: Client) -> None:
    outcome = client("org/tiny-GGUF", HF_ENDPOINT=f"{hub.url}/elsewhere")
    assert outcome.code() in {"hub-unreachable", "model-not-found"}


def test_a_cache_that_cannot_be_written(client: Client) -> None:
    outcome = client("org/tiny-GGUF", HF_HOME="/proc/nowhere")
    assert outcome.error is not None
    assert outcome.code() in {"not-writable", "disk-full"}
    assert "HF_HOME" in outcome.text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NOT CHECKED: a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.needs_root
def test_a_full_disk_is_said_before_the_download(hub: Hub, small_disk: Path) -> None:
    outcome = Client(hub, small_disk)("org/tiny-GGUF:Q8_0")
    assert outcome.code() == "disk-full"
    assert "HF_HOME" in outcome.text()
    assert not hub.bodies()


def test_the_library_is_imported_only_for_a_hub_name(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import sartor.models.hub\n"
        "from sartor.models.resolve import resolve; from sartor.paths import Places\n"
        "from sartor.reporter import Silent\n"
        "resolve(None, Places(Path(sys.argv[1])), Silent())\n"
        "print('huggingface_hub' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
