"""Asking the other tools: uv what resolves, and readelf, cuobjdump and ptxas about wheels' members.

None of Sartor's readers is used: members come out of remote wheels by Python's own `zipfile`, over
ranges, and where a wheel is comes from uv's lock.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
import zipfile
from functools import cache
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

from uv import find_uv_bin

from plan_cases import Resolve, Wheel
from sartor_cli import user_variables
from wheels import kept, wheels_folder

if TYPE_CHECKING:
    from plan_cases import Proof

BLOCK = 1 << 20
TRIES = 3


@cache
def resolved(question: Resolve, form: str = "requirements.txt") -> tuple[int, str]:
    """uv's exit status and its words; the same question is asked once."""
    command = [find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-version", question.python, "--exclude-newer", question.as_of]
    command += ["--python-platform", platform(question), "--format", form]
    command += [] if question.source else ["--no-build"]
    command += [] if question.dependencies else ["--no-deps"]
    done = subprocess.run(
        command,
        input="\n".join(question.require),
        env=variables(),
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def platform(question: Resolve) -> str:
    """uv's name of the machine."""
    return f"{question.machine}-manylinux_{question.glibc.replace('.', '_')}"


def variables() -> dict[str, str]:
    """The tester's own, with days in UTC, plain words, and the tools that came with Python."""
    found = {**user_variables(), "TZ": "UTC", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    found["UV_PYTHON_DOWNLOADS"] = "never"
    tools = [str(Path(sys.executable).parent), *tool_folders(), found.get("PATH", os.defpath)]
    return {**found, "PATH": os.pathsep.join(tools)}


def tool_folders() -> list[str]:
    """Where NVIDIA's own readers of device code are installed."""
    located = files("nvidia-cuda-cuobjdump") or []
    return [str(Path(str(f.locate())).parent) for f in located if f.name == "cuobjdump"]


def output(proof: Proof) -> str:
    """What the proof's tool says; fails where its exit status is not the expected one."""
    if proof.resolve is not None:
        status, text = resolved(proof.resolve)
        assert (status == 0) == proof.solvable, f"uv ended with {status}\n{text}"
        assert proof.solvable or "No solution found" in text, text
        return text
    if proof.metadata is not None:
        return metadata(proof.metadata)
    assert proof.wheel is not None
    assert proof.member is not None
    assert proof.command is not None
    return run(proof.command, member(proof.wheel, proof.member))


@cache
def run(command: str, file: Path) -> str:
    """What a command prints over a file, which it must read without fault."""
    done = subprocess.run(
        ["sh", "-c", command.replace("{file}", f"'{file}'")],
        env=variables(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@cache
def locked(wheel: Wheel) -> tuple[str, bool]:
    """The address of a release's file by uv's own lock, and whether it is a wheel."""
    question = Resolve(
        require=(wheel.release,),
        as_of="2099-12-31",
        python=wheel.python,
        machine=wheel.machine,
        dependencies=False,
        source=True,
    )
    status, text = resolved(question, "pylock.toml")
    assert status == 0, text
    (package,) = tomllib.loads(text)["packages"]
    if "wheels" in package:
        return str(package["wheels"][-1]["url"]), True
    return str(package["sdist"]["url"]), False


@cache
def metadata(wheel: Wheel) -> str:
    """The METADATA of a wheel, or the PKG-INFO of a source package."""
    url, is_wheel = locked(wheel)
    if is_wheel:
        with opened(url) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            return archive.read(name).decode("utf-8")
    with io.BufferedReader(Ranges(url), BLOCK) as stream, tarfile.open(fileobj=stream) as source:
        names = [n for n in source.getnames() if n.count("/") == 1 and n.endswith("/PKG-INFO")]
        found = source.extractfile(names[0])
        assert found is not None
        return found.read().decode("utf-8")


@cache
def member(wheel: Wheel, path: str) -> Path:
    """One file of a wheel, kept in the folder for wheels; fetched by ranges where it is not."""
    here = kept(wheels_folder(), wheel.release, wheel.python, wheel.machine)
    url = "" if here else locked(wheel)[0]
    name = here.name if here else url.rpartition("/")[2]
    target = wheels_folder() / "members" / name / path
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(here) if here else opened(url) as archive:
            data = archive.read(path)
        part = target.with_name(f".{target.name}.{os.getpid()}")
        part.write_bytes(data)
        part.chmod(0o755)
        part.rename(target)
    return target


def opened(url: str) -> zipfile.ZipFile:
    """A remote archive, of which only what is read is fetched."""
    return zipfile.ZipFile(io.BufferedReader(Ranges(url), BLOCK))


class Ranges(io.RawIOBase):
    """A file on a server that gives ranges."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._at = 0
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=60) as answer:
            self._size = int(answer.headers["Content-Length"])

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0
        data = self._range(self._at, count)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _range(self, first: int, count: int) -> bytes:
        headers = {"Range": f"bytes={first}-{first + count - 1}"}
        for left in reversed(range(TRIES)):
            try:
                request = urllib.request.Request(self._url, headers=headers)
                with urllib.request.urlopen(request, timeout=120) as answer:
                    assert answer.status == 206, f"{self._url} gives no ranges"
                    data: bytes = answer.read()
                    return data
            except (URLError, OSError):
                if not left:
                    raise
        raise AssertionError
