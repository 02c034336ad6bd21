"""Whom clients trust, and whether the keyring is asked, as pip and uv are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartor.index.keyring import keyring_program
from sartor.index.network import certificate_bundle
from sartor.index.trust import loose_certificates, trust


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose home is empty, with a `keyring` on the PATH."""
    program = tmp_path / "bin/keyring"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    home = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}
    return {**home, "PATH": str(program.parent)}


def made(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).write_text("a certificate")
    return [str(folder / name) for name in names]


def settings_of(home: dict[str, str], tool: str, text: str) -> None:
    file = Path(home["HOME"]) / f".config/{tool}"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_nothing_said_is_the_machines_own(home: dict[str, str]) -> None:
    own = certificate_bundle({})
    assert trust(home) == ((own,) if own else (), (), None)
    missing = {**home, "SSL_CERT_FILE": "/missing.pem", "SSL_CERT_DIR": "/missing"}
    assert trust(missing) == trust(home)


def test_all_that_is_named_is_trusted_and_nothing_else(
    home: dict[str, str], tmp_path: Path
) -> None:
    one, two, three, four, mine = made(tmp_path, "1.pem", "2.pem", "3.pem", "4.pem", "mine.pem")
    folder = tmp_path / "folder"
    folder.mkdir()
    settings_of(home, "pip/pip.conf", f"[global]\ncert = {four}\nclient-cert = {mine}\n")
    environ = {
        **home,
        "REQUESTS_CA_BUNDLE": one,
        "CURL_CA_BUNDLE": two,
        "SSL_CERT_FILE": three,
        "SSL_CERT_DIR": f"/missing:{folder}",
    }
    assert trust(environ) == ((one, two, three, four), (str(folder),), mine)
    assert trust({**home, "PIP_CONFIG_FILE": "/dev/null", "SSL_CLIENT_CERT": mine})[2] == mine


@pytest.mark.parametrize("said", ["native-tls = true\n", "system-certs = true\n", None])
def test_the_machines_own_besides_where_uv_is_told(
    home: dict[str, str], tmp_path: Path, said: str | None
) -> None:
    own = certificate_bundle({})
    if own is None:
        pytest.skip("DID NOT RUN: this machine has no bundle of authorities")
    (one,) = made(tmp_path, "1.pem")
    environ = {**home, "PIP_CERT": one}
    assert trust(environ).files == (one,)
    if said is None:
        environ["UV_NATIVE_TLS"] = "1"
    else:
        settings_of(home, "uv/uv.toml", said)
    assert trust(environ).files == (one, own)
    assert trust({**environ, "SSL_CERT_FILE": one}).files == (one,)


def test_certificates_that_openssl_would_not_find(tmp_path: Path) -> None:
    one, two = made(tmp_path, "a.crt", "b.pem")
    made(tmp_path, "README")
    assert loose_certificates(str(tmp_path)) == [one, two]
    made(tmp_path, "0a1b2c3d.0")
    assert loose_certificates(str(tmp_path)) == []
    assert loose_certificates(str(tmp_path / "missing")) == []


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({}, True),
        ({"PIP_KEYRING_PROVIDER": "import"}, True),
        ({"PIP_KEYRING_PROVIDER": "disabled"}, False),
        ({"PIP_NO_INPUT": "1"}, False),
        ({"PIP_NO_INPUT": "1", "PIP_KEYRING_PROVIDER": "subprocess"}, True),
        ({"UV_KEYRING_PROVIDER": "disabled", "PIP_KEYRING_PROVIDER": "subprocess"}, False),
        ({"UV_KEYRING_PROVIDER": "subprocess", "PIP_KEYRING_PROVIDER": "disabled"}, True),
        ({"PATH": "/missing"}, False),
    ],
)
def test_whether_the_keyring_is_asked(
    home: dict[str, str], said: dict[str, str], asked: bool
) -> None:
    assert (keyring_program({**home, **said}) is not None) == asked


def test_the_keyring_by_file(home: dict[str, str]) -> None:
    settings_of(home, "uv/uv.toml", 'keyring-provider = "disabled"\n')
    assert keyring_program(home) is None
    assert keyring_program({**home, "UV_NO_CONFIG": "1"}) is not None
