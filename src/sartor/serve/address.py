"""Addresses, ports and keys: who may talk to a server."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import PortInUseError, UsageError
from sartor.paths import write_atomically
from sartor.serve.runs import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = 8000
KEY_VARIABLE = "SARTOR_API_KEY"


def listen_address(text: str) -> str:
    """The IP address to bind for ``--listen``; raises `UsageError` for anything else."""
    if text == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise UsageError(
            f"`{text}` is not an address to listen on",
            hint="give an IP address of this machine, for example `--listen 127.0.0.1`, or "
            "`--listen 0.0.0.0` for all of them (an API key is made then)",
        ) from None


def needs_key(address: str) -> bool:
    """Whether others than this machine's own users can reach the address."""
    return not ipaddress.ip_address(address).is_loopback


def choose_port(
    address: str, asked: int | None, promised: Mapping[int, str]
) -> tuple[int, str | None]:
    """A free port, and a remark where it is not the usual one.

    ``promised`` are ports of runs that may not listen yet, with their names. Raises
    `PortInUseError` where ``asked`` is taken, with its holder where that can be seen.
    """
    if asked is not None:
        if asked in promised or not port_is_free(address, asked):
            holder = [f"held by run {promised[asked]}"] if asked in promised else _holder(asked)
            raise PortInUseError(
                f"port {asked} on {address} is in use",
                found=holder,
                hint="name another with `--port`, or leave it out to have a free one chosen; "
                "`sartor status` shows the ports of Sartor's own servers",
            )
        return asked, None
    for port in range(DEFAULT_PORT, DEFAULT_PORT + 100):
        if port not in promised and port_is_free(address, port):
            taken = None if port == DEFAULT_PORT else f"port {DEFAULT_PORT} is in use; took {port}"
            return port, taken
    raise PortInUseError(
        f"no free port from {DEFAULT_PORT} to {DEFAULT_PORT + 99} on {address}",
        hint="name one with `--port`",
    )


def checked_port(port: int) -> int:
    """``port`` where it can be one; raises `UsageError`."""
    if not 1 <= port <= 65535:
        raise UsageError(f"{port} is not a port", hint="ports are 1 to 65535")
    return port


def port_is_free(address: str, port: int) -> bool:
    """Whether a server could bind the port now; raises `UsageError` where none ever could.

    A server that has bound and does not listen yet lets others bind too, where all ask for the
    same option. Without one nobody can; nor where connections of an earlier server are closing,
    and then vLLM's and uvicorn's option must do, and llama.cpp's.
    """
    checked_port(port)
    if _binds(address, port):
        return True
    options = (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
    return all(_binds(address, port, option) for option in options) and _closing(port)


def _binds(address: str, port: int, option: int | None = None) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if option is not None:
                probe.setsockopt(socket.SOL_SOCKET, option, 1)
            probe.bind((address, port))
    except PermissionError:
        raise UsageError(f"port {port} is for root alone", hint="take a port above 1023") from None
    except OSError as error:
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            raise UsageError(
                f"{address} is not an address of this machine",
                hint="`ip address` lists them; 127.0.0.1 always works",
            ) from None
        return False
    return True


def _closing(port: int) -> bool:
    """Whether a connection of the port is there that is not a listener's."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        found = [c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port]
        return any(c.status != psutil.CONN_LISTEN for c in found)
    return True


def _holder(port: int) -> list[str]:
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port:
                if connection.pid:
                    process = psutil.Process(connection.pid)
                    return [f"held by process {connection.pid} ({process.name()})"]
                return ["held by a process of another user"]
    return []


def read_key(path: str) -> str:
    """The key in a user's file; raises `UsageError` where there is none."""
    try:
        key = Path(path).expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the API key file `{path}` cannot be read: {error}") from error
    return checked_key(key, f"the API key file `{path}`")


def given_key(path: str | None, environ: Mapping[str, str]) -> str | None:
    """The user's own key, from a file or from ``SARTOR_API_KEY``; None where none is given."""
    if path:
        return read_key(path)
    key = environ.get(KEY_VARIABLE)
    return checked_key(key, f"the variable {KEY_VARIABLE}") if key else None


def checked_key(key: str, where: str) -> str:
    """``key`` where a client can send it; raises `UsageError`, without the key, where none can."""
    if not key or not all("!" <= letter <= "~" for letter in key):
        raise UsageError(
            f"{where} must hold one word, the key",
            hint="a key is sent in an HTTP header: letters, digits and punctuation of ASCII",
        )
    return key


def write_key(folder: Path, given: str | None, address: str) -> Path | None:
    """The file that holds the run's key, mode 0600; None where no key is wanted or needed."""
    if not given and not needs_key(address):
        return None
    path = folder / KEY
    write_atomically(path, (given or secrets.token_urlsafe(32)) + "\n", mode=0o600)
    return path
