"""What is said to pip is handed to uv, and what is said to uv wins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sartor.index.network import (
    as_configured,
    default_index,
    pip_settings,
    uv_environment,
    uv_options,
)


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose home is empty."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg"), "SSL_CERT_FILE": "x"}


def write_pip(home: dict[str, str], text: str) -> None:
    """The user's pip.conf."""
    file = Path(home["HOME"]) / ".config/pip/pip.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_file(home: dict[str, str]) -> None:
    write_pip(home, "[global]\nindex-url = https://mirror.example/simple\ntimeout = 60\n")
    assert pip_settings(home)["index-url"] == "https://mirror.example/simple"
    assert uv_environment(home)["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"


def test_variables_go_before_files(home: dict[str, str]) -> None:
    write_pip(home, "[global]\nindex_url = https://one.example/simple\n")
    environ = {**home, "PIP_INDEX_URL": "https://two.example/simple"}
    assert uv_environment(environ)["UV_DEFAULT_INDEX"] == "https://two.example/simple"


def test_what_is_said_to_uv_wins(home: dict[str, str]) -> None:
    environ = {
        **home,
        "PIP_INDEX_URL": "https://a.example",
        "UV_DEFAULT_INDEX": "https://b.example",
    }
    assert "UV_DEFAULT_INDEX" not in uv_environment(environ)
    config = Path(home["HOME"]) / ".config/uv/uv.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[[index]]\nurl = "https://c.example"\ndefault = true\n')
    assert "UV_DEFAULT_INDEX" not in uv_environment({**home, "PIP_INDEX_URL": "https://a.example"})


def test_folders_that_are_not_there_are_left_out(home: dict[str, str], tmp_path: Path) -> None:
    environ = {**home, "PIP_FIND_LINKS": f"{tmp_path} {tmp_path}/missing https://x.example/w"}
    assert uv_environment(environ)["UV_FIND_LINKS"] == f"{tmp_path},https://x.example/w"


def test_no_file_at_all(home: dict[str, str]) -> None:
    write_pip(home, "[global]\nindex-url = https://mirror.example/simple\n")
    assert "UV_DEFAULT_INDEX" not in uv_environment({**home, "PIP_CONFIG_FILE": "/dev/null"})


@pytest.mark.parametrize("text", ["no section", "[global\nx", "\x00", "[global]\nindex-url\n"])
def test_a_file_that_cannot_be_read_is_passed_over(home: dict[str, str], text: str) -> None:
    write_pip(home, text)
    assert "UV_DEFAULT_INDEX" not in uv_environment(home)


def test_certificates_and_proxies(home: dict[str, str]) -> None:
    without = {k: v for k, v in home.items() if k != "SSL_CERT_FILE"}
    environ = {**without, "PIP_CERT": "/etc/own.pem", "PIP_PROXY": "http://proxy.example:3128"}
    added = uv_environment(environ)
    assert added["SSL_CERT_FILE"] == "/etc/own.pem"
    assert added["HTTPS_PROXY"] == added["HTTP_PROXY"] == "http://proxy.example:3128"
    assert "HTTPS_PROXY" not in uv_environment({**environ, "https_proxy": "http://other.example"})


@pytest.mark.parametrize(("said", "meant"), [("1", True), ("Yes", True), ("false", False)])
def test_no_index(home: dict[str, str], said: str, meant: bool) -> None:
    write_pip(home, f"[install]\nno-index = {said}\nfind-links = https://x.example/w\n")
    assert uv_options(["pip", "sync", "x"], home) == (("--no-index",) if meant else ())
    assert uv_options(["venv", "x"], home) == ()
    assert uv_options(["build"], {**home, "UV_DEFAULT_INDEX": "https://a.example"}) == ()
    assert uv_environment(home)["UV_FIND_LINKS"] == "https://x.example/w"


def test_clients_in_this_process_use_the_proxy_too(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "")  # so that it is put back
    for name, value in {**home, "PIP_PROXY": "proxy.example:3128"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "x")
    as_configured()
    assert os.environ["HTTPS_PROXY"] == os.environ["HTTP_PROXY"] == "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("https://a.example/simple?to=http://b.example", None),
        ("mine=https://a.example/simple?k=v", "https://a.example/simple?k=v"),
    ],
)
def test_the_default_index_by_variable(home: dict[str, str], said: str, meant: str | None) -> None:
    assert default_index({**home, "UV_DEFAULT_INDEX": said}) == (meant or said)


TWO = """
[[index]]
url = "https://e.example"
[[index]]
url = "https://c.example"
default = true
"""


@pytest.mark.parametrize("folder", [".config", "xdg"])
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (TWO, "https://c.example"),
        ('index-url = "https://c.example"\n', "https://c.example"),
        ('[pip]\nindex-url = "https://c.example"\n', "https://c.example"),
        ('[[index]]\nurl = "https://e.example"\n', None),
        ('cache-dir = "/index"\n', "https://pip.example"),
        ("index-url = ", "https://pip.example"),
    ],
)
def test_the_default_index_by_file(
    home: dict[str, str], folder: str, text: str, meant: str | None
) -> None:
    config = Path(home["HOME"]) / folder / "uv/uv.toml"
    config.parent.mkdir(parents=True)
    config.write_text(text)
    environ = {**home, "PIP_INDEX_URL": "https://pip.example"}
    assert default_index(environ) == meant
    assert ("UV_DEFAULT_INDEX" in uv_environment(environ)) == (meant == "https://pip.example")
    assert default_index({**environ, "UV_NO_CONFIG": "1"}) == "https://pip.example"
