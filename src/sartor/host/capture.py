"""Machines in files: record every answer of a real one, and replay it anywhere.

A capture holds the raw answers, not what Sartor made of them, so a machine that once confused
Sartor stays a test for ever. ``origin`` says whether a file was recorded (``captured``) or written
by hand from documented formats (``constructed``); ``note`` says where from.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from sartor.host.machine import (
    CommandResult,
    DiskRoom,
    Interpreter,
    Machine,
    NvmlSnapshot,
    Uname,
    Unread,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")

UUID = re.compile(r"\b(GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
BUILDER = re.compile(r"\([\w.+-]+@[\w.+-]+\)")  # who built the kernel, in /proc/version


class NotInCaptureError(LookupError):
    """A capture was asked something that it does not hold: the capture must be made anew."""


class Capture(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.capture/1"):
    """The answers of one machine, by question.

    ``others_absent``: whatever is not listed is not there. A recorded capture leaves it False, so
    that a question nobody asked when it was made is an error instead of a wrong answer.
    """

    origin: Literal["captured", "constructed"]
    note: str
    uname: Uname
    libc: str | Unread
    interpreter: Interpreter
    nvml: NvmlSnapshot | Unread
    others_absent: bool = False
    files: dict[str, str | Unread] = {}
    folders: dict[str, list[str] | Unread] = {}
    links: dict[str, str | Unread] = {}
    commands: dict[str, CommandResult | Unread] = {}
    programs: dict[str, str | None] = {}
    pythons: list[str] = []
    environment: dict[str, str | None] = {}
    rooms: dict[str, DiskRoom | Unread] = {}
    libraries: dict[str, str | None] = {}
    pci_names: dict[str, str | None] = {}


def read_capture(data: bytes | str) -> Capture:
    """A capture from its JSON text; raises `msgspec.DecodeError` for anything else."""
    return msgspec.json.decode(data, type=Capture)


def write_capture(capture: Capture) -> str:
    """A capture as JSON text that people can read and compare."""
    return (
        msgspec.json.format(msgspec.json.encode(capture, order="sorted"), indent=1).decode() + "\n"
    )


class CapturedMachine(Machine):
    """Answers from a capture, and from nothing else."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture

    def _look_up(self, kind: str, table: Mapping[str, T], key: str, absent: T) -> T:
        if key in table:
            return table[key]
        if self.capture.others_absent:
            return absent
        raise NotInCaptureError(f"the capture ({self.capture.note}) has no {kind} `{key}`")

    def read_text(self, path: str) -> str | Unread:
        """The captured text of ``path``."""
        return self._look_up("file", self.capture.files, path, nothing_at(path))

    def list_folder(self, path: str) -> list[str] | Unread:
        """The captured names in ``path``."""
        return self._look_up("folder", self.capture.folders, path, nothing_at(path))

    def resolve(self, path: str) -> str | Unread:
        """The captured target; what is listed as a file, folder or program is its own."""
        known = {**self.capture.files, **self.capture.folders}
        there = not isinstance(known.get(path, nothing_at(path)), Unread)
        itself = there or path in self.capture.programs.values() or path in self.capture.pythons
        if itself and path not in self.capture.links:
            return path
        return self._look_up("link", self.capture.links, path, nothing_at(path))

    def run(self, argv: Sequence[str], timeout: float = 10.0) -> CommandResult | Unread:  # noqa: ARG002
        """The captured outcome of ``argv``; nothing is started."""
        absent = Unread(f"{argv[0]}: not captured", missing=True)
        return self._look_up("command", self.capture.commands, shlex.join(argv), absent)

    def which(self, name: str) -> str | None:
        """The captured place of ``name``."""
        return self._look_up("program", self.capture.programs, name, None)

    def pythons(self) -> list[str]:
        """The captured interpreters."""
        return list(self.capture.pythons)

    def environ(self, name: str) -> str | None:
        """The captured ``$name``."""
        return self._look_up("environment variable", self.capture.environment, name, None)

    def uname(self) -> Uname:
        """The captured kernel and architecture."""
        return self.capture.uname

    def libc(self) -> str | Unread:
        """The captured C library."""
        return self.capture.libc

    def interpreter(self) -> Interpreter:
        """The interpreter that Sartor ran in when it was captured."""
        return self.capture.interpreter

    def room(self, path: str) -> DiskRoom | Unread:
        """The captured room at ``path``."""
        return self._look_up("room", self.capture.rooms, path, nothing_at(path))

    def library(self, soname: str) -> str | None:
        """The captured place of ``soname``."""
        return self._look_up("library", self.capture.libraries, soname, None)

    def pci_name(self, vendor: str, device: str) -> str | None:
        """The captured name of a PCI device."""
        return self._look_up("PCI name", self.capture.pci_names, f"{vendor}:{device}", None)

    def nvml(self) -> NvmlSnapshot | Unread:
        """The captured answer of NVML."""
        return self.capture.nvml


