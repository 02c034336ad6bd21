"""Challenges of registries, whom a login is sent to, and what is kept of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.index.sources import Access
from sartor.remote.image_reference import parse_image
from sartor.remote.registry_auth import OneServer, challenges, same_site
from sartor.remote.registry_logins import Login, login_for
from sartor.remote.registry_settings import is_loopback, server_of

if TYPE_CHECKING:
    from pathlib import Path


def test_challenges_as_they_are_sent() -> None:
    (hub,) = challenges(
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
        'scope="repository:a/b:pull,push"'
    )
    assert hub.scheme == "bearer"
    assert hub.parameters["scope"] == "repository:a/b:pull,push"
    both = challenges('Basic realm="a \\"b\\"", Bearer realm=https://x/t , service="y"')
    assert [c.scheme for c in both] == ["basic", "bearer"]
    assert both[0].parameters == {"realm": 'a "b"'}
    assert both[1].parameters == {"realm": "https://x/t", "service": "y"}
    assert challenges("Negotiate, Basic")[1].scheme == "basic"
    assert challenges("") == []


@given(st.text(st.sampled_from('Basic Ber="\\, \t=x1'), max_size=60) | st.text(max_size=60))
def test_any_header_is_read(text: str) -> None:
    for challenge in challenges(text):
        assert challenge.scheme


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("auth.docker.io", "registry-1.docker.io", True),
        ("gitlab.com", "registry.gitlab.com", True),
        ("ghcr.io", "ghcr.io", True),
        ("evil.example", "ghcr.io", False),
        ("a.co.uk", "b.co.uk", False),
        ("t.a.co.uk", "r.a.co.uk", True),
        ("10.0.0.1", "10.1.0.1", False),
        ("docker.io.evil.example", "docker.io", False),
        ("localhost", "127.0.0.1", False),
    ],
)
def test_sites(one: str, other: str, same: bool) -> None:
    assert same_site(("https", one, 443), ("https", other, 443)) is same


def test_only_its_own_server_is_told() -> None:
    access = OneServer(Access(), "https://ghcr.io")
    access.said = ("ada", "walnut")
    assert access.credentials_for("https://ghcr.io/v2/") == ("ada", "walnut")
    for url in ("https://ghcr.io:8443/", "http://ghcr.io/", "https://x.ghcr.io/", "https://cdn/"):
        assert not isinstance(access.credentials_for(url), tuple)
    assert "walnut" not in repr(access) + repr(Login("ada", "walnut"))


def config(folder: Path, content: object) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(content))
    return {"DOCKER_CONFIG": str(folder), "HOME": str(folder)}


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("docker://vllm/vllm-openai", "hub"),
        ("docker://ghcr.io/a/b", "ghcr"),
        ("docker://quay.io/own/deep/app", "deep"),
        ("docker://quay.io/own/app", "own"),
        ("docker://quay.io/other/app", None),
        ("docker://old.example/app", "old"),
        ("docker://old.example:5000/app", None),
    ],
)
def test_the_most_special_key_counts(image: str, user: str | None, tmp_path: Path) -> None:
    keys = {
        "https://index.docker.io/v1/": "hub",
        "ghcr.io": "ghcr",
        "quay.io/own": "own",
        "quay.io/own/deep": "deep",
        "https://old.example/v1/": "old",
    }
    auths = {key: {"username": name, "password": "x"} for key, name in keys.items()}
    found = login_for(
        parse_image(image.removeprefix("docker://")), config(tmp_path, {"auths": auths})
    )
    assert (found.user if found else None) == user


def test_helpers_go_before_what_the_file_holds(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def ask(name: str, server: str) -> Login | None:
        asked.append((name, server))
        return Login("helped", "x") if name == "one" else None

    held = {"username": "held", "password": "x"}
    content = {
        "auths": {"a.example": held, "b.example": held, "https://index.docker.io/v1/": {}},
        "credHelpers": {"a.example": "one"},
        "credsStore": "two",
    }
    variables = config(tmp_path, content)
    users = []
    for name in ("a.example/x", "b.example/x", "x/y"):
        found = login_for(parse_image(name), variables, ask)
        users.append(found.user if found else None)
    assert users == ["helped", "held", None]
    assert asked == [
        ("one", "a.example"),
        ("two", "b.example"),
        ("two", "https://index.docker.io/v1/"),
    ]


@pytest.mark.parametrize("content", ["", "[]", '{"auths": 3}', '{"auths": {"a.b": {"auth": "%"}}}'])
def test_files_that_are_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    variables = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    assert login_for(parse_image("a.b/c"), variables) is None


def conf(folder: Path, text: str) -> dict[str, str]:
    (folder / "registries.conf").write_text(text)
    named = str(folder / "registries.conf")
    return {"CONTAINERS_REGISTRIES_CONF": named, "HOME": str(folder)}


def test_registries_conf(tmp_path: Path) -> None:
    variables = conf(
        tmp_path,
        """
        [[registry]]
        location = "plain.example:5000"
        insecure = true
        [[registry]]
        prefix = "old.example/team"
        location = "new.example/moved"
        [[registry]]
        prefix = "*.bad.example"
        blocked = true
        """,
    )
    plain = server_of(parse_image("plain.example:5000/a"), variables)
    assert (plain.host, plain.insecure) == ("plain.example:5000", True)
    moved = server_of(parse_image("old.example/team/app"), variables)
    assert (moved.host, moved.repository, moved.insecure) == ("new.example", "moved/app", False)
    assert server_of(parse_image("old.example/teams/app"), variables).host == "old.example"
    assert server_of(parse_image("x.bad.example/a"), variables).blocked
    variables = conf(tmp_path, '[registries.insecure]\nregistries = ["v1.example"]\n')
    assert server_of(parse_image("v1.example/a"), variables).insecure
    assert not server_of(parse_image("v2.example/a"), variables).insecure
    assert not server_of(parse_image("v2.example/a"), conf(tmp_path, "no = [toml")).insecure


def test_daemon_json(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    named = {"insecure-registries": ["plain.example:5000", "10.1.0.0/16"]}
    (tmp_path / "docker/daemon.json").write_text(json.dumps(named))
    variables = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    found = [
        server_of(parse_image(f"{host}/a"), variables).insecure
        for host in ("plain.example:5000", "plain.example", "10.1.2.3:5000", "10.2.0.1:5000")
    ]
    assert found == [True, False, True, False]


def test_loopback() -> None:
    for host in ("localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000"):
        assert is_loopback(host)
    for host in ("localhost.example", "128.0.0.1", "127.0.0.1.example:5000", "[::2]:5000", ""):
        assert not is_loopback(host)
