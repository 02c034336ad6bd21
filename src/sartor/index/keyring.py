"""The user's keyring, asked as pip and uv ask it: through the program `keyring`.

pip's ``keyring-provider`` is ``auto`` unless told: the program is asked where it is there, unless
``no-input`` holds. uv's is ``disabled`` unless told, and what is said to uv wins. Of pip's
``import``, which is of pip's own environment, the program is what can be asked from outside.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from sartor.index import network

if TYPE_CHECKING:
    from collections.abc import Mapping

ASKED = frozenset({"auto", "import", "subprocess"})


def keyring_program(environ: Mapping[str, str] | None = None) -> str | None:
    """The program to ask; None where there is none, or none is to be asked."""
    environ = os.environ if environ is None else environ
    to_uv = environ.get("UV_KEYRING_PROVIDER") or next(
        (said for table in network.uv_settings(environ) if (said := table.get("keyring-provider"))),
        None,
    )
    settings = network.pip_settings(environ)
    provider = str(to_uv or settings.get("keyring-provider") or "auto").lower()
    silent = settings.get("no-input", "").lower() in network.TRUE
    if provider not in ASKED or (provider == "auto" and silent):
        return None
    return shutil.which("keyring", path=environ.get("PATH"))


def ask_keyring(program: str, services: list[str], user: str | None) -> tuple[str, str] | None:
    """User and password of the first of the services that it knows; it may talk on stderr."""
    for service in services:
        words = ["get", service, user] if user else ["--mode", "creds", "get", service]
        try:
            done = subprocess.run(
                [program, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
                check=False,
            )
        except OSError:
            return None
        text = done.stdout.decode("utf-8", "replace").strip("\r\n")
        lines = [line.rstrip("\r") for line in text.split("\n")]
        found = [user, *lines] if user else lines
        if done.returncode == 0 and len(found) == 2 and found[0]:
            return found[0], found[1] or ""
    return None
