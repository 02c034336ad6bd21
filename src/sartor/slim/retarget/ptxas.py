"""PTX compiled by ptxas: several at once as memory and processors allow, each kept once it is done.

What was compiled is kept by what it was compiled from: a run that was killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.cubin import architecture, kernel_names
from sartor.artifact.payload import plain_payload
from sartor.artifact.ptx import read_ptx
from sartor.artifact.source import BytesSource, Invalid
from sartor.errors import InterruptedBySignal
from sartor.facts import ptxas as known
from sartor.host.machine import RealMachine
from sartor.host.memory import read_memory
from sartor.kept import KeptFiles
from sartor.paths import explain_os_errors
from sartor.processes import bounded, child_environment
from sartor.slim.retarget.jobs import Compiled, NotCompiled
from sartor.slim.retarget.toolchain import Ptxas, Toolchain

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sartor.artifact.source import Source
    from sartor.paths import Places
    from sartor.reporter import Reporter
    from sartor.slim.retarget.jobs import Job

MOST_KEPT, MOST_KEPT_BYTES = 4000, 2 << 30
USED_OF_MEMORY = 0.8
POLL_SECONDS = 0.02
MOST_SAID = 300
SCRATCH_HINT = "set TMPDIR to a folder that you can write, with room for PTX texts and cubins"
FAULT = re.compile(r"^(?:ptxas|\./?in\.ptx|in\.ptx)\b.*(?:fatal|error).*$", re.MULTILINE)


class Running(msgspec.Struct):
    """One ptxas at work; ``stack`` ends it and removes its folder."""

    number: int
    key: str
    ptxas: Ptxas
    folder: Path
    process: subprocess.Popen[bytes]
    memory: int
    stack: ExitStack


class PtxasCompiler:
    """Compiles with the ptxas that a `Toolchain` finds. ``workers``: at most so many at once.

    Of several threads one compiles at a time, on all processors.
    """

    def __init__(
        self, places: Places, reporter: Reporter, *, workers: int | None = None, fetch: bool = True
    ) -> None:
        self._reporter = reporter
        self._one_at_a_time = threading.Lock()
        self._stopped = threading.Event()
        self._toolchain = Toolchain(places, reporter, may_fetch=fetch)
        self._workers = workers or len(os.sched_getaffinity(0))
        self._kept = KeptFiles(
            places.compiled,
            reporter,
            what="compiled device code",
            most=MOST_KEPT,
            most_bytes=MOST_KEPT_BYTES,
        )

    def compiled(
        self, source: Source, jobs: Sequence[Job]
    ) -> Generator[tuple[int, Compiled | NotCompiled]]:
        """What becomes of each job, as it is done; the largest are begun first.

        Raises `NoPtxasError`, `Invalid`, and `InterruptedBySignal` where it is stopped. Whatever
        ends it, no ptxas is left running.
        """
        with self._one_at_a_time:
            yield from self._compiled(source, jobs)

    def stop(self) -> None:
        """End what is being compiled in another thread, and compile no more."""
        self._stopped.set()

    def _compiled(
        self, source: Source, jobs: Sequence[Job]
    ) -> Generator[tuple[int, Compiled | NotCompiled]]:
        tools = [self._toolchain.ptxas(job.need) for job in jobs]
        waiting = sorted(range(len(jobs)), key=lambda i: -jobs[i].ptx.plain)
        total, done = sum(job.ptx.plain for job in jobs), 0
        running: list[Running] = []
        try:
            while waiting or running:
                if self._stopped.is_set():
                    raise InterruptedBySignal("compiling was stopped")
                while waiting and self._has_room(running, jobs[waiting[0]]):
                    number = waiting.pop(0)
                    begun = self._begin(source, jobs[number], tools[number], number)
                    if isinstance(begun, Running):
                        running.append(begun)
                        continue
                    done += jobs[number].ptx.plain
                    self._reporter.progress("compiling", done, total, "B")
                    yield number, begun
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    result = self._result(source, jobs[one.number], one)
                    done += jobs[one.number].ptx.plain
                    self._reporter.progress("compiling", done, total, "B")
                    yield one.number, result
                time.sleep(POLL_SECONDS if running else 0)
        finally:
            for one in running:
                one.stack.close()

    def _has_room(self, running: list[Running], job: Job) -> bool:
        """Whether one more fits into memory beside those that run; one always does."""
        if not running:
            return True
        if len(running) >= self._workers:
            return False
        available = read_memory(RealMachine()).value.available_bytes
        # What those that run will still take is not known: they count as a whole.
        needed = memory_of(job) + sum(one.memory for one in running)
        return available is None or needed <= USED_OF_MEMORY * available

    def _begin(
        self, source: Source, job: Job, ptxas: Ptxas, number: int
    ) -> Running | Compiled | NotCompiled:
        text = plain_payload(source, job.ptx)
        key = key_of(text, job, ptxas)
        cubin = self._kept_cubin(key)
        if cubin is not None and fault_of_cubin(cubin, text, job) is None:
            return Compiled(cubin, ptxas.version)
        place = Path(tempfile.gettempdir())
        with explain_os_errors(place, SCRATCH_HINT), ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sartor-ptxas-")))
            (folder / "in.ptx").write_bytes(text)
            with (folder / "said").open("wb") as said:
                process = subprocess.Popen(
                    [ptxas.path, *arguments_of(job), "in.ptx", "-o", "out.cubin"],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    env=child_environment(),
                    start_new_session=True,
                )
            stack.enter_context(bounded(process))
            return Running(number, key, ptxas, folder, process, memory_of(job), stack.pop_all())

    def _result(self, source: Source, job: Job, one: Running) -> Compiled | NotCompiled:
        with one.stack:
            made = one.folder / "out.cubin"
            if one.process.returncode != 0 or not made.is_file():
                text = (one.folder / "said").read_text("utf-8", "replace")
                return NotCompiled("refused", said_of(text, one))
            cubin = made.read_bytes()
        fault = fault_of_cubin(cubin, plain_payload(source, job.ptx), job)
        if fault is not None:
            return NotCompiled("refused", f"ptxas {one.ptxas.version}: {fault}")
        self._keep(one.key, cubin)
        return Compiled(cubin, one.ptxas.version)

    def _keep(self, key: str, cubin: bytes) -> None:
        import zstandard

        packed = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(cubin)
        self._kept.put(key, packed)

    def _kept_cubin(self, key: str) -> bytes | None:
        import zstandard

        packed = self._kept.get(key)
        try:
            return None if packed is None else zstandard.ZstdDecompressor().decompress(packed)
        except zstandard.ZstdError:
            return None


def memory_of(job: Job) -> int:
    """What compiling it takes, by what was measured."""
    fact = known.memory()
    return fact.bytes + fact.per_byte * job.ptx.plain


def arguments_of(job: Job) -> list[str]:
    """What ptxas is told, as nvcc tells it: the cubin's note repeats it."""
    return [f"-arch={job.arch}", "-m64", *job.options]


def key_of(text: bytes, job: Job, ptxas: Ptxas) -> str:
    """The name of what is kept: all that the machine code depends on."""
    parts = [ptxas.version, *arguments_of(job), hashlib.sha256(text).hexdigest()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def said_of(text: str, one: Running) -> str:
    """Why ptxas did not compile, in its own words."""
    status = one.process.returncode
    ended = f"it was ended by signal {-status}" if status < 0 else f"it ended with {status}"
    lines = [match[0].strip() for match in FAULT.finditer(text)] or [ended]
    return f"ptxas {one.ptxas.version} refused it: {lines[0]}"[:MOST_SAID]


def fault_of_cubin(cubin: bytes, text: bytes, job: Job) -> str | None:
    """Why it is not machine code for the job: its architecture, and the kernels of the text."""
    source = BytesSource(cubin, "cubin")
    try:
        made_for, kernels = architecture(source), set(kernel_names(source))
        wanted = read_ptx(text).kernels
    except Invalid as fault:
        return f"what it made cannot be read: {fault.reason}"
    if made_for != f"sm_{job.code.major}{job.code.minor}":
        return f"what it made is for {made_for}"
    missing = [name for name in wanted if name not in kernels]
    return f"what it made has no kernel `{missing[0]}`" if missing else None
