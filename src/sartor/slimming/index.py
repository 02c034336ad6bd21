"""`sartor slim --index`: a static package index for each GPU, from which pip and uv install.

``DIR/sm_90/simple/PROJECT/`` has the wheels of a project for that GPU, their metadata (PEP 658),
and the pages. A page names only files that are whole: it is written after them.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from packaging.utils import canonicalize_name

from sartor import __version__
from sartor.artifact.digest import file_sha256
from sartor.artifact.metadata import headers
from sartor.artifact.source import FileSource
from sartor.artifact.zip import ZipMembers
from sartor.errors import ArtifactUnreadableError, NoSuchTargetError, OthersFileError, UsageError
from sartor.index.files import IndexFile
from sartor.locks import waiting_lock
from sartor.paths import Places, make_folder
from sartor.remote.reference import remote_target
from sartor.slim.choice import Wanted
from sartor.slim.library.written import sweep, write_whole
from sartor.slim.licence import Forbidden, may_be_changed
from sartor.slim.model import SlimmedTarget
from sartor.slim.retarget.jobs import NO_COMPILER, Compiler
from sartor.slim.wheel.name import WheelName, parse_name
from sartor.slim.wheel.pages import (
    Listed,
    MadeOf,
    ProjectName,
    ProjectPage,
    RootPage,
    file_url,
    json_text,
    project_html,
    read_page,
    root_html,
    with_file,
)
from sartor.slim.wheel.reduce import WheelRequest, copied, slim_wheel
from sartor.slimming.wheels import fetched, meant_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.reporter import Reporter
    from sartor.verdict.model import Target

PAGE, JSON = "index.html", "index.json"
LOCK = ".sartor.lock"
THERE = "it is in the index already, made of the same wheel"
HINT = "name a folder that you can write, on a file system with enough room"


class IndexRequest(msgspec.Struct, frozen=True):
    """What indexes are made of; ``folder`` holds one for each GPU that is ``wanted``.

    ``removing``: wheels are made without what is of no use, to ``python`` where one is named.
    """

    targets: list[str]
    wanted: Wanted
    folder: Path
    places: Places
    python: str | None = None
    platform: str | None = None
    compiler: Compiler = NO_COMPILER
    removing: bool = False


class _Wheel(msgspec.Struct, frozen=True):
    """A wheel that is to be in the indexes; ``path`` None: it is fetched once it is needed."""

    file: IndexFile
    path: Path | None = None


def make_indexes(request: IndexRequest, reporter: Reporter) -> list[SlimmedTarget]:
    """Add every wheel to the index of every GPU; what is there already is left as it is.

    Raises what `sartor.slimming.targets.slim` raises, and `OthersFileError` where a page is not
    Sartor's.
    """
    wheels = [wheel for text in request.targets for wheel in _meant(text, request, reporter)]
    make_folder(request.folder, hint=HINT)
    gpus = request.wanted.gpus
    if len(gpus) > 1:
        folders = ", ".join(f"`{gpu}/simple`" for gpu in gpus)
        reporter.note(f"one index for each GPU, and none for all of them: {folders}")
    with waiting_lock(request.folder / LOCK, reporter, "making an index"):
        for folder in (*request.folder.glob("*/simple"), *request.folder.glob("*/simple/*")):
            sweep(folder)
        return [
            _Index(request, target).add(wheel, reporter)
            for wheel in wheels
            for target in request.wanted.targets
        ]


def _meant(text: str, request: IndexRequest, reporter: Reporter) -> Iterator[_Wheel]:
    path = Path(text)
    remote = remote_target(text, is_there=path.exists())
    if remote is not None:
        found = meant_wheels(remote, request.python, request.platform, request.places, reporter)
        yield from map(_Wheel, found)
        return
    if path.is_dir() or path.suffix != ".whl":
        raise UsageError(f"`{text}` is no wheel and no project", hint="an index is of wheels")
    sha256 = file_sha256(path)
    if sha256 is None:
        raise NoSuchTargetError(f"there is no file `{text}`")
    yield _Wheel(IndexFile(path.name, path.resolve().as_uri(), sha256=sha256), path)


class _Index:
    """The index of one GPU."""

    def __init__(self, request: IndexRequest, target: Target) -> None:
        self._request = request
        self._wanted = msgspec.structs.replace(request.wanted, targets=(target,))
        self._root = request.folder / target.gpu / "simple"

    def add(self, wheel: _Wheel, reporter: Reporter) -> SlimmedTarget:
        """Have the wheel in it."""
        project = canonicalize_name(_name(wheel.file.name).distribution)
        folder = self._root / project
        page = self._page(folder, project)
        made_of = MadeOf(
            source=wheel.file.name,
            sha256=wheel.file.sha256 or "",
            gpus=self._wanted.gpus,
            keep_ptx=self._wanted.keep_ptx,
            retarget=self._wanted.retarget,
            compress=self._wanted.compress,
            remove_unused=self._request.removing,
            python=self._request.python if self._request.removing else None,
            sartor=__version__,
        )
        there = _there(folder, page, wheel.file, made_of)
        if there is not None:
            self._write(folder, page)
            return there
        path = wheel.path or fetched([wheel.file], self._request.places, reporter)[0]
        result = self._slimmed(path, folder, reporter)
        if wheel.path is None:
            result = msgspec.structs.replace(result, target=path.name)
        output = Path(result.output or "")
        listed = _listed(output, wheel.file, made_of)
        version = _name(output.name).version
        self._write(folder, with_file(page, listed, version))
        return result

    def _slimmed(self, path: Path, folder: Path, reporter: Reporter) -> SlimmedTarget:
        """The wheel in the folder: slimmed, or as it is where nothing of it may or need change."""
        decision = may_be_changed(_name(path.name).distribution)
        if isinstance(decision, Forbidden):
            size = path.stat().st_size
            return SlimmedTarget(
                target=str(path),
                kind="wheel",
                output=str(copied(path, folder / path.name)),
                changed=False,
                bytes_before=size,
                bytes_after=size,
                why=f"taken as it is: {decision.because}",
                gpus=self._wanted.gpus,
            )
        request = self._request
        asked = WheelRequest(
            path,
            self._wanted,
            folder,
            copy=True,
            python=request.python,
            removing=request.removing,
            compiler=request.compiler,
        )
        return slim_wheel(asked, reporter)

    def _page(self, folder: Path, project: str) -> ProjectPage:
        path = folder / JSON
        try:
            return read_page(path.read_bytes())
        except FileNotFoundError:
            return ProjectPage(name=project)
        except ValueError as error:
            raise OthersFileError(
                f"`{path}` is no page of an index that Sartor made",
                found=[str(error)],
                hint="name another folder: `--index DIR`",
            ) from error

    def _write(self, folder: Path, page: ProjectPage) -> None:
        """The pages, also those that a killed run did not come to."""
        _have(folder / JSON, json_text(page))
        _have(folder / PAGE, project_html(page))
        names = sorted(path.parent.name for path in self._root.glob(f"*/{JSON}"))
        root = RootPage(projects=[ProjectName(name) for name in names])
        _have(self._root / JSON, json_text(root))
        _have(self._root / PAGE, root_html(root))


def _have(path: Path, data: bytes) -> None:
    """Write the page where it is not there as it should be."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return
    write_whole(path, data)


