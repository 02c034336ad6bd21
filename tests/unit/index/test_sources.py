"""Indexes, credentials and proxies, as pip and uv are configured; none of it is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartor.index.sources import Access, access, index_sources


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose home is empty."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


def uv_toml(home: dict[str, str], text: str) -> None:
    file = Path(home["HOME"]) / ".config/uv/uv.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_nothing_configured_is_the_default(home: dict[str, str]) -> None:
    found = index_sources(home)
    assert (found.indexes, found.find_links) == ([None], [])


def test_what_is_said_to_pip(home: dict[str, str], tmp_path: Path) -> None:
    environ = {
        **home,
        "PIP_INDEX_URL": "https://one.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://two.example/simple https://three.example/simple",
        "PIP_FIND_LINKS": f"{tmp_path} {tmp_path}/missing",
    }
    found = index_sources(environ)
    assert found.indexes == [f"https://{n}.example/simple" for n in ("one", "two", "three")]
    assert found.find_links == [str(tmp_path)]
    assert index_sources({**environ, "PIP_NO_INDEX": "1"}).indexes == []


def test_what_is_said_to_uv_wins(home: dict[str, str]) -> None:
    uv_toml(
        home,
        '[[index]]\nname = "mine"\nurl = "https://a.example"\n'
        '[[index]]\nurl = "https://b.example"\ndefault = true\n'
        '[[index]]\nurl = "https://c.example"\nexplicit = true\n',
    )
    environ = {**home, "PIP_INDEX_URL": "https://p.example", "UV_INDEX_MINE_USERNAME": "me"}
    environ["UV_INDEX_MINE_PASSWORD"] = "s3cret"
    found = index_sources(environ)
    assert found.indexes == ["https://b.example", "https://a.example"]
    assert access(found, environ).credentials_for("https://a.example/f.whl") == ("me", "s3cret")
    named = index_sources({**environ, "UV_INDEX": "x=https://x.example https://y.example"})
    assert named.indexes == ["https://b.example", "https://x.example", "https://y.example"]


def test_credentials_are_for_their_place_alone() -> None:
    found = Access(["https://me:p%40ss@one.example/simple", "http://[::1/", "file:///x"])
    assert found.credentials_for("https://one.example:443/files/x.whl") == ("me", "p@ss")
    for other in (
        "https://two.example/x",
        "http://one.example/x",
        "https://one.example:444/x",
        "https://sub.one.example/x",
        "https://one.example.evil.example/x",
        "https://x@[::1/",
    ):
        assert found.credentials_for(other) is None


def test_nothing_is_shown(home: dict[str, str]) -> None:
    environ = {**home, "PIP_INDEX_URL": "https://me:s3cret@one.example/simple"}
    found = index_sources(environ)
    for text in (repr(found), str(found), repr(access(found, environ)), f"{access(found)}"):
        assert "s3cret" not in text
        assert "me:" not in text


def test_proxies_and_certificates(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    environ = {**home, "PIP_PROXY": "proxy.example:3128", "PIP_TRUSTED_HOST": "one.example x:81"}
    found = access(index_sources(environ), environ)
    proxy = "http://proxy.example:3128"
    assert found.proxies_for("https://one.example/") == {"http": proxy, "https": proxy}
    monkeypatch.setenv("NO_PROXY", "one.example")
    assert found.proxies_for("https://one.example/") == {}
    assert found.trusts("https://one.example/a")
    assert found.trusts("https://x:81/a")
    assert not found.trusts("https://x/a")
    elsewhere = {**environ, "HTTPS_PROXY": "http://other.example"}
    assert access(index_sources(elsewhere), elsewhere).proxies_for("https://y.example/") == {}
