#!/usr/bin/env python3
"""Make the environment that `./sartor` and `./test` run in, with nothing but Python and pip.

Runs on any Python from 3.8 on and on Debian's own, which has no `venv` and refuses `pip install`:
pip is only asked to unpack uv into a folder (`--target`), and uv does the rest. Proxies, mirrors
and certificates come from the user's pip and uv configuration. A finished environment is found
again by the digest of what it was made from; an unfinished one is made anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


def main() -> None:
    """Bootstrap for a profile (``run`` or ``check``), then become its command."""
    profile, command = sys.argv[1], sys.argv[2:]
    environment = ensure(profile)
    os.environ["PATH"] = os.pathsep.join([str(environment / "bin"), os.environ.get("PATH", "")])
    program = environment / "bin" / command[0]
    os.execv(str(program), [str(program), *command[1:]])  # noqa: S606


def ensure(profile: str) -> Path:
    """The environment of a profile, made where it is not there yet."""
    requirements = ROOT / "requirements" / f"{profile}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + (ROOT / "pyproject.toml").read_bytes())
    digest.update(str(sys.executable).encode())
    environment = ROOT / f".venv-{profile}"
    stamp = environment / "made-from"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return environment
    say(f"making {environment} (once)")
    shutil.rmtree(str(environment), ignore_errors=True)
    uv = find_uv()
    call([uv, "venv", "--quiet", "--no-project", "--python", choose_python(), str(environment)])
    python = str(environment / "bin" / "python")
    call([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(requirements)])
    call([uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "-e", str(ROOT)])
    stamp.write_text(digest.hexdigest())
    return environment


def choose_python() -> str:
    """This interpreter where it is new enough; else uv looks for one, or fetches one."""
    if sys.version_info >= OLDEST:
        return sys.executable
    return f">={OLDEST[0]}.{OLDEST[1]}"


def find_uv() -> str:
    """uv from PATH, else from the folder of an earlier bootstrap, else by pip into that folder."""
    found = shutil.which("uv")
    if found:
        return found
    folder = ROOT / ".venv-uv"
    uv = folder / "bin" / "uv"
    if uv.exists():
        return str(uv)
    say("fetching uv with pip (once)")
    partial = ROOT / ".venv-uv.partial"
    shutil.rmtree(str(partial), ignore_errors=True)
    pins = (ROOT / "requirements" / "run.txt").read_text().splitlines()
    pin = next(line.split()[0] for line in pins if line.startswith("uv=="))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    try:
        call([*pip, "install", "--quiet", "--no-deps", "--target", str(partial), pin])
    except SystemExit:
        say("hint: pip is needed once: `apt install python3-pip`, or put `uv` on PATH")
        raise
    partial.rename(folder)
    return str(uv)


def call(argv: list[str]) -> None:
    """Run a program; where it fails, its own words are the message."""
    environment = dict(os.environ)
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    environment.pop("VIRTUAL_ENV", None)
    for theirs, ours in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_CERT", "SSL_CERT_FILE")):
        if os.environ.get(theirs):
            environment.setdefault(ours, os.environ[theirs])
    status = subprocess.call(argv, env=environment)
    if status:
        say(f"error: `{' '.join(argv)}` ended with status {status}")
        raise SystemExit(status)


def say(text: str) -> None:
    """Talk goes to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
