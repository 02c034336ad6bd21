"""Addresses, ports and keys: who may talk to a server."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
from pathlib import Path

from sartor.errors import PortInUseError, UsageError
from sartor.paths import write_atomically

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


def choose_port(address: str, asked: int | None) -> tuple[int, str | None]:
    """A free port, and a remark where it is not the usual one.

    Raises `PortInUseError` where ``asked`` is taken, with its holder where that can be seen.
    """
    if asked is not None:
        if not port_is_free(address, asked):
            raise PortInUseError(
                f"port {asked} on {address} is in use",
                found=_holder(asked),
                hint="name another with `--port`, or leave it out to have a free one chosen; "
                "`sartor status` shows the ports of Sartor's own servers",
            )
        return asked, None
    for port in range(DEFAULT_PORT, DEFAULT_PORT + 100):
        if port_is_free(address, port):
            taken = None if port == DEFAULT_PORT else f"port {DEFAULT_PORT} is in use; took {port}"
            return port, taken
    raise PortInUseError(
        f"no free port from {DEFAULT_PORT} to {DEFAULT_PORT + 99} on {address}",
        hint="name one with `--port`",
    )


def port_is_free(address: str, port: int) -> bool:
    """Whether a server could bind the port now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OverflowError:
        raise UsageError(f"{port} is not a port", hint="ports are 1 to 65535") from None
    except PermissionError:
        raise UsageError(f"port {port} is for root alone", hint="take a port above 1023") from None
    except OSError as error:
        if error.errno == getattr(os, "EADDRNOTAVAIL", 99):
            raise UsageError(
                f"{address} is not an address of this machine",
                hint="`ip address` lists them; 127.0.0.1 always works",
            ) from None
        return False
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
    if not key or len(key.split()) != 1:
        raise UsageError(f"the API key file `{path}` must hold one word, the key")
    return key


def write_key(folder: Path, given: str | None, address: str) -> Path | None:
    """The file that holds the run's key, mode 0600; None where no key is wanted or needed."""
    if not given and not needs_key(address):
        return None
    path = folder / "api-key"
    write_atomically(path, (given or secrets.token_urlsafe(32)) + "\n", mode=0o600)
    return path
