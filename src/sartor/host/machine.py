"""What detection may ask of the world, and the machine that answers from it.

Every question has a method of `Machine`, and every answer is a plain value: detection is then a
function of the answers, and a machine that was captured in a file answers like a real one
(`sartor.host.capture`). A question that cannot be answered gives an `Unread`; nothing here raises
for what it finds.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from sartor.paths import existing_parent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Unread(msgspec.Struct, frozen=True, tag_field="answer", tag="unread"):
    """No answer, and why. ``missing``: the thing that was asked for is simply not there."""

    why: str
    missing: bool = False


class CommandResult(msgspec.Struct, frozen=True, tag_field="answer", tag="command"):
    """What a program left behind."""

    returncode: int
    stdout: str = ""
    stderr: str = ""


class DiskRoom(msgspec.Struct, frozen=True, tag_field="answer", tag="room"):
    """What may still be written at a place."""

    free_bytes: int
    writable: bool


class Uname(msgspec.Struct, frozen=True):
    """The kernel's own name for itself and for the machine (``uname -s -r -m``)."""

    system: str
    release: str
    machine: str


class Interpreter(msgspec.Struct, frozen=True):
    """The Python that runs Sartor, outside any virtual environment."""

    path: str
    version: str


class NvmlMig(msgspec.Struct, frozen=True):
    """One MIG instance, as NVML names it (``NVIDIA H100 80GB HBM3 MIG 1g.10gb``)."""

    name: str
    uuid: str | None = None
    memory_bytes: int | None = None


class NvmlGpu(msgspec.Struct, frozen=True):
    """One GPU as NVML describes it; ``unread`` maps a field to NVML's reason for not giving it."""

    index: int
    name: str | None = None
    uuid: str | None = None
    memory_bytes: int | None = None
    compute_capability: str | None = None
    pci_address: str | None = None
    mig: list[NvmlMig] | None = None
    unread: dict[str, str] = {}


class NvmlSnapshot(msgspec.Struct, frozen=True, tag_field="answer", tag="nvml"):
    """Everything detection takes from NVML, read in one go.

    ``cuda`` is ``major.minor``; ``unread`` has one line for each GPU or value that NVML refused.
    """

    driver_version: str | None = None
    cuda: str | None = None
    gpus: list[NvmlGpu] = []
    unread: list[str] = []


class Machine(Protocol):
    """The questions. Implementations must be safe to ask from several threads."""

    def read_text(self, path: str) -> str | Unread:
        """The text of a small file; bytes that are not UTF-8 are replaced."""

    def list_folder(self, path: str) -> list[str] | Unread:
        """The sorted names in a folder."""

    def resolve(self, path: str) -> str | Unread:
        """The real path behind every symbolic link; ``missing`` where there is nothing."""

    def run(self, argv: Sequence[str], timeout: float = 10.0) -> CommandResult | Unread:
        """Run a program in the C locale, without a terminal, and wait for it."""

    def which(self, name: str) -> str | None:
        """Where the shell would find a program."""

    def pythons(self) -> list[str]:
        """Every ``python3`` and ``python3.N`` in the folders of PATH, in their order."""

    def environ(self, name: str) -> str | None:
        """One environment variable; None where it is unset."""

    def uname(self) -> Uname:
        """The kernel and the architecture."""

    def libc(self) -> str | Unread:
        """The C library by its own words, for example ``glibc 2.36``."""

    def interpreter(self) -> Interpreter:
        """The base interpreter of the running Python."""

    def room(self, path: str) -> DiskRoom | Unread:
        """What may be written at ``path``, or at its nearest parent that exists."""

    def library(self, soname: str) -> str | None:
        """Where the loader would find a shared library of this architecture."""

    def pci_name(self, vendor: str, device: str) -> str | None:
        """The name of a PCI device (two four-digit hexadecimal ids) in the system's list."""

    def nvml(self) -> NvmlSnapshot | Unread:
        """What NVML says; ``missing`` where its library is not installed."""