def _name(name: str) -> WheelName:
    """The parts of a wheel's name; raises `UsageError`."""
    try:
        return parse_name(name)
    except ValueError as error:
        raise UsageError(str(error), hint="give it the name that its index has") from error


def _there(
    folder: Path, page: ProjectPage, file: IndexFile, made_of: MadeOf
) -> SlimmedTarget | None:
    """The result for a file that was made of the same wheel, in the same way, and is there."""
    for one in page.files:
        path = folder / one.filename
        same = one.made_of == made_of and one.yanked == _yanked(file)
        if same and path.is_file() and path.stat().st_size == one.size:
            return SlimmedTarget(
                target=file.name,
                kind="wheel",
                output=str(path),
                changed=False,
                bytes_before=file.size or one.size,
                bytes_after=one.size,
                why=THERE,
                gpus=made_of.gpus,
            )
    return None


def _listed(path: Path, file: IndexFile, made_of: MadeOf) -> Listed:
    """What the page says of a wheel; its METADATA is written beside it."""
    metadata = _metadata(path)
    beside = path.with_name(f"{path.name}.metadata")
    write_whole(beside, metadata)
    digests = {"sha256": file_sha256(beside) or ""}
    requires = headers(metadata, path.name, []).get("requires-python", [])
    return Listed(
        filename=path.name,
        url=file_url(path.name),
        hashes={"sha256": file_sha256(path) or ""},
        size=path.stat().st_size,
        requires_python=requires[0] if requires else None,
        yanked=_yanked(file),
        upload_time=file.uploaded,
        core_metadata=digests,
        dist_info_metadata=digests,
        made_of=made_of,
    )


def _yanked(file: IndexFile) -> bool | str:
    return False if file.yanked is None else file.yanked


def _metadata(path: Path) -> bytes:
    with FileSource(path) as source:
        members = ZipMembers(source)
        for member in members.members:
            if member.name.endswith(".dist-info/METADATA") and member.name.count("/") == 1:
                text = members.member_source(member)
                return text.read(0, text.size)
    raise ArtifactUnreadableError(f"`{path}` has no METADATA: it is no wheel")
