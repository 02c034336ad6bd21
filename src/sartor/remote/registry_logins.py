"""Who the user is to a registry, as `docker login` and `podman login` keep it.

Of podman's and docker's files the first that knows the registry counts, and in it a credential
helper before what the file itself holds. Nothing here shows a password.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.facts.registries import registries
from sartor.processes import bounded, child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sartor.remote.image_reference import ImageReference

HELPER = re.compile(r"[\w.-]{1,100}", re.ASCII)
HELPER_SECONDS = 30.0
MOST_FILE = 1 << 20
IDENTITY = "<token>"
"""The user's name where the secret is a token to get others with."""


class Login:
    """User and password, or (``is_identity``) a token that is changed for others."""

    def __init__(self, user: str, secret: str, *, is_identity: bool = False) -> None:
        self.user = user
        self.secret = secret
        self.is_identity = is_identity

    def __repr__(self) -> str:
        return "Login()"


class _Auth(msgspec.Struct, frozen=True):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _File(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Auth] = {}
    cred_helpers: dict[str, str] = {}
    creds_store: str = ""


def login_for(
    reference: ImageReference,
    environ: Mapping[str, str] | None = None,
    ask: Callable[[str, str], Login | None] | None = None,
) -> Login | None:
    """The user's login for an image's registry, or None.

    ``ask`` gives what the helper of a name says of a server; it is `ask_helper` unless told.
    """
    environ = os.environ if environ is None else environ
    for path in _places(environ):
        if (file := _read(path)) and (found := _in_file(file, reference, ask or ask_helper)):
            return found
    return None


def _places(environ: Mapping[str, str]) -> Iterator[Path]:
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
        return
    home = Path(environ.get("HOME", "/nonexistent"))
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers/auth.json"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json"
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def _read(path: Path) -> _File | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MOST_FILE), type=_File)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _in_file(
    file: _File, reference: ImageReference, ask: Callable[[str, str], Login | None]
) -> Login | None:
    keys = list(_keys(reference))
    servers = [key for key in keys if key in file.cred_helpers]
    helper = file.cred_helpers[servers[0]] if servers else file.creds_store
    if helper:
        for server in servers[:1] or _servers(reference):
            if found := ask(helper, server):
                return found
    by_name = {_bare(name): auth for name, auth in reversed(file.auths.items())}
    for key in keys:
        auth = file.auths.get(key) or by_name.get(key)
        if auth and (found := _held(auth)):
            return found
    return None


def _keys(reference: ImageReference) -> Iterator[str]:
    """The names under which it may stand, the most special first: podman knows namespaces."""
    parts = reference.repository.split("/")
    for length in range(len(parts), 0, -1):
        yield "/".join([reference.registry, *parts[:length]])
    yield from _servers(reference)
    yield from (name for name in (reference.registry, reference.host))


def _servers(reference: ImageReference) -> list[str]:
    """What the registry is called to docker's helpers."""
    logins = [row.login for row in registries() if row.host == reference.host]
    return logins or [reference.host]


def _bare(name: str) -> str:
    """A key without scheme, and where it had one, without its path."""
    scheme, found, rest = name.partition("://")
    return rest.partition("/")[0] if found else scheme


def _held(auth: _Auth) -> Login | None:
    user, password = auth.username, auth.password
    if auth.auth:
        try:
            plain = base64.b64decode(auth.auth, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            plain = ""
        user, _, password = plain.partition(":")
        password = password.rstrip("\0")
    if auth.identitytoken:
        return Login(user, auth.identitytoken, is_identity=True)
    return Login(user, password) if user and password else None


class _Said(msgspec.Struct, frozen=True, rename="pascal"):
    username: str
    secret: str


def ask_helper(name: str, server: str) -> Login | None:
    """What `docker-credential-NAME get` says of a server; None where it knows nothing."""
    if not HELPER.fullmatch(name):
        return None
    try:
        process = subprocess.Popen(
            [f"docker-credential-{name}", "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            start_new_session=True,
        )
    except OSError:
        return None
    with bounded(process):
        try:
            said, _ = process.communicate(server.encode(), timeout=HELPER_SECONDS)
        except (subprocess.TimeoutExpired, OSError):
            return None
    try:
        answer = msgspec.json.decode(said[:MOST_FILE], type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if process.returncode or not answer.secret:
        return None
    return Login(answer.username, answer.secret, is_identity=answer.username == IDENTITY)