class RealMachine(Machine):
    """The machine that Sartor runs on."""

    def read_text(self, path: str) -> str | Unread:
        """The text of ``path``."""
        try:
            return Path(path).read_text("utf-8", errors="replace")
        except (OSError, ValueError) as error:
            return unread(path, error)

    def list_folder(self, path: str) -> list[str] | Unread:
        """The sorted names in ``path``."""
        try:
            return sorted(os.listdir(path))  # noqa: PTH208 - names are wanted, not paths
        except (OSError, ValueError) as error:
            return unread(path, error)

    def resolve(self, path: str) -> str | Unread:
        """The real path of ``path``."""
        try:
            return os.path.realpath(path, strict=True)
        except (OSError, ValueError) as error:
            return unread(path, error)

    def run(self, argv: Sequence[str], timeout: float = 10.0) -> CommandResult | Unread:
        """Run ``argv``."""
        environment = {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}
        try:
            done = subprocess.run(
                list(argv),
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=timeout,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Unread(f"`{argv[0]}` did not answer within {timeout:g} s")
        except (OSError, ValueError) as error:
            return unread(argv[0], error)
        out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        return CommandResult(done.returncode, out, err)

    def which(self, name: str) -> str | None:
        """Where PATH has ``name``."""
        return shutil.which(name)

    def pythons(self) -> list[str]:
        """The interpreters on PATH."""
        return list(pythons_in(os.environ.get("PATH", "").split(os.pathsep)))

    def environ(self, name: str) -> str | None:
        """``$name``."""
        return os.environ.get(name)

    def uname(self) -> Uname:
        """The kernel and the architecture."""
        name = os.uname()
        return Uname(name.sysname, name.release, name.machine)

    def libc(self) -> str | Unread:
        """glibc's answer to ``confstr``; other C libraries have none."""
        try:
            answer = os.confstr("CS_GNU_LIBC_VERSION")
        except (OSError, ValueError) as error:
            return Unread(f"the C library does not name itself ({error}); it is not glibc")
        return answer or Unread("the C library does not name itself; it is not glibc")

    def interpreter(self) -> Interpreter:
        """The base of the running interpreter."""
        version = ".".join(str(part) for part in sys.version_info[:3])
        base = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
        return Interpreter(base if is_program(base) else sys.executable, version)

    def room(self, path: str) -> DiskRoom | Unread:
        """Free bytes for an ordinary user, and whether this user may write."""
        parent = existing_parent(Path(path))
        try:
            stat_fs = os.statvfs(parent)
        except OSError as error:
            return unread(path, error)
        writable = os.access(parent, os.W_OK | os.X_OK)
        return DiskRoom(stat_fs.f_bavail * stat_fs.f_frsize, writable)

    def library(self, soname: str) -> str | None:
        """``soname`` in the loader's cache or folders."""
        from sartor.host.loader import find_library

        return find_library(soname, os.uname().machine)

    def pci_name(self, vendor: str, device: str) -> str | None:
        """The name in the system's copy of ``pci.ids``."""
        from sartor.host.pci import name_in, pci_ids_files

        for path in pci_ids_files():
            text = self.read_text(path)
            if isinstance(text, str):
                return name_in(text, vendor, device)
        return None

    def nvml(self) -> NvmlSnapshot | Unread:
        """Ask NVML through ``pynvml``, which is imported only where the library is."""
        from sartor.host.nvml import snapshot

        return snapshot()


def unread(path: str, error: Exception) -> Unread:
    """An operating system's error as an answer that names ``path``."""
    reason = error.strerror if isinstance(error, OSError) else None
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return Unread(f"{path}: {reason or error}", missing=missing)


def pythons_in(folders: Sequence[str]) -> Iterator[str]:
    """The executable files called ``python3`` or ``python3.N`` in ``folders``."""
    for folder in dict.fromkeys(entry for entry in folders if entry):
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - thousands of names: no path objects
        except OSError:
            continue
        for name in names:
            if is_python_name(name) and is_program(path := f"{folder.rstrip('/')}/{name}"):
                yield path


def is_python_name(name: str) -> bool:
    """Whether a file name is that of a Python 3 interpreter; ``python3.13t`` is not."""
    head, dot, minor = name.partition(".")
    return head == "python3" and (not dot or minor.isdecimal())


def is_program(path: str) -> bool:
    """Whether ``path`` is a file that may be executed."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)  # noqa: PTH116
    except OSError:
        return False
