"""What is said to pip is handed to uv, and what is said to uv wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartor.build.network import pip_settings, uv_environment


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
