"""`sartor inspect` on images in a registry: the distribution project's, on the loopback.

The judge is the same image as a local OCI layout; the server's own log says what it sent.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from images import SITE, gzipped, image, layout, tar_of, write_files
from registryserver import PASSWORD, USER, distribution, registry_program
from sartor_cli import Sartor, isolated_variables
from wheels import wheel
from wheelserver import noise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from registryserver import Distribution
    from sartor_cli import Document

pytestmark = pytest.mark.skipif(
    registry_program() is None, reason="docker-registry is neither here nor to be had"
)
REQUIREMENT = "bitsandbytes==0.50.2"
KEPT, REMOVED = "libbitsandbytes_cuda130.so", "libbitsandbytes_cuda132.so"
GPUS = ("--gpu", "h200", "--gpu", "rtx-5090", "--driver", "580.95")
MEBI = 1 << 20
Forms = {"gzip": gzipped, "zstd": zstandard.ZstdCompressor().compress, "none": bytes}


class Stack:
    """An image of four layers: a small system, a package as installed, weights, and a change."""

    def __init__(self) -> None:
        with zipfile.ZipFile(wheel(REQUIREMENT)) as archive:
            site = {f"{SITE}/{name}": archive.read(name) for name in archive.namelist()}
        folder = f"{SITE}/bitsandbytes"
        self.system = {
            "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
            "usr/share/doc/base/copyright": noise(MEBI // 2, 1),
            "etc/alternatives/old.so": b"\x7fELF",
        }
        self.site = {path: data for path, data in site.items() if not path.endswith(KEPT)}
        self.weights = {
            "srv/weights/model-00001-of-00002.safetensors": noise(24 * MEBI, 2),
            "srv/weights/model-00002-of-00002.safetensors": noise(24 * MEBI, 3),
        }
        self.change = {
            f"{folder}/{KEPT}": site[f"{folder}/{KEPT}"],
            f"{folder}/.wh.{REMOVED}": b"",
            "etc/alternatives/.wh..wh..opq": b"",
        }

    @property
    def tars(self) -> list[bytes]:
        return [tar_of(files) for files in (self.system, self.site, self.weights, self.change)]

    @property
    def history(self) -> list[dict[str, object]]:
        """As BuildKit writes it."""
        return [
            {"created_by": "/bin/sh -c #(nop) ADD file:0f6d in / "},
            {"created_by": 'CMD ["bash"]', "empty_layer": True},
            {"created_by": "RUN /bin/sh -c pip install bitsandbytes # buildkit"},
            {"created_by": "COPY weights /srv/weights # buildkit", "comment": "buildkit"},
            {"created_by": "RUN /bin/sh -c ./change # buildkit"},
        ]


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    with distribution(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def quiet(tmp_path: Path) -> Sartor:
    """`sartor` of a user without any configuration."""
    return Sartor(tmp_path / "home", tmp_path, isolated_variables(tmp_path))


def alike(document: Document) -> Document:
    """What must be the same of an image wherever it is."""
    return {k: v for k, v in document.items() if k not in {"target", "fetched_bytes"}}


@pytest.mark.parametrize("form", Forms)
def test_the_verdict_is_that_of_the_local_image(
    form: str, stack: Stack, registry: Distribution, quiet: Sartor, tmp_path: Path
) -> None:
    files = layout([image(stack.tars, Forms[form], form)])
    digest = registry.push(files, f"site/{form}", "1")
    local = quiet.json("inspect", str(write_files(files, tmp_path / "image")), *GPUS)
    assert local["not_checked"] == []
    assert local["platform"] == "linux/amd64"
    names = {library["path"].rpartition("/")[2] for library in local["libraries"]}
    assert KEPT in names
    assert not names & {REMOVED, "old.so"}
    target = f"{registry.address}/site/{form}:1"
    for words in ([target], [f"docker://{registry.address}/site/{form}@{digest}"]):
        found = quiet.json("inspect", *words, *GPUS, "--all-layers")
        assert alike(found) == alike(local)
        assert f"sha256:{found['sha256']}" == digest
        assert found["size"] <= found["fetched_bytes"] < found["size"] + MEBI


def test_weights_are_not_fetched(
    stack: Stack, registry: Distribution, quiet: Sartor, tmp_path: Path
) -> None:
    """Under 5 % more than the layers that hold packages and libraries; the server counts."""
    files = layout([image(stack.tars, gzipped, "gzip", history=stack.history)])
    registry.push(files, "site/weights", "1")
    local = quiet.json("inspect", str(write_files(files, tmp_path / "image")), *GPUS)
    before = registry.sent()
    found = quiet.json("inspect", f"{registry.address}/site/weights:1", *GPUS)
    sent = registry.sent() - before
    manifest = json.loads(files[f"blobs/sha256/{found['sha256']}"])
    sizes = [layer["size"] for layer in manifest["layers"]]
    wanted = sizes[1] + sizes[3]
    assert found["fetched_bytes"] < 1.05 * wanted
    assert sent < 1.05 * wanted
    assert abs(sent - found["fetched_bytes"]) < 64 << 10
    (note,) = found["not_checked"]
    assert note["path"] == manifest["layers"][2]["digest"]
    assert "COPY" not in note["why"]
    assert "`/srv/weights`" in note["why"]
    assert "--all-layers" in note["why"]
    assert alike({**found, "not_checked": []}) == alike(local)
    report = quiet.run("inspect", f"{registry.address}/site/weights:1", *GPUS).succeeded().stdout
    assert "fetched" in report
    assert "not read" in report


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="there is no skopeo here")
@pytest.mark.parametrize("words", [["--format", "v2s2"], ["--dest-compress-format", "zstd"]])
def test_what_skopeo_pushes(
    words: list[str], stack: Stack, registry: Distribution, quiet: Sartor, tmp_path: Path
) -> None:
    files = layout([image(stack.tars, bytes, "none")])
    place = write_files(files, tmp_path / "image")
    target = f"{registry.address}/skopeo/{words[1]}:latest"
    command = ["skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", *words]
    command += [f"oci:{place}", f"docker://{target}"]
    subprocess.run(command, check=True, capture_output=True)
    found = quiet.json("inspect", target.removesuffix(":latest"), *GPUS, "--all-layers")
    local = quiet.json("inspect", str(place), *GPUS)
    for document in (found, local):
        del document["sha256"], document["size"]
    assert alike(found) == alike(local)


def test_several_platforms(
    stack: Stack, registry: Distribution, quiet: Sartor, tmp_path: Path
) -> None:
    both = [
        image([tar_of(files)], gzipped, "gzip", platform)
        for files, platform in ((stack.system, "linux/arm64"), (stack.change, "linux/amd64"))
    ]
    files = layout(both)
    index = json.loads(files["index.json"])
    for manifest, name in zip(index["manifests"], ("arm64", "amd64"), strict=True):
        manifest["platform"] = {"os": "linux", "architecture": name}
    attestation = {"os": "unknown", "architecture": "unknown"}
    index["manifests"].append({**index["manifests"][0], "platform": attestation})
    files["index.json"] = json.dumps(index).encode()
    registry.push(files, "site/both", "1")
    place = str(write_files(files, tmp_path / "image"))
    target = f"docker://{registry.address}/site/both:1"
    for words in (["--platform", "linux/arm64"], ["--host", "h200, cpu=zen5"], []):
        found = quiet.json("inspect", target, *words)
        assert alike(found) == alike(quiet.json("inspect", place, *words))
        assert found["platform"] == ("linux/arm64" if "--platform" in words else "linux/amd64")
        assert ["another image" in note["why"] for note in found["not_checked"]].count(True) == 1
    error = quiet.run("inspect", target, "--platform", "linux/s390x", "--json").failed(
        "artifact-unreadable", 14
    )
    assert {line.rpartition(" ")[2] for line in error["found"]} == {"linux/arm64", "linux/amd64"}


def test_names_that_are_not_there(registry: Distribution, quiet: Sartor) -> None:
    error = quiet.run("inspect", f"{registry.address}/site/absent:1", "--json").failed(
        "no-such-target", 15
    )
    assert "site/absent:1" in error["message"]
    error = quiet.run("inspect", "vllm/vllm-openai", "--json").failed("no-such-target", 15)
    assert "docker://vllm/vllm-openai" in error["hint"]
    error = quiet.run("inspect", "docker://ghcr.io/Upper/case", "--json").failed("usage", 2)
    assert "small letters" in error["hint"]
    error = quiet.run("inspect", "localhost/x:1", "--json").failed("registry-unreachable", 28)
    assert "localhost/x:1" in error["message"] or "localhost/v2" in error["message"]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[Distribution]:
    """A registry that wants a login, with one small image."""
    with distribution(tmp_path_factory.mktemp("closed"), with_login=True) as server:
        server.push(layout([image([tar_of(stack.change)], gzipped, "gzip")]), "own/app", "1")
        yield server


def test_without_a_login(closed: Distribution, quiet: Sartor) -> None:
    target = f"{closed.address}/own/app:1"
    error = quiet.run("inspect", target, "--json").failed("registry-refused", 29)
    assert f"docker login {closed.address}" in error["hint"]


@pytest.mark.parametrize("place", ["docker", "variable", "runtime", "podman", "helper", "store"])
def test_with_a_login(place: str, closed: Distribution, quiet: Sartor, tmp_path: Path) -> None:
    """Each place where docker and podman keep it; nothing shows it."""
    user = tmp_path / "user"
    auth = {"auth": "YWRhOndhbG51dA=="}
    auths: dict[str, object] = {"auths": {closed.address: auth}}
    folder = tmp_path / "programs"
    folder.mkdir()
    said = json.dumps({"ServerURL": "x", "Username": USER, "Secret": PASSWORD})
    helper = folder / "docker-credential-kept"
    helper.write_text(
        f"#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {closed.address}' ] || exit 1\n"
        f"echo '{said}'\n"
    )
    helper.chmod(0o755)
    path = f"{folder}:{quiet.variables['PATH']}"
    variables = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "PATH": path}
    where = user / ".docker/config.json"
    if place == "variable":
        where = tmp_path / "auth.json"
        variables["REGISTRY_AUTH_FILE"] = str(where)
        auths = {"auths": {f"{closed.address}/own": auth}}
    elif place == "runtime":
        where = tmp_path / "run/containers/auth.json"
    elif place == "podman":
        where = user / ".config/containers/auth.json"
    elif place == "helper":
        auths = {"credHelpers": {closed.address: "kept"}}
    elif place == "store":
        auths = {"auths": {closed.address: {}}, "credsStore": "kept"}
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(json.dumps(auths))
    done = quiet.having(**variables).run("inspect", f"{closed.address}/own/app:1", "--json")
    assert len(done.succeeded().document["libraries"]) == 1
    assert PASSWORD not in done.stdout + done.stderr
    assert auth["auth"] not in done.stdout + done.stderr


def test_with_a_wrong_login(closed: Distribution, quiet: Sartor, tmp_path: Path) -> None:
    where = tmp_path / "user/.docker/config.json"
    where.parent.mkdir(parents=True)
    entry = {"username": USER, "password": "chestnut"}
    where.write_text(json.dumps({"auths": {f"http://{closed.address}/v1/": entry}}))
    done = quiet.run("inspect", f"{closed.address}/own/app:1", "--json")
    error = done.failed("registry-refused", 29)
    assert "was not taken" in error["hint"]
    assert "chestnut" not in done.stdout + done.stderr
