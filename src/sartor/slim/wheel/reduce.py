"""A wheel reduced to GPUs: read once, written beside its place, read again, and then named.

Members without device code are copied as they are compressed; so the time is that of inflating the
wheel once and of deflating what stays of its libraries, both on all cores. What is inflated lies in
files without names in the folder of the output.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.digest import file_sha256
from sartor.artifact.source import BytesSource, FileSource, Invalid
from sartor.errors import ArtifactUnreadableError, NoSuchTargetError, NotSlimmableError
from sartor.paths import explain_os_errors, human_bytes
from sartor.reporter import Reporter
from sartor.slim.choice import Wanted
from sartor.slim.library.pieces import Copied
from sartor.slim.library.written import beside, placed
from sartor.slim.model import SlimmedTarget
from sartor.slim.retarget.jobs import NO_COMPILER, Compiler
from sartor.slim.served import check_served, served_notes
from sartor.slim.wheel.archive import Entry, Writer, new_entry
from sartor.slim.wheel.check import wheel_fault
from sartor.slim.wheel.contents import OWN, check_allowed, read_contents
from sartor.slim.wheel.deflate import Sums, deflated
from sartor.slim.wheel.leaving import check_python, leaving, removal_of
from sartor.slim.wheel.members import Workshop
from sartor.slim.wheel.name import Removal, WheelName, build_tag, parse_name
from sartor.slim.wheel.provenance import SourceWheel, provenance
from sartor.slim.wheel.spool import GATHERED
from sartor.slim.wheel.texts import Stored, new_record, new_wheel, variant_json

if TYPE_CHECKING:
    from sartor.artifact.source import Source
    from sartor.slim.library.model import SlimmedLibrary
    from sartor.slim.wheel.archive import Sink
    from sartor.slim.wheel.contents import Contents
    from sartor.slim.wheel.members import Prepared

NOTHING_TO_TAKE = "nothing of its device code can be left out: every image in it is loaded"
NO_CODE = "it has no device code: there is nothing to leave out"
WHOLE = {"layout", "unreadable", "check", "licence"}
"""Why a library is left alone whose device code might be less."""
DAMAGED = "a download that broke off, or was changed on the way, is fetched again"


class WheelRequest(msgspec.Struct, frozen=True):
    """A wheel to be slimmed. ``folder`` None: nothing is written, and what would become is said.

    ``name`` is what the output is called; None: as the source, with a build tag. ``copy``: a wheel
    of which nothing can be left out is put into the folder as it is, under its own name.
    ``removing``: what nobody can use is left out; ``python`` (``3.12``) is the only one that it is
    then for. ``compiler`` compiles PTX where ``wanted`` asks for it. ``check`` is asked of the
    output's place first, and what it raises is raised.
    """

    path: Path
    wanted: Wanted
    folder: Path | None = None
    name: str | None = None
    copy: bool = False
    python: str | None = None
    removing: bool = False
    compiler: Compiler = NO_COMPILER
    check: Callable[[Path], None] | None = None


def slim_wheel(request: WheelRequest, reporter: Reporter | None = None) -> SlimmedTarget:
    """Write the wheel, slimmed; its result says what became of each library.

    Raises `NoSuchTargetError`, `ArtifactUnreadableError` where anything in it is not whole,
    `NotSlimmableError` where it may not be changed, and what `placed` raises.
    """
    path = request.path
    try:
        with FileSource(path) as source:
            name = _parsed(path.name)
            contents = read_contents(source, path.name)
            check_allowed(contents, path.name, request.wanted)
            check_python(contents, path.name, request.python)
            return _Slimming(request, contents, name, reporter or Reporter()).run()
    except FileNotFoundError as error:
        raise NoSuchTargetError(f"there is no file `{error.filename}`") from error
    except Invalid as fault:
        raise ArtifactUnreadableError(
            f"`{path}` is not whole, or is no wheel",
            found=[str(fault)],
            hint=DAMAGED,
        ) from fault


def _parsed(name: str) -> WheelName:
    try:
        return parse_name(name)
    except ValueError as error:
        raise NotSlimmableError(str(error), hint="give it the name that its index has") from error


class _Slimming:
    """The work on one wheel."""

    def __init__(
        self, request: WheelRequest, contents: Contents, name: WheelName, reporter: Reporter
    ) -> None:
        self._request = request
        self._contents = contents
        self._asked = _asked(contents, request.wanted)
        self._removal = removal_of(contents, request.python, removing=request.removing)
        self._leaving = leaving(contents, request.path.name, request.python, self._removal)
        self._build = build_tag(_first_build(contents, name), self._asked, self._removal)
        self._name = msgspec.structs.replace(name, build=self._build).text
        self._reporter = reporter
        self._workers = len(os.sched_getaffinity(0))
        self._preparing = ThreadPoolExecutor(self._workers, "prepare")
        self._deflating = ThreadPoolExecutor(self._workers + 1, "deflate")
        self._libraries: list[SlimmedLibrary] = []
        self._notes: list[str] = []
        self._changed: dict[str, Stored] = {}
        self._done = 0

    def run(self) -> SlimmedTarget:
        """Write what there is to write."""
        request, size = self._request, self._contents.source.size
        try:
            if request.folder is not None:
                return self._placed(request.folder)
            sink = CountingSink()
            scratch = Path(tempfile.gettempdir())
            with explain_os_errors(scratch):
                self._write(sink, scratch)
            return self._result(sink.size, None)
        except _NothingToDo:
            if request.folder is None or not request.copy:
                return self._result(size, None)
            output = request.folder / (request.name or request.path.name)
            if request.check is not None:
                request.check(output)
            return self._result(size, copied(request.path, output))
        except BaseException:
            request.compiler.stop()
            raise
        finally:
            self._preparing.shutdown(cancel_futures=True)
            self._deflating.shutdown(cancel_futures=True)

    def _placed(self, folder: Path) -> SlimmedTarget:
        output = folder / (self._request.name or self._name)
        if self._request.check is not None:
            self._request.check(output)
        with placed(self._request.path, output) as (path, handle):
            sink = FileSink(handle)
            self._write(sink, folder)
            sink.flush()
            self._check(path)
        return self._result(sink.size, output)

    def _is_new(self) -> bool:
        """Whether it becomes another wheel: other bytes, or slimmed before to more GPUs."""
        before, asked = self._contents.before, self._asked
        now = asked.gpus, asked.keep_ptx, asked.retarget, asked.compress, self._removal
        if before is not None:
            left_out = Removal(before.python) if before.remove_unused else None
            was = before.gpus, before.keep_ptx, before.retarget, before.compress, left_out
            if was != now:
                return True
        return bool(self._leaving.gone) or any(one.changed for one in self._libraries)

    def _write(self, sink: Sink, scratch: Path) -> None:
        """All of it, in one pass over the source; raises `_NothingToDo`, and `Invalid`."""
        contents, writer = self._contents, Writer(sink)
        digest = self._deflating.submit(file_sha256, self._request.path)
        request, gone = self._request, self._leaving.gone
        left_out = {*gone, *(contents.path(name) for name in OWN)}
        workers, compiler = self._workers, request.compiler
        workshop = Workshop(contents, request.wanted, scratch, workers, compiler, gone)
        last: Entry | None = None
        with closing(workshop.prepared(self._preparing)) as members:
            for one in members:
                with closing(one):
                    self._report(one)
                    if one.entry.member.name == contents.path("RECORD"):
                        last = one.entry
                    elif one.entry.member.name not in left_out:
                        self._member(writer, one)
        check_served(self._request.path.name, self._libraries)
        if last is None or not self._is_new():
            raise _NothingToDo
        self._texts(writer, last, digest.result() or "")
        writer.finish()

    def _report(self, one: Prepared) -> None:
        self._done += one.entry.member.compressed
        size = self._contents.source.size
        self._reporter.progress(f"slimming {self._request.path.name}", self._done, size, "B")
        if one.note is not None:
            self._notes.append(one.note)
        if one.library is not None:
            self._libraries.append(one.library)

    def _member(self, writer: Writer, one: Prepared) -> None:
        contents, name = self._contents, one.entry.member.name
        if one.new is not None:
            self._add(writer, one.entry, one.new)
        elif name == contents.path("WHEEL"):
            self._add_text(writer, one.entry, new_wheel(contents.texts["WHEEL"], self._build))
        else:
            writer.copy(one.entry, contents.source, contents.members)

    def _add(self, writer: Writer, entry: Entry, new: Source) -> None:
        sums = Sums()
        blocks = deflated(new, self._deflating, self._workers, sums)
        writer.add(entry, new.size, blocks, lambda: sums.crc)
        self._changed[entry.member.name] = Stored(sums.sha256.digest(), new.size)

    def _add_text(self, writer: Writer, entry: Entry, data: bytes) -> None:
        self._add(writer, entry, BytesSource(data, entry.member.name))

    def _texts(self, writer: Writer, record: Entry, sha256: str) -> None:
        """What stands at the end: where it comes from, for which GPUs, and RECORD."""
        contents, wanted = self._contents, self._asked
        source = SourceWheel(name=self._request.path.name, sha256=sha256, size=contents.source.size)
        gone, before = self._leaving.gone, contents.before
        said = provenance(source, wanted, self._libraries, before, self._removal, gone.values())
        told = msgspec.json.format(msgspec.json.encode(said), indent=1) + b"\n"
        for name, data in zip(OWN, (told, variant_json(wanted)), strict=False):
            self._add_text(writer, new_entry(contents.path(name), record), data)
        own = contents.path("RECORD")
        rows = {path: what for path, what in self._changed.items() if path != own}
        new = new_record(contents.texts["RECORD"], own, rows, gone)
        self._add_text(writer, record, new)
        del self._changed[own]

    def _check(self, path: Path) -> None:
        with FileSource(path) as written:
            gone = self._leaving.gone
            fault = wheel_fault(self._contents, written, self._changed, self._preparing, gone)
        if fault is not None:
            raise Invalid(path.name, 0, f"what was written of it is not what was planned: {fault}")

    def _result(self, size: int, output: Path | None) -> SlimmedTarget:
        libraries = self._libraries
        is_new = self._is_new()
        return SlimmedTarget(
            target=str(self._request.path),
            kind="wheel",
            output=None if output is None else str(output),
            changed=is_new,
            bytes_before=self._contents.source.size,
            bytes_after=size,
            device_bytes_before=sum(library.device_bytes_before for library in libraries),
            device_bytes_after=sum(library.device_bytes_after for library in libraries),
            device_bytes_least=sum(library.device_bytes_least for library in libraries),
            libraries=libraries,
            unused=self._leaving.rows,
            why=None if is_new else why_as_it_was(libraries),
            gpus=self._request.wanted.gpus,
            notes=[*self._notes, *served_notes(libraries)],
        )


class _NothingToDo(Exception):  # noqa: N818 - no fault
    """The wheel stays as it is."""


def why_as_it_was(libraries: list[SlimmedLibrary]) -> str:
    """Why nothing of the libraries is left out: there is nothing, or it is not understood."""
    whole = [(one, left) for one in libraries for left in one.left_alone if left.code in WHOLE]
    if whole:
        size = human_bytes(sum(one.device_bytes_before for one, _ in whole))
        first = whole[0][1].why
        more = f" (and more, in {len(whole)} libraries)" if len(whole) > 1 else ""
        return f"{size} of device code are left alone: {first}{more}"
    has_code = any(library.device_bytes_before for library in libraries)
    return NOTHING_TO_TAKE if has_code else NO_CODE


def _asked(contents: Contents, wanted: Wanted) -> Wanted:
    """What was asked for, now and before: what was compiled or compressed stays so."""
    before = contents.before
    if before is None:
        return wanted
    return msgspec.structs.replace(
        wanted,
        retarget=wanted.retarget or before.retarget,
        compress=wanted.compress or before.compress,
    )


def _first_build(contents: Contents, name: WheelName) -> str:
    """The build tag of the wheel that was slimmed first."""
    before = contents.before
    return name.build if before is None else parse_name(before.source.name).build


def copied(path: Path, output: Path) -> Path:
    """A copy of a wheel that stays as it is; where it is there already it is left alone."""
    if output.exists() and output.samefile(path):
        return output
    with beside(path, output, [Copied(0, path.stat().st_size)]):
        return output


class CountingSink:
    """Takes an archive and keeps nothing but its size."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        """The next bytes."""
        self.size += len(data)

    def patch(self, offset: int, data: bytes) -> None:
        """Other bytes over those at ``offset``."""


class FileSink:
    """A file, by its descriptor; small pieces are gathered until `flush`."""

    def __init__(self, handle: int) -> None:
        self.size = 0
        self._handle = handle
        self._gathered: list[bytes] = []
        self._at = 0

    def write(self, data: bytes) -> None:
        """The next bytes."""
        self._gathered.append(data)
        self.size += len(data)
        if self.size - self._at >= GATHERED:
            self.flush()

    def patch(self, offset: int, data: bytes) -> None:
        """Other bytes over those at ``offset``."""
        self.flush()
        self._write(offset, data)

    def flush(self) -> None:
        """Write what is gathered."""
        data, self._gathered = b"".join(self._gathered), []
        self._write(self._at, data)
        self._at = self.size

    def _write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._handle, view, offset)
            offset, view = offset + done, view[done:]
