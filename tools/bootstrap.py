#!/usr/bin/env python3
"""Make the environment that `./sartor` and `./test` run in, with nothing but Python and pip.

Runs on any Python from 3.8 on and on Debian's own, which has no `venv` and refuses `pip install`:
pip is only asked to unpack uv into a folder (`--target`), and uv does the rest. Proxies, mirrors
and certificates come from the user's pip and uv configuration. A finished environment is found
again by the digest of what it was made from, whichever Python asks for it; a new one is made
beside it and takes its place once it is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


# Ends with 0 where the interpreter is of the version that the environment's packages are for.
FITS = """
import os, sys
packages = "python%d.%d" % sys.version_info[:2]
sys.exit(not os.path.isdir(os.path.join(sys.argv[1], "lib", packages, "site-packages")))
"""


def main() -> None:
    """Bootstrap for a profile (``run`` or ``check``), then become its command."""
    profile, command = sys.argv[1], sys.argv[2:]
    environment = ensure(profile)
    path = os.environ.get("PATH") or os.defpath
    os.environ["PATH"] = os.pathsep.join([str(environment / "bin"), path])
    program = environment / "bin" / command[0]
    os.execv(str(program), [str(program), *command[1:]])  # noqa: S606


def ensure(profile: str) -> Path:
    """The environment of a profile, made where it is not there yet.

    Two calls at once make it once: the other one waits.
    """
    requirements = ROOT / "requirements" / f"{profile}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + (ROOT / "pyproject.toml").read_bytes())
    digest.update(str(ROOT).encode())  # the environment names the tree that it runs
    environment = ROOT / f".venv-{profile}"
    if not usable(environment, digest.hexdigest()):
        with locked():
            if not usable(environment, digest.hexdigest()):
                make(environment, requirements, digest.hexdigest())
    return environment


def usable(environment: Path, digest: str) -> bool:
    """Whether an environment was made from what ``digest`` stands for, and its Python still runs.

    An upgrade of the system can take the Python away, or put another version in its place.
    """
    try:
        if (environment / "made-from").read_text() != digest:
            return False
        python = str(environment / "bin" / "python")
        asked = [python, "-I", "-S", "-c", FITS, str(environment)]
        return subprocess.call(asked, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock of this tree's environments; says that it waits for another process."""
    with (ROOT / ".venv-lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is making an environment here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(environment: Path, requirements: Path, digest: str) -> None:
    """Make an environment beside the old one, and put it in its place once it is whole."""
    say(f"making {environment} (once)")
    partial = environment.with_name(environment.name + ".partial")
    shutil.rmtree(str(partial), ignore_errors=True)
    try:
        fill(partial, requirements)
        (partial / "made-from").write_text(digest)
        replace(environment, partial)
    finally:
        shutil.rmtree(str(partial), ignore_errors=True)


def fill(environment: Path, requirements: Path) -> None:
    """A relocatable environment with what is pinned and, editable, the project itself."""
    uv = find_uv()
    venv = [uv, "venv", "--quiet", "--relocatable", "--no-project", "--python", choose_python()]
    call([*venv, str(environment)])
    python = str(environment / "bin" / "python")
    call([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(requirements)])
    call([uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "-e", str(ROOT)])


def replace(folder: Path, new: Path) -> None:
    """Put ``new`` where ``folder`` is, if it is there; the old one goes last."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(str(old), ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(str(old), ignore_errors=True)


def choose_python() -> str:
    """This interpreter where it is new enough; else uv looks for one, or fetches one."""
    if sys.version_info >= OLDEST:
        return interpreter()
    return f">={OLDEST[0]}.{OLDEST[1]}"


def interpreter() -> str:
    """This interpreter's path, which Python itself cannot tell where there is no PATH."""
    if sys.executable:
        return sys.executable
    try:
        return os.readlink("/proc/self/exe")  # noqa: PTH115 - the method came with 3.9
    except OSError:
        found = shutil.which("python3")
    if found is None:
        say("error: this Python does not know its own path")
        say("hint: set PATH, or start it by its whole path: `/usr/bin/python3`")
        raise SystemExit(1)
    return found


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
    pip = [interpreter(), "-m", "pip", "--disable-pip-version-check"]
    try:
        call([*pip, "install", "--quiet", "--no-deps", "--target", str(partial), pin])
    except SystemExit:
        say("hint: pip is needed once: `apt install python3-pip`, or put `uv` on PATH")
        raise
    replace(folder, partial)
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
