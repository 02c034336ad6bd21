"""What registries do besides answering: tokens, redirects, limits, and lies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from images import blob, gzipped, image, layout, tar_of
from registryfaults import FakeRegistry, Kept, Ways, basic, changed, fake_registry, kept_of
from sartor.errors import SartorError
from sartor.index.sources import Access
from sartor.remote.http import Limits
from sartor.remote.image_reference import parse_image
from sartor.remote.registry import Registry
from sartor.remote.registry_image import ImageWanted, read_image
from wheelserver import noise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.artifact.device_code import Names
    from sartor.artifact.model import Evidence

SITE = "usr/lib/python3/dist-packages"
INFO = f"{SITE}/app-1.0.dist-info"
LOWER = {
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: app\nVersion: 1.0\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
    f"{INFO}/RECORD": b"app/noise.bin,,\n",
    f"{SITE}/app/noise.bin": noise(300_000),
}
UPPER = {f"{SITE}/app/more.bin": noise(200_000, 3)}
LIMITS = Limits(answer=5, block=2, waiting=3, backoff=0.01, tries=3, drops=50)


@pytest.fixture(scope="module")
def kept() -> Kept:
    tars = [tar_of(LOWER), tar_of(UPPER)]
    return kept_of(layout([image(tars, gzipped, "gzip")]), "1")


@pytest.fixture
def registry(kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRegistry]:
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with fake_registry(kept) as server:
        yield server


def no_names(_: str) -> Names:
    return "none"


def read(server: FakeRegistry, wanted: str = "1", host: str | None = None) -> tuple[Evidence, int]:
    """The image as `sartor inspect` reads it, and the bytes that came."""
    separator = "@" if ":" in wanted else ":"
    reference = parse_image(f"{host or server.address}/own/app{separator}{wanted}")
    registry = Registry(reference, Access(), LIMITS)
    try:
        wants = ImageWanted(no_names, None, "x86_64")
        return read_image(registry, reference, wants, lambda *_: None), registry.fetched
    finally:
        registry.close()


def log_in(folder: Path, host: str, **entry: str) -> None:
    """Keep a login as docker does."""
    place = folder / ".docker/config.json"
    place.parent.mkdir(exist_ok=True)
    had = json.loads(place.read_text()) if place.exists() else {"auths": {}}
    had["auths"][host] = entry
    place.write_text(json.dumps(had))


def refused(server: FakeRegistry, code: str, wanted: str = "1") -> SartorError:
    """The error that reading ends with."""
    with pytest.raises(SartorError) as caught:
        read(server, wanted)
    assert caught.value.code == code, caught.value.message
    assert caught.value.hint
    return caught.value


def is_whole(evidence: Evidence) -> bool:
    return [p.name for p in evidence.packages] == ["app"] and evidence.not_read == []


def test_an_honest_one(registry: FakeRegistry) -> None:
    evidence, fetched = read(registry)
    assert is_whole(evidence)
    assert fetched == sum(map(len, registry.kept.blobs.values())) + sum(
        len(data) for _, data in [registry.kept.manifests["1"]]
    )


def test_a_token_for_anybody(registry: FakeRegistry) -> None:
    registry.ways = Ways(token="t0ken")
    assert is_whole(read(registry)[0])
    asked = [seen for seen in registry.seen if seen.path.startswith("/token")]
    assert len(asked) == 1
    assert "scope=repository%3Aown%2Fapp%3Apull" in asked[0].path
    assert asked[0].authorization is None


def test_a_token_for_a_login(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.ways = Ways(token="t0ken", login=("ada", "walnut"))
    error = refused(registry, "registry-refused")
    assert "docker login" in str(error.hint)
    log_in(tmp_path, registry.address, username="ada", password="walnut")
    registry.seen.clear()
    assert is_whole(read(registry)[0])
    told = {(s.path.partition("?")[0] == "/token", s.authorization) for s in registry.seen}
    assert (True, basic("ada", "walnut")) in told
    assert (False, basic("ada", "walnut")) not in told


def test_tokens_that_expire_are_asked_for_again(registry: FakeRegistry) -> None:
    registry.ways = Ways(token="t0ken", expires_after=9, drop_every=40_000)
    assert is_whole(read(registry)[0])
    assert registry.tokens > 1


def test_an_identity_is_changed_for_a_token(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.ways = Ways(token="t0ken", login=("no", "body"), identity="who-i-am")
    log_in(tmp_path, registry.address, identitytoken="who-i-am")
    assert is_whole(read(registry)[0])


def test_a_login_is_not_sent_to_another_site(registry: FakeRegistry, tmp_path: Path) -> None:
    log_in(tmp_path, registry.address, username="ada", password="walnut")
    with fake_registry(Kept()) as other:
        other.ways = Ways(token="t0ken")
        realm = f"http://localhost:{other.server_port}/token"
        registry.ways = Ways(token="t0ken", realm=realm)
        refused(registry, "registry-refused")
        assert other.seen
        assert {seen.authorization for seen in other.seen} == {None}
        log_in(tmp_path, f"localhost:{other.server_port}", username="eve", password="apple")
        other.seen.clear()
        refused(registry, "registry-refused")
        assert {seen.authorization for seen in other.seen} == {basic("eve", "apple")}


@pytest.mark.parametrize("way", ["token", "basic"])
def test_storage_hosts_are_told_nothing(way: str, registry: FakeRegistry, tmp_path: Path) -> None:
    log_in(tmp_path, registry.address, username="ada", password="walnut")
    (tmp_path / ".netrc").write_text("machine localhost login ada password walnut\n")
    with fake_registry(Kept({}, registry.kept.blobs)) as storage:
        place = f"http://localhost:{storage.server_port}"
        said: dict[str, Any] = (
            {"token": "t0ken"} if way == "token" else {"basic": ("ada", "walnut")}
        )
        registry.ways = Ways(redirect_blobs=place, **said)
        assert is_whole(read(registry)[0])
        assert storage.seen
        assert {seen.authorization for seen in storage.seen} == {None}
        assert any(seen.authorization for seen in registry.seen)


def test_a_challenge_from_storage_is_not_answered(registry: FakeRegistry, tmp_path: Path) -> None:
    log_in(tmp_path, registry.address, username="ada", password="walnut")
    log_in(tmp_path, "localhost", username="ada", password="walnut")
    with fake_registry(Kept()) as storage:
        storage.ways = Ways(basic=("ada", "walnut"))
        registry.ways = Ways(redirect_blobs=f"http://localhost:{storage.server_port}/v2")
        refused(registry, "registry-refused")
        assert {seen.authorization for seen in storage.seen} == {None}


def test_one_that_is_never_content(registry: FakeRegistry, tmp_path: Path) -> None:
    log_in(tmp_path, registry.address, username="ada", password="walnut")
    for ways in (Ways(never_content=True), Ways(never_content=True, basic=("a", "b"))):
        registry.ways = ways
        registry.seen.clear()
        assert "was not taken" in str(refused(registry, "registry-refused").hint)
        assert len(registry.seen) < 12


@pytest.mark.parametrize(
    "realm", ["http://192.0.2.1/token", "ftp://x/", "nothing", "http://me:pw@127.0.0.1/", "//"]
)
def test_addresses_for_tokens_that_are_none(realm: str, registry: FakeRegistry) -> None:
    registry.ways = Ways(token="t0ken", realm=realm)
    assert "pw" not in refused(registry, "registry-unreachable").message


@pytest.mark.parametrize("ranges", [True, False])
def test_connections_that_break_off(ranges: bool, registry: FakeRegistry) -> None:
    registry.ways = Ways(drop_every=120_000, ranges=ranges)
    if ranges:
        evidence, fetched = read(registry)
        assert is_whole(evidence)
        assert fetched < sum(map(len, registry.kept.blobs.values())) + 20_000
    else:
        refused(registry, "registry-unreachable")


def test_one_without_ranges(registry: FakeRegistry) -> None:
    registry.ways = Ways(ranges=False)
    assert is_whole(read(registry)[0])


def test_one_that_asks_to_wait(registry: FakeRegistry) -> None:
    registry.ways = Ways(busy=5)
    assert is_whole(read(registry)[0])
    registry.ways = Ways(busy=1, retry_after="86400")
    assert "86400 s" in refused(registry, "registry-refused").message


@pytest.mark.parametrize("status", [400, 403, 418, 500, 503])
def test_one_that_fails(status: int, registry: FakeRegistry) -> None:
    registry.ways = Ways(always=status)
    assert f"{status}" in refused(registry, "registry-refused").message


@pytest.mark.parametrize(
    ("ways", "codes"),
    [
        (Ways(flip=True), {"artifact-unreadable"}),
        (Ways(longer=7), {"untrusted-bytes"}),
        (Ways(total_off=5), {"untrusted-bytes"}),
        (Ways(cut=9), {"untrusted-bytes"}),
        (Ways(ranges=False, cut=9), {"untrusted-bytes"}),
        (Ways(ranges=False, longer=9), {"untrusted-bytes"}),
        (Ways(digest_header=f"sha256:{'0' * 64}"), {"untrusted-bytes"}),
    ],
)
def test_bytes_that_are_others(ways: Ways, codes: set[str], registry: FakeRegistry) -> None:
    registry.ways = ways
    with pytest.raises(SartorError) as caught:
        read(registry)
    assert caught.value.code in codes, caught.value.message


def test_another_manifest_than_was_named(registry: FakeRegistry) -> None:
    digest = next(name for name in registry.kept.manifests if name != "1")
    assert is_whole(read(registry, digest)[0])
    registry.ways = Ways(manifest=b'{"schemaVersion": 2, "manifests": []}')
    assert "digest" in refused(registry, "untrusted-bytes", digest).message


def layer_sizes(size: object) -> Any:
    def change(manifest: dict[str, Any]) -> None:
        manifest["layers"][0]["size"] = size

    return change


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (-1, "artifact-unreadable"),
        (1 << 62, "artifact-unreadable"),
        (None, "artifact-unreadable"),
        (10, "untrusted-bytes"),
        ("x", "artifact-unreadable"),
    ],
)
def test_sizes_that_are_none(size: object, code: str, registry: FakeRegistry) -> None:
    registry.kept = changed(registry.kept, "1", layer_sizes(size))
    refused(registry, code)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[" * 100_000,
        b'{"schemaVersion": 1, "fsLayers": []}',
        b'{"schemaVersion": 2}',
        b'{"schemaVersion": 2, "manifests": []}',
        b'{"schemaVersion": 2, "config": {"digest": "sha256:../../x"}, "layers": []}',
        b'{"schemaVersion": 2, "manifests": [{"digest": "md5:0"}]}',
        b" " * (9 << 20),
        b'{"schemaVersion": 2, "config": {"digest": "x"}, "layers": ['
        + b",".join([b'{"digest": "y"}'] * 3)
        + b"]}",
    ],
)
def test_manifests_that_are_none(manifest: bytes, registry: FakeRegistry) -> None:
    registry.ways = Ways(manifest=manifest)
    refused(registry, "artifact-unreadable")


def test_indexes_without_an_end(registry: FakeRegistry) -> None:
    """A chain of indexes, and an index whose images are asked for one by one."""
    kind = "application/vnd.oci.image.index.v1+json"
    last = {"schemaVersion": 2, "manifests": []}
    for depth in range(9):
        data = json.dumps({**last, "depth": depth}).encode()
        _, digest, _ = blob(data)
        registry.kept = Kept({**registry.kept.manifests, digest: (kind, data), "1": (kind, data)})
        last = {"schemaVersion": 2, "manifests": [{"digest": digest, "mediaType": kind}] * 5}
    assert "index" in refused(registry, "artifact-unreadable").message
    assert len(registry.seen) < 40
    registry.seen.clear()
    many = json.dumps({"schemaVersion": 2, "manifests": [{"digest": digest}] * 900}).encode()
    registry.kept.manifests["1"] = (kind, many)
    refused(registry, "artifact-unreadable")
    assert len(registry.seen) < 300


def test_an_index_of_itself(registry: FakeRegistry) -> None:
    """Only a server that lies about a digest has one; it is caught at the lie."""
    kind, digest = "application/vnd.oci.image.index.v1+json", f"sha256:{'7' * 64}"
    line = {"digest": digest, "mediaType": kind}
    data = json.dumps({"schemaVersion": 2, "manifests": [line]}).encode()
    registry.kept = Kept({"1": (kind, data), digest: (kind, data)})
    refused(registry, "untrusted-bytes")


def test_https_is_not_left_for_http(registry: FakeRegistry) -> None:
    """Elsewhere than on this machine a registry is asked over TLS alone."""
    with pytest.raises(SartorError) as caught:
        read(registry, host=f"loopback.test.invalid:{registry.server_port}")
    assert caught.value.code == "registry-unreachable"
    assert "https://" in caught.value.message
    assert registry.seen == []
