"""Unit tests cannot act: no programs, no network, no GPU. There is no way to opt out."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pynvml
import pytest

import sartor.host.nvml

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = ("system", "popen", "posix_spawn", "posix_spawnp", "execv", "execve", "fork", "forkpty")
CONNECTIONS = ("connect", "connect_ex", "bind", "listen", "sendto")


def refuse(what: str) -> Callable[..., NoReturn]:
    """A stand-in that fails the test; not an `Exception`, so nothing can swallow it."""

    def refused(*_: object, **__: object) -> NoReturn:
        pytest.fail(f"a unit test may not {what}; use a captured machine, or tests/integration")

    return refused


@pytest.fixture(autouse=True)
def unit_tests_cannot_act(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse("start a program"))
    for name in PROGRAMS:
        monkeypatch.setattr(os, name, refuse("start a program"))
    for name in CONNECTIONS:
        monkeypatch.setattr(socket.socket, name, refuse("use the network"))
    monkeypatch.setattr(socket, "getaddrinfo", refuse("use the network"))
    monkeypatch.setattr(pynvml, "nvmlInit", refuse("ask NVML"))
    monkeypatch.setattr(pynvml, "nvmlInitWithFlags", refuse("ask NVML"))
    monkeypatch.setattr(sartor.host.nvml, "load_library", refuse("load the driver's library"))
