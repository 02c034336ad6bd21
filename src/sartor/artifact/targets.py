"""What a local target is, by its bytes and its layout, never by its name alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sartor.artifact.environment import FolderMembers
from sartor.artifact.members import GZIP_MAGIC, ZSTD_MAGIC, SingleFile, file_kind, shown
from sartor.artifact.source import FileSource, Invalid
from sartor.errors import ArtifactUnreadableError, NoSuchTargetError, closest

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.artifact.members import FileKind, Members
    from sartor.artifact.model import TargetKind

ZIP_MAGICS = (b"PK\3\4", b"PK\5\6")
USTAR = b"ustar"
USTAR_AT = 257
HEAD = 512
LAYOUT, INDEX = "oci-layout", "index.json"
WHEEL = re.compile(r"[^/]+\.dist-info/METADATA")
SINGLE: dict[FileKind, TargetKind] = {
    "elf": "library",
    "cubin": "cubin",
    "fatbin": "fatbin",
    "ptx": "ptx",
}
WHAT_IS_READ = (
    "a wheel, a shared library, a `.cubin`, `.fatbin` or PTX file, a virtual environment or a "
    "folder of libraries, and a container image (an OCI layout, or what `docker save` wrote)"
)


def open_members(path: Path, platform: str | None = None) -> tuple[TargetKind, Members]:
    """What the target is, and its files; the caller closes them.

    ``platform`` (`linux/arm64`) chooses among the images of a layout. Raises `NoSuchTargetError`
    and `ArtifactUnreadableError`.
    """
    try:
        if path.is_dir():
            return _open_folder(path, platform)
        return _open_file(path, platform)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_such(path) from error
    except OSError as error:
        raise ArtifactUnreadableError(
            f"`{shown(str(path))}` cannot be read: {error.strerror}",
            hint="check the path and its permissions",
        ) from error
    except Invalid as fault:
        raise _unreadable(path, fault) from fault


def _open_folder(path: Path, platform: str | None) -> tuple[TargetKind, Members]:
    with_blobs = (path / "blobs").is_dir()
    if (path / LAYOUT).is_file() or ((path / INDEX).is_file() and with_blobs):
        from sartor.artifact.image import folder_image

        return "image", folder_image(path, platform)
    if with_blobs and not any((path / "blobs").iterdir()):
        raise Invalid(path.name, 0, "it has an empty `blobs` folder and no index")
    next(path.iterdir(), None)  # raises where it may not be listed
    return "environment", FolderMembers(path)


def _open_file(path: Path, platform: str | None) -> tuple[TargetKind, Members]:
    source = FileSource(path)
    try:
        return _by_magic(source, platform)
    except BaseException:
        source.close()
        raise


def _by_magic(source: FileSource, platform: str | None) -> tuple[TargetKind, Members]:
    head = source.read(0, min(HEAD, source.size))
    if not head:
        raise Invalid(source.name, 0, "the file is empty")
    kind = file_kind(source)
    if kind is not None:
        return SINGLE[kind], SingleFile(source.name, source, source.close)
    if head.startswith(ZIP_MAGICS):
        return _open_zip(source)
    if head[USTAR_AT:].startswith(USTAR) or not any(head):
        from sartor.artifact.image import archive_image

        return "image", archive_image(source, platform, source.close)
    if head.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
        tool = "gunzip" if head.startswith(GZIP_MAGIC) else "zstd -d"
        raise ArtifactUnreadableError(
            f"`{source.name}` is compressed as a whole",
            hint=f"unpack it first: `{tool} {source.name}`; a source distribution has no device "
            "code to read, build its wheel first",
        )
    return _as_zip(source)


def _as_zip(source: FileSource) -> tuple[TargetKind, Members]:
    """Something may stand before a ZIP archive: it is one by its end."""
    what = (
        "a wheel by its name, but its bytes are no ZIP archive"
        if source.name.endswith(".whl")
        else "nothing that device code is read from"
    )
    try:
        return _open_zip(source)
    except Invalid as fault:
        raise Invalid(source.name, 0, what) from fault


def _open_zip(source: FileSource) -> tuple[TargetKind, Members]:
    from sartor.artifact.zip import ZipMembers

    archive = ZipMembers(source, source.close)
    is_wheel = any(WHEEL.fullmatch(name) for name in archive.names())
    return "wheel" if is_wheel else "zip", archive


def _no_such(path: Path) -> NoSuchTargetError:
    folder = path.parent
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return NoSuchTargetError(
            f"there is no `{shown(str(path))}`",
            found=[f"its folder `{shown(str(folder))}` is not there either"],
            hint="give the path of a file or folder that is there",
        )
    near = closest(path.name, names)
    hint = f"did you mean {' or '.join(f'`{shown(n)}`' for n in near)}?" if near else None
    return NoSuchTargetError(
        f"there is no `{shown(str(path))}`",
        hint=hint or "give the path of a file or folder that is there",
    )


def _unreadable(path: Path, fault: Invalid) -> ArtifactUnreadableError:
    return ArtifactUnreadableError(
        f"`{shown(str(path))}` cannot be read: {fault.reason}",
        found=[str(fault)],
        hint=f"a download that broke off is fetched again; what is read is {WHAT_IS_READ}",
    )
