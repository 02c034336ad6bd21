"""Getting to servers: private authorities, client certificates, proxies and the keyring."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from tlsservers import Proxy, TlsWheelServer, serving
from wheelserver import Manners, make_wheel, serving_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "small-1.0-py3-none-manylinux_2_28_x86_64.whl"
LIBRARY = (Path(__file__).parent.parent / "data/fatbin/library.so").read_bytes()
FILES = {NAME: make_wheel({"small/a.so": LIBRARY}, "small")}
FOREIGN = ("PIP_", "UV_", "HTTP", "http", "ALL_", "all_", "NO_PROXY", "no_proxy", "SSL_", "CURL_")
SECRET = "s3cret"
KEYRING = f"""#!{sys.executable}
import os, sys
with open(os.environ["KEYRING_LOG"], "a") as log:
    print(*sys.argv[1:], file=log)
words = sys.argv[1:]
creds = words[:2] == ["--mode", "creds"]
if creds:
    words = words[2:]
if words[1] != os.environ["KEYRING_KNOWS"] or (words[2:] or ["me"]) != ["me"]:
    sys.exit(1)
print("me\\n{SECRET}" if creds else "{SECRET}")
"""


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def other_ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pem(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server(ca: trustme.CA) -> Iterator[TlsWheelServer]:
    found = TlsWheelServer(FILES, ca)
    with serving(found):
        yield found


def inspect(folder: Path, target: str, **variables: str) -> tuple[dict[str, Any], str]:
    """The document of `sartor inspect --no-store`, and all that it said, by a user of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    kept.pop("REQUESTS_CA_BUNDLE", None)
    home = {"HOME": str(folder), "SARTOR_HOME": str(folder / "home"), "UV_NO_CONFIG": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "sartor", "inspect", target, "--no-store", "--json"],
        env={**kept, **home, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout), done.stderr


def pip_conf(folder: Path, text: str) -> None:
    path = folder / ".config/pip/pip.conf"
    path.parent.mkdir(parents=True)
    path.write_text(f"[global]\n{text}\n")


@pytest.mark.parametrize(
    "variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"]
)
def test_a_private_authority_by_variable(
    server: TlsWheelServer, pem: str, tmp_path: Path, variable: str
) -> None:
    found, _ = inspect(tmp_path, server.url(NAME), **{variable: pem})
    assert (found["target"], found["size"]) == (NAME, len(FILES[NAME]))


def test_a_private_authority_beside_others(
    server: TlsWheelServer, other_ca: trustme.CA, pem: str, tmp_path: Path
) -> None:
    """What is said to pip holds, whatever a variable says to other programs."""
    another = tmp_path / "another.pem"
    other_ca.cert_pem.write_to_path(str(another))
    pip_conf(tmp_path, f"cert = {pem}\nindex-url = {server.address}/simple")
    found, _ = inspect(tmp_path, "small", SSL_CERT_FILE=str(another))
    assert found["target"] == NAME
    (tmp_path / ".config/pip/pip.conf").write_text("")
    refused, _ = inspect(tmp_path, server.url(NAME), SSL_CERT_FILE=str(another))
    assert refused["code"] == "index-unreachable"


def test_a_folder_of_authorities(server: TlsWheelServer, pem: str, tmp_path: Path) -> None:
    """As uv takes it: files of any name; as OpenSSL does: names that are hashes."""
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "mine.pem").write_bytes(Path(pem).read_bytes())
    found, _ = inspect(tmp_path, server.url(NAME), SSL_CERT_DIR=f"{tmp_path}/missing:{folder}")
    assert found["target"] == NAME
    if shutil.which("openssl") is None:
        pytest.skip("DID NOT RUN: names that are hashes want the program `openssl`")
    command = ["openssl", "x509", "-hash", "-noout", "-in", pem]
    hashed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (folder / "mine.pem").rename(folder / f"{hashed}.0")
    found, _ = inspect(tmp_path, server.url(NAME), SSL_CERT_DIR=str(folder))
    assert found["target"] == NAME


def test_without_the_authority_it_is_refused_and_the_way_out_is_said(
    server: TlsWheelServer, tmp_path: Path
) -> None:
    found, said = inspect(tmp_path, server.url(NAME))
    assert (found["code"], server.seen) == ("index-unreachable", [])
    assert "certificate is not trusted" in found["message"]
    for way in ("`cert`", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "`trusted-host`"):
        assert way in found["hint"]
        assert way in said


