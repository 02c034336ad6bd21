"""Which PTX of a library is compiled ahead of time, for what, and by which ptxas. Nothing is run.

A job is one PTX text and one architecture. Who compiles is a `Compiler`, which is passed in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import msgspec
from packaging.version import Version

from sartor import facts
from sartor.artifact.fatbin import Entry
from sartor.facts.ptxas import options as known_options
from sartor.facts.versions import known_version
from sartor.slim.choice import look_of
from sartor.verdict.load_rule import Architecture, Chosen, Unsettled, architecture, choose

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted

VALUE = re.compile(r"[A-Za-z0-9,.]{1,64}", re.ASCII)


class Need(msgspec.Struct, frozen=True):
    """The releases of ptxas that will do: from ``least`` on, and of no later major than ``major``.

    Code of a later major would take a later driver than the library's own. ``most``: newer ones do
    not know the GPU any more.
    """

    least: str
    major: int
    most: str | None = None

    def takes(self, release: str) -> bool:
        """Whether a ptxas of that release (``13.0``) will do."""
        have = Version(release)
        new_enough = Version(self.least) <= have and have.major <= self.major
        return new_enough and (self.most is None or have <= Version(self.most))

    def __str__(self) -> str:
        most = self.most or f"{self.major}.x"
        return f"CUDA {self.least} to {most}"


class Job(msgspec.Struct, frozen=True):
    """One PTX text to be compiled: ``ptx`` is its entry, ``code`` what it becomes code for."""

    ptx: Entry
    code: Architecture
    options: tuple[str, ...]
    need: Need

    @property
    def arch(self) -> str:
        """As ptxas takes it: ``sm_90a``."""
        return f"sm_{self.code.major}{self.code.minor}{self.code.suffix}"


class Compiled(msgspec.Struct, frozen=True, tag=True):
    """A cubin, and the ptxas that made it (``13.0.88``)."""

    cubin: bytes
    release: str


class NotCompiled(msgspec.Struct, frozen=True, tag=True):
    """There is none, and why; ``code`` says it in a word."""

    code: str
    why: str


class Compiler(Protocol):
    """Whoever compiles."""

    def compiled(
        self, source: Source, jobs: Sequence[Job]
    ) -> Generator[tuple[int, Compiled | NotCompiled]]:
        """What becomes of each job, by its place in ``jobs``, in any order."""

    def stop(self) -> None:
        """End what is being compiled, in whatever thread: it raises there."""


class NoCompiler:
    """Compiles nothing: for a dry run."""

    def compiled(
        self, source: Source, jobs: Sequence[Job]
    ) -> Generator[tuple[int, Compiled | NotCompiled]]:
        """Nothing."""
        del source
        why = "nothing is compiled in a dry run: it stays counted as it is"
        yield from ((i, NotCompiled("dry-run", why)) for i in range(len(jobs)))

    def stop(self) -> None:
        """Nothing is to be ended."""


NO_COMPILER = NoCompiler()


def chosen_ptx(entries: Sequence[Entry], wanted: Wanted) -> dict[int, list[Architecture]]:
    """For each PTX that the driver would compile for some of the GPUs, what it becomes code for.

    By the place of its entry; PTX with a suffix becomes code with it. Where it is not settled
    which image the driver takes, nothing is compiled.
    """
    images = [look_of(entry) for entry in entries]
    if any(image.kind == "unknown" for image in images):
        return {}
    found: dict[int, set[Architecture]] = {}
    for target in wanted.targets:
        choice = choose(images, msgspec.structs.replace(target, driver=None, driver_cuda=None))
        if not isinstance(choice, Chosen) or images[choice.index].kind != "ptx":
            continue
        device, code = architecture(target.gpu), architecture(images[choice.index].arch)
        if device is not None and code is not None:
            own = Architecture(device.major, device.minor, code.suffix)
            found.setdefault(choice.index, set()).add(own)
    return {at: sorted(found[at], key=lambda code: code.number) for at in sorted(found)}


def unsettled_ptx(
    entries: Sequence[Entry], wanted: Wanted
) -> dict[tuple[int, Architecture], NotCompiled]:
    """PTX of which it is not known whether the driver takes it or another, and compiles that."""
    images = [look_of(entry) for entry in entries]
    found: dict[tuple[int, Architecture], NotCompiled] = {}
    for target in wanted.targets:
        choice = choose(images, msgspec.structs.replace(target, driver=None, driver_cuda=None))
        device = architecture(target.gpu)
        if isinstance(choice, Unsettled) and device is not None:
            texts = [i for i in choice.among if images[i].kind == "ptx"]
            if len(texts) == len(choice.among):
                found[texts[0], device] = NotCompiled("unsettled", choice.why)
    return found


def job_of(ptx: Entry, code: Architecture, wanted: Wanted) -> Job | NotCompiled:
    """The job for one PTX, or why there is none."""
    options = passed_on(ptx.options)
    if isinstance(options, NotCompiled):
        return options
    need = needed(ptx.ptx_isa, code, wanted.driver_cuda)
    return need if isinstance(need, NotCompiled) else Job(ptx, code, options, need)


def passed_on(text: str | None) -> tuple[str, ...] | NotCompiled:
    """The options of an entry as ptxas gets them: known ones alone, and such as change the code."""
    known, words, found = known_options(), (text or "").split(), list[str]()
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name not in known and word[:2] == "-O" and word[2:].isdecimal():
            name, equals, value = "-O", "=", word[2:]
        fact = known.get(name)
        if fact is None or (equals and not fact.value):
            return NotCompiled("option", f"its option `{word[:64]}` is not one that is passed on")
        if fact.relocatable:
            return NotCompiled("relocatable-ptx", f"`{word}`: it is compiled for a linker")
        if fact.value and not equals:
            value = words.pop(0) if words else ""
        if fact.value and not VALUE.fullmatch(value):
            return NotCompiled("option", f"its option `{name}` has no value that is passed on")
        if fact.keep:
            found += [fact.names[0], value] if fact.value else [fact.names[0]]
    return tuple(found)


def needed(ptx_isa: str | None, code: Architecture, driver_cuda: str | None) -> Need | NotCompiled:
    """The ptxas that PTX of that version takes, for that architecture.

    Of the toolkit's own major version, so that the library still runs on the drivers that it ran
    on; of a later one too where the drivers of the GPUs are known to take it.
    """
    isa = known_version(ptx_isa)
    fits = (t.version for t in facts.toolkits() if isa and Version(t.ptx_isa) >= isa)
    toolkit = next(fits, None)
    arch = next((a for a in facts.archs() if a.compute_capability == code.capability), None)
    if toolkit is None or arch is None:
        return NotCompiled("unknown", f"PTX {ptx_isa} for {code.capability} is not in the facts")
    least = max(Version(toolkit), Version(arch.min_toolkit))
    have = known_version(driver_cuda)
    major = max(least.major, have.major if have else 0)
    if arch.max_toolkit is not None and Version(arch.max_toolkit) < least:
        why = (
            f"PTX {ptx_isa} takes CUDA {least}, and {code.capability} ended with {arch.max_toolkit}"
        )
        return NotCompiled("no-ptxas", why)
    return Need(str(least), major, arch.max_toolkit)
