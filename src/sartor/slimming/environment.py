"""An environment slimmed in its place: `sartor slim ENV --in-place`."""

from __future__ import annotations

import platform
from collections import defaultdict
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor.artifact.digest import file_sha256
from sartor.artifact.source import FileSource
from sartor.errors import FolderNotWritableError, NoEnvironmentError
from sartor.locks import waiting_lock
from sartor.paths import explain_os_errors, not_writable
from sartor.slim.choice import Wanted
from sartor.slim.environment.in_place import InPlace, Owned
from sartor.slim.environment.model import InEnvironment
from sartor.slim.environment.patch import Unfit, restored
from sartor.slim.environment.slimmed import FOLDER, slimmed_in
from sartor.slim.library.model import LeftAlone, SlimmedLibrary
from sartor.slim.library.reduce import plan_library
from sartor.slim.model import SlimmedTarget, UnusedFiles
from sartor.slim.needed import settled
from sartor.slim.retarget.jobs import NO_COMPILER, Compiler
from sartor.slim.unused import Where, summed, systems_here, unused
from sartor.slimming.files import Listing, Refused, has_device_code
from sartor.slimming.former import check_former, lost_of
from sartor.slimming.notes import left_packages, notes_of
from sartor.slimming.system import refuse_system
from sartor.verify.subject.installed import installed
from sartor.verify.subject.interpreter import (
    NAME_ONE,
    Interpreter,
    ask,
    find_interpreter,
    is_interpreter,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.reporter import Reporter
    from sartor.slim.environment.slimmed import Changed
    from sartor.slim.unused import Unused

WAY = "sartor slim"
LOCK = ".lock"
"""uv's own lock of a virtual environment: neither changes it while the other does."""
CHANGED_THERE = (
    "an environment is changed where it is: run as a user who may write there; `--dry-run` only "
    "says what would become, and needs no permission"
)
BLOCK = 1 << 20
MACHINE_LIBC = {"glibc": "linux-gnu", "musl": "linux-musl"}


class Slimmable(msgspec.Struct, frozen=True):
    """An environment: its folder, without links, and what its interpreter says."""

    root: Path
    python: Path
    asked: Interpreter

    @property
    def sites(self) -> list[Path]:
        """Its own folders of packages."""
        real = [Path(folder).resolve() for folder in self.asked.site]
        return [folder for folder in real if folder.is_relative_to(self.root)]

    @property
    def not_touched(self) -> list[str]:
        """Folders of packages that are others'."""
        return [f for f in self.asked.site if not Path(f).resolve().is_relative_to(self.root)]


class InPlaceRequest(msgspec.Struct, frozen=True):
    """``keeping``: what brings files back is kept; ``removing``: those without use are removed.

    ``compiler`` compiles PTX where ``wanted`` asks for it.
    """

    wanted: Wanted
    dry_run: bool = False
    keeping: bool = True
    removing: bool = False
    compiler: Compiler = NO_COMPILER


def environment_at(path: Path) -> Slimmable:
    """The environment of a folder, or of an interpreter.

    Raises `NoEnvironmentError` and `InterpreterError`.
    """
    python = find_interpreter(path, WAY)
    if path.is_file() and not is_interpreter(path):
        raise NoEnvironmentError(
            f"`{path}` is a file, and no environment", hint=NAME_ONE.format(WAY)
        )
    asked = ask(python, WAY)
    return Slimmable(Path(asked.prefix).resolve(), python, asked)


def slim_environment(path: Path, request: InPlaceRequest, reporter: Reporter) -> SlimmedTarget:
    """Reduce every library of an environment that may be changed, in its place.

    Raises `NoEnvironmentError`, `InterpreterError`, `NotSlimmableError`, `UndoRecordError`,
    `DiskFullError` and `FolderNotWritableError`; what was done before one of these stays, whole,
    and is written down.
    """
    found = environment_at(path)
    refuse_system(found.asked)
    if request.dry_run:
        return _Slimming(found, request, reporter, None).result()
    with locked(found.root, reporter):
        return _Slimming(found, request, reporter, InPlace(found.root)).result()


@contextmanager
def locked(root: Path, reporter: Reporter) -> Iterator[None]:
    """Nobody else changes the environment, nor builds it, as long as the block lasts."""
    from sartor.build.environment import environment_at as made_at

    doing = "changing this environment"
    with ExitStack() as stack:
        made = made_at(root)
        if made is not None:
            stack.enter_context(waiting_lock(root.parent / f".{made.key}.lock", reporter, doing))
        try:
            stack.enter_context(waiting_lock(root / LOCK, reporter, doing))
            yield
        except PermissionError as error:
            raise not_writable(root, error, CHANGED_THERE) from error
        except FolderNotWritableError as error:
            error.hint = CHANGED_THERE
            raise


class _Slimming:
    """One run over an environment; ``place`` None: nothing is changed."""

    def __init__(
        self, found: Slimmable, request: InPlaceRequest, reporter: Reporter, place: InPlace | None
    ) -> None:
        self._found = found
        self._root = found.root
        self._request = request
        self._reporter = reporter
        self._place = place
        self._before = _standing(found.root) if place is None else place.settle()
        self._listing = Listing(found.root, installed(found.sites))
        self._libraries: list[SlimmedLibrary] = []
        self._left: dict[str, list[str]] = defaultdict(list)
        self._shared = 0
        self._grown = 0
        self._anew: list[str] = []

    def result(self) -> SlimmedTarget:
        """Do it all, and say what was done."""
        check_former(
            self._root,
            self._found.python,
            self._listing.packages,
            self._before,
            self._request.wanted,
        )
        before = self._bytes()
        unused_files = self._unused()
        self._slim()
        before += self._grown
        if self._place is not None and not self._request.keeping:
            self._place.let_go()
        libraries = self._libraries
        kept = self._place.kept_bytes if self._place is not None else 0
        return SlimmedTarget(
            target=str(self._found.root),
            kind="environment",
            output=None if self._request.dry_run else str(self._root),
            changed=any(one.changed for one in libraries) or any(f.removed for f in unused_files),
            bytes_before=before,
            bytes_after=before - self._would_go if self._place is None else self._bytes(),
            device_bytes_before=sum(one.device_bytes_before for one in libraries),
            device_bytes_after=sum(one.device_bytes_after for one in libraries),
            device_bytes_least=sum(one.device_bytes_least for one in libraries),
            libraries=libraries,
            unused=unused_files,
            notes=list(notes_of(self._listing, libraries, self._anew)),
            environment=InEnvironment(
                python=self._found.asked.version,
                left=list(left_packages(self._listing, self._left)),
                undo=str(self._root / FOLDER) if kept else None,
                kept_bytes=kept,
                shared_bytes=self._shared,
                not_touched=self._found.not_touched,
            ),
        )

    def _bytes(self) -> int:
        """All files of its packages."""
        return sum(_size(self._root / path) for path in self._listing.owners)

    @property
    def _would_go(self) -> int:
        return sum(one.bytes_before - one.bytes_after for one in self._libraries)

    def _slim(self) -> None:
        paths = [p for p in self._listing.libraries() if has_device_code(self._root / p)]
        strays = self._listing.unrecorded(self._found.sites)
        strays = (p for p in strays if has_device_code(self._root / p))
        for path in strays:
            self._refuse(Refused(path, "no RECORD names it: nothing says whose it is"))
        sizes = {path: _size(self._root / path) for path in paths}
        done, total = 0, sum(sizes.values())
        for path in sorted(paths):
            self._reporter.progress("slimming", done, total, "B")
            self._one(path)
            done += sizes[path]
        self._reporter.progress("slimming", total, total, "B")

    def _one(self, path: str) -> None:
        """One library with device code."""
        forbidden = [p for p in self._listing.owners[path] if p.why is not None]
        if forbidden:
            self._left[forbidden[0].record].append(path)
            return
        wanted = self._request.wanted
        if self._place is not None and path in self._before:
            if self._before[path].wanted == wanted and self._stays(path):
                return
            self._from_original(path, self._place)
        if self._place is None:
            self._dry(path)
            return
        if path in self._before and (gone := lost_of(self._before[path], wanted)) is not None:
            why = f"it was slimmed to {self._before[path].gpus} before, what was kept of it is "
            self._refuse(Refused(path, f"{why}damaged, and {gone}"))
            return
        file = self._listing.examined(path)
        if isinstance(file, Refused):
            self._refuse(file)
            return
        shared = (self._root / path).stat().st_nlink > 1
        file = replace(file, earlier=self._before.get(path))
        keeping, compiler = self._request.keeping, self._request.compiler
        result = self._place.slim(file, wanted, keeping=keeping, compiler=compiler).result
        self._add(path, result)
        if result.changed and shared:
            self._shared += result.bytes_before

    def _stays(self, path: str) -> bool:
        """Whether nothing more becomes of a file that was slimmed so before; it is added then.

        PTX that was not compiled then is tried again: another ptxas may take it.
        """
        with FileSource(self._root / path) as source:
            plan = plan_library(source, path, self._request.wanted, self._request.compiler)
        if not plan.result.changed:
            self._add(path, plan.result)
        return not plan.result.changed

    def _from_original(self, path: str, place: InPlace) -> None:
        """Slim what was installed, where that is kept, and not what was slimmed of it."""
        now = _size(self._root / path)
        self._bring_back(path, place)
        if path not in self._before:
            self._anew.append(path)
            self._grown += _size(self._root / path) - now

    def _bring_back(self, path: str, place: InPlace) -> None:
        """The original of a file that was slimmed before, where it is kept, and whole."""
        earlier = self._before.get(path)
        if earlier is not None and earlier.kept is not None:
            with suppress(Unfit):
                place.bring_back(earlier)
                del self._before[path]

    def _dry(self, path: str) -> None:
        file = self._listing.examined(path)
        earlier = self._before.get(path)
        if isinstance(file, Refused):
            self._refuse(file)
        elif earlier is None or earlier.kept is None or earlier.wanted == self._request.wanted:
            self._planned(path)
        else:
            self._planned_anew(path, earlier.kept)

    def _planned(self, path: str, place: Path | None = None) -> None:
        with FileSource(place or self._root / path) as source:
            self._add(path, plan_library(source, path, self._request.wanted).result)

    def _planned_anew(self, path: str, kept: str) -> None:
        """As `_planned`, of what was installed, which is put together in a file without a place."""
        with TemporaryDirectory(prefix="sartor-") as folder, explain_os_errors(Path(folder)):
            place = Path(folder) / "original"
            try:
                with place.open("wb") as file:
                    file.writelines(
                        restored(self._root / path, self._root / FOLDER / "kept" / kept)
                    )
            except Unfit as fault:
                self._refuse(Refused(path, f"it was slimmed before, and {fault}"))
                return
            self._anew.append(path)
            self._grown += _size(place) - _size(self._root / path)
            self._planned(path, place)

    def _add(self, path: str, result: SlimmedLibrary) -> None:
        self._libraries.append(replace(result, path=path, units=[]))

    def _refuse(self, refused: Refused) -> None:
        wanted, size = self._request.wanted, _size(self._root / refused.path)
        self._libraries.append(
            SlimmedLibrary(
                path=refused.path,
                gpus=list(wanted.targets),
                keep_ptx=wanted.keep_ptx,
                changed=False,
                bytes_before=size,
                bytes_after=size,
                left_alone=[LeftAlone(code=refused.code, why=refused.why)],
            )
        )

    def _unused(self) -> list[UnusedFiles]:
        """What cannot be used here, by package and kind; removed where that was asked for."""
        found, where = [], _where(self._found.asked)
        for package in self._listing.packages:
            name = package.dist.name
            sizes = [(path, _size(self._root / path)) for path in package.files]
            ones = unused([(p, n) for p, n in sizes if n], where, name)
            if package.why is not None:
                ones = [replace(one, removable=False) for one in ones]
            ones = settled(ones, [path for path, size in sizes if size], self._blocks)
            may = [one for one in ones if one.removable]
            gone = self._remove(may) if self._request.removing else []
            found += summed(name, ones, {one.path for one in gone})
        return sorted(found, key=lambda one: -one.bytes)

    def _blocks(self, path: str) -> Iterator[bytes]:
        """A file's bytes; nothing of one that cannot be read."""
        with suppress(OSError), (self._root / path).open("rb") as file:
            while block := file.read(BLOCK):
                yield block

    def _remove(self, ones: list[Unused]) -> list[Unused]:
        """Take files away that are as their package brought them; which these were."""
        gone = []
        for one in ones:
            if self._place is None:
                break
            self._bring_back(one.path, self._place)
            file = self._listing.examined(one.path)
            if isinstance(file, Owned):
                shared = (self._root / one.path).stat().st_nlink > 1
                file = replace(file, earlier=self._before.get(one.path))
                self._place.remove(file, one.why, keeping=self._request.keeping)
                gone.append(one)
                self._shared += one.size if shared else 0
        return gone


def _standing(root: Path) -> dict[str, Changed]:
    """The files that are as they were slimmed, by their paths; nothing is changed."""
    record = slimmed_in(root)
    files = record.by_path() if record is not None else {}
    return {p: one for p, one in files.items() if one.sha256 == file_sha256(root / p)}


def _where(asked: Interpreter) -> Where:
    """Where the packages of an environment are used: by its interpreter, on this machine."""
    markers = asked.markers
    python = markers["python_version"] + ("t" if asked.free_threaded else "")
    is_cpython = markers["implementation_name"] == "cpython"
    libc = MACHINE_LIBC.get(platform.libc_ver()[0])
    systems = systems_here(markers["platform_machine"], libc)
    return Where(python=python if is_cpython else None, systems=systems)


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_size