def nothing_at(path: str) -> Unread:
    """The answer for a path at which nothing is."""
    return Unread(f"{path}: No such file or directory", missing=True)


class RecordingMachine(Machine):
    """Asks another machine, and keeps every question and answer for `capture`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._files: dict[str, str | Unread] = {}
        self._folders: dict[str, list[str] | Unread] = {}
        self._links: dict[str, str | Unread] = {}
        self._commands: dict[str, CommandResult | Unread] = {}
        self._programs: dict[str, str | None] = {}
        self._environment: dict[str, str | None] = {}
        self._rooms: dict[str, DiskRoom | Unread] = {}
        self._libraries: dict[str, str | None] = {}
        self._pci_names: dict[str, str | None] = {}
        self._nvml: NvmlSnapshot | Unread | None = None

    def read_text(self, path: str) -> str | Unread:
        """Ask and keep."""
        answer = self._files[path] = self.machine.read_text(path)
        return answer

    def list_folder(self, path: str) -> list[str] | Unread:
        """Ask and keep."""
        answer = self._folders[path] = self.machine.list_folder(path)
        return answer

    def resolve(self, path: str) -> str | Unread:
        """Ask and keep."""
        answer = self._links[path] = self.machine.resolve(path)
        return answer

    def run(self, argv: Sequence[str], timeout: float = 10.0) -> CommandResult | Unread:
        """Ask and keep."""
        answer = self._commands[shlex.join(argv)] = self.machine.run(argv, timeout)
        return answer

    def which(self, name: str) -> str | None:
        """Ask and keep."""
        answer = self._programs[name] = self.machine.which(name)
        return answer

    def pythons(self) -> list[str]:
        """Ask; `capture` asks again."""
        return self.machine.pythons()

    def environ(self, name: str) -> str | None:
        """Ask and keep."""
        answer = self._environment[name] = self.machine.environ(name)
        return answer

    def uname(self) -> Uname:
        """Ask; `capture` asks again."""
        return self.machine.uname()

    def libc(self) -> str | Unread:
        """Ask; `capture` asks again."""
        return self.machine.libc()

    def interpreter(self) -> Interpreter:
        """Ask; `capture` asks again."""
        return self.machine.interpreter()

    def room(self, path: str) -> DiskRoom | Unread:
        """Ask and keep."""
        answer = self._rooms[path] = self.machine.room(path)
        return answer

    def library(self, soname: str) -> str | None:
        """Ask and keep."""
        answer = self._libraries[soname] = self.machine.library(soname)
        return answer

    def pci_name(self, vendor: str, device: str) -> str | None:
        """Ask and keep."""
        answer = self._pci_names[f"{vendor}:{device}"] = self.machine.pci_name(vendor, device)
        return answer

    def nvml(self) -> NvmlSnapshot | Unread:
        """Ask and keep."""
        answer = self._nvml = self.machine.nvml()
        return answer

    def capture(self, note: str) -> Capture:
        """Every answer so far."""
        return Capture(
            origin="captured",
            note=note,
            uname=self.uname(),
            libc=self.libc(),
            interpreter=self.interpreter(),
            nvml=self._nvml if self._nvml is not None else self.nvml(),
            files=self._files,
            folders=self._folders,
            links=self._links,
            commands=self._commands,
            programs=self._programs,
            pythons=self.pythons(),
            environment=self._environment,
            rooms=self._rooms,
            libraries=self._libraries,
            pci_names=self._pci_names,
        )


class Identity(msgspec.Struct, frozen=True):
    """What a capture may say about its owner, and should not."""

    home: str
    user: str
    hostname: str


def scrub(capture: Capture, identity: Identity, *, uuids: bool = False) -> Capture:
    """The capture without its owner: home folder, user, host name and who built the kernel.

    ``uuids``: number the UUIDs of GPUs and MIG instances instead of keeping them. Names are only
    replaced as whole words, and ``root`` and names of one or two letters are kept: they say nothing
    about anybody and are part of too many other words.
    """
    text = write_capture(capture)
    if len(identity.home) > 1:
        text = replace_word(text, identity.home, "/home/user")
    for name, stand_in in ((identity.user, "user"), (identity.hostname, "host")):
        if len(name) > 2 and name != "root":
            text = replace_word(text, name, stand_in)
    text = BUILDER.sub("(builder@host)", text)
    return read_capture(number_uuids(text) if uuids else text)


def replace_word(text: str, word: str, stand_in: str) -> str:
    """``text`` with every whole ``word`` replaced."""
    return re.sub(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", stand_in, text)


def number_uuids(text: str) -> str:
    """``text`` with the UUIDs of GPUs replaced by numbered ones, the same for the same."""
    seen: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        number = f"{len(seen):012d}"
        return seen.setdefault(match[0], f"{match[1]}-00000000-0000-0000-0000-{number}")

    return UUID.sub(stand_in, text)