def test_a_certificate_for_another_host_is_refused(
    ca: trustme.CA, pem: str, tmp_path: Path
) -> None:
    server = TlsWheelServer(FILES, ca)
    ca.issue_cert("elsewhere.example").configure_cert(server.context)
    with serving(server):
        found, _ = inspect(tmp_path, server.url(NAME), SSL_CERT_FILE=pem)
        assert found["code"] == "index-unreachable"
        assert "127.0.0.1" in found["message"]


def test_a_trusted_host_needs_no_certificate(server: TlsWheelServer, tmp_path: Path) -> None:
    pip_conf(tmp_path, "trusted-host = 127.0.0.1")
    assert inspect(tmp_path, server.url(NAME))[0]["target"] == NAME
    (tmp_path / ".config/pip/pip.conf").write_text("[global]\ntrusted-host = localhost\n")
    assert inspect(tmp_path, server.url(NAME))[0]["code"] == "index-unreachable"


def test_a_file_without_certificates_is_said(server: TlsWheelServer, tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("nothing\n")
    found, _ = inspect(tmp_path, server.url(NAME), SSL_CERT_FILE=str(path))
    assert (found["code"], str(path) in found["message"]) == ("usage", True)


def test_plain_http_where_tls_is_expected(tmp_path: Path) -> None:
    with serving_wheels(FILES) as plain:
        url = plain.url(NAME).replace("http://", "https://")
        found, _ = inspect(tmp_path, url)
        assert found["code"] == "index-unreachable"
        assert "https" in found["hint"]


@pytest.mark.parametrize("variable", ["PIP_CLIENT_CERT", "SSL_CLIENT_CERT"])
def test_a_client_certificate(
    ca: trustme.CA, other_ca: trustme.CA, pem: str, tmp_path: Path, variable: str
) -> None:
    mine = tmp_path / "mine.pem"
    other_ca.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(str(mine))
    server = TlsWheelServer(FILES, ca, other_ca)
    with serving(server):
        known = {"SSL_CERT_FILE": pem, variable: str(mine)}
        found, _ = inspect(tmp_path, server.url(NAME), **known)
        assert found["target"] == NAME
        found, _ = inspect(tmp_path, server.url(NAME), SSL_CERT_FILE=pem)
        assert found["code"] == "index-unreachable"


def test_a_tunnel_through_a_proxy(server: TlsWheelServer, pem: str, tmp_path: Path) -> None:
    proxy = Proxy()
    with serving(proxy):
        found, _ = inspect(tmp_path, server.url(NAME), HTTPS_PROXY=proxy.address, SSL_CERT_FILE=pem)
        assert found["target"] == NAME
        assert set(proxy.asked) == {("CONNECT", f"127.0.0.1:{server.server_port}")}
        proxy.asked.clear()
        known = {"HTTPS_PROXY": proxy.address, "SSL_CERT_FILE": pem, "NO_PROXY": "127.0.0.1"}
        assert inspect(tmp_path, server.url(NAME), **known)[0]["target"] == NAME
        assert proxy.asked == []


def test_a_proxy_that_wants_to_know_who_asks(
    server: TlsWheelServer, pem: str, tmp_path: Path
) -> None:
    proxy = Proxy(f"me:{SECRET}")
    with serving(proxy):
        address = proxy.address.replace("http://", f"http://me:{SECRET}@")
        pip_conf(tmp_path, f"proxy = {address}\ncert = {pem}\nindex-url = {server.address}/simple")
        assert inspect(tmp_path, "small")[0]["target"] == NAME
        assert len(proxy.asked) >= 1
        (tmp_path / ".config/pip/pip.conf").unlink()
        wrong = proxy.address.replace("http://", "http://me:wrong@")
        found, _ = inspect(tmp_path, server.url(NAME), HTTPS_PROXY=wrong, SSL_CERT_FILE=pem)
        assert found["code"] == "index-unreachable"
        assert "proxy" in found["message"]
        assert "HTTPS_PROXY" in found["hint"]
        assert "wrong" not in str(found)


def test_plain_http_through_a_proxy(tmp_path: Path) -> None:
    proxy = Proxy()
    with serving_wheels(FILES) as plain, serving(proxy):
        found, _ = inspect(tmp_path, plain.url(NAME), HTTP_PROXY=proxy.address)
        assert found["target"] == NAME
        assert {method for method, _ in proxy.asked} == {"GET"}


@pytest.fixture
def keyring(tmp_path: Path) -> dict[str, str]:
    """A `keyring` on the PATH that knows one service, and notes what it is asked."""
    program = tmp_path / "bin/keyring"
    program.parent.mkdir()
    program.write_text(KEYRING)
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    return {"PATH": path, "KEYRING_LOG": str(tmp_path / "asked"), "KEYRING_KNOWS": "-"}


def asked(keyring: dict[str, str]) -> list[str]:
    log = Path(keyring["KEYRING_LOG"])
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("user", ["me@", ""])
@pytest.mark.parametrize(
    "provider",
    [{}, {"PIP_KEYRING_PROVIDER": "subprocess"}, {"UV_KEYRING_PROVIDER": "subprocess"}],
    ids=["auto", "pip", "uv"],
)
def test_the_keyring_is_asked_once_where_a_server_wants_credentials(
    keyring: dict[str, str], tmp_path: Path, provider: dict[str, str], user: str
) -> None:
    with serving_wheels(FILES) as plain:
        plain.manners = Manners(user=f"me:{SECRET}")
        index = f"{plain.address.replace('http://', f'http://{user}')}/simple"
        knows = {**keyring, "KEYRING_KNOWS": f"{plain.address}/simple"}
        found, _ = inspect(tmp_path, "small", UV_DEFAULT_INDEX=index, **{**knows, **provider})
        assert found["target"] == NAME
        words = "get {} me" if user else "--mode creds get {}"
        assert asked(keyring) == [words.format(f"{plain.address}/simple")]


def test_the_keyring_by_the_hosts_name(keyring: dict[str, str], tmp_path: Path) -> None:
    with serving_wheels(FILES) as plain:
        plain.manners = Manners(user=f"me:{SECRET}")
        host = f"127.0.0.1:{plain.server_port}"
        pip_conf(tmp_path, f"index-url = http://me@{host}/simple")
        found, _ = inspect(tmp_path, "small", **{**keyring, "KEYRING_KNOWS": host})
        assert found["target"] == NAME
        assert asked(keyring) == [f"get http://{host}/simple me", f"get {host} me"]


@pytest.mark.parametrize(
    "told",
    [
        {"PIP_KEYRING_PROVIDER": "disabled"},
        {"UV_KEYRING_PROVIDER": "disabled", "PIP_KEYRING_PROVIDER": "subprocess"},
        {"PIP_NO_INPUT": "1"},
    ],
)
def test_the_keyring_is_not_asked_where_that_is_said(
    keyring: dict[str, str], tmp_path: Path, told: dict[str, str]
) -> None:
    with serving_wheels(FILES) as plain:
        plain.manners = Manners(user=f"me:{SECRET}")
        known = {**keyring, "KEYRING_KNOWS": f"{plain.address}/simple"}
        found, _ = inspect(
            tmp_path, "small", UV_DEFAULT_INDEX=f"{plain.address}/simple", **{**known, **told}
        )
        assert (found["code"], asked(keyring)) == ("index-refused", [])
        assert "keyring" in found["hint"]


def test_the_keyring_is_not_asked_for_a_host_that_a_server_leads_to(
    keyring: dict[str, str], tmp_path: Path
) -> None:
    with serving_wheels(FILES) as index, serving_wheels(FILES) as elsewhere:
        elsewhere.manners = Manners(user=f"me:{SECRET}")
        index.manners = Manners(redirect_to=elsewhere.url(NAME))
        known = {**keyring, "KEYRING_KNOWS": f"127.0.0.1:{elsewhere.server_port}"}
        url = f"{index.address}/simple"
        found, _ = inspect(tmp_path, "small", UV_DEFAULT_INDEX=url, **known)
        assert (found["code"], asked(keyring)) == ("index-refused", [])


def test_what_the_keyring_says_may_be_wrong(keyring: dict[str, str], tmp_path: Path) -> None:
    with serving_wheels(FILES) as plain:
        plain.manners = Manners(user="me:another")
        known = {**keyring, "KEYRING_KNOWS": f"{plain.address}/simple"}
        found, _ = inspect(tmp_path, "small", UV_DEFAULT_INDEX=f"{plain.address}/simple", **known)
        assert (found["code"], len(asked(keyring))) == ("index-refused", 1)
