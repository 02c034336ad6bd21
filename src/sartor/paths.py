"""Where Sartor keeps its files, and how it writes them.

``SARTOR_HOME`` puts everything under one folder; otherwise the platform's user data folder is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec

from sartor.errors import DiskFullError, FolderNotWritableError, InterruptedBySignal, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sartor.errors import SartorError


class Places(msgspec.Struct, frozen=True):
    """The folders that Sartor writes to; all below ``root``."""

    root: Path

    @property
    def environments(self) -> Path:
        """Finished environments, one folder each, named by the key of their stack."""
        return self.root / "environments"

    @property
    def locks(self) -> Path:
        """Resolved requirements (pylock.toml), one for each stack."""
        return self.root / "locks"

    @property
    def wheels(self) -> Path:
        """Wheels built here, by (source hash, flags, ISA)."""
        return self.root / "wheels"

    @property
    def models(self) -> Path:
        """Generated demo models. Models from the hub stay in the hub's own cache."""
        return self.root / "models"

    @property
    def caches(self) -> Path:
        """What engines compile at run time and keep."""
        return self.root / "caches"

    @property
    def runs(self) -> Path:
        """One folder for each server that was started: its record, logs and key."""
        return self.root / "runs"

    @property
    def evidence(self) -> Path:
        """The store of what was read of packages, and the files that SQLite keeps beside it."""
        return self.root / "evidence" / "store.sqlite"

    @property
    def listings(self) -> Path:
        """What package indexes said of projects, for some minutes."""
        return self.root / "caches" / "listings"

    @property
    def catalog(self) -> Path:
        """What planning was told: METADATA, parts of wheels, resolutions, whole plans."""
        return self.root / "caches" / "catalog"

    @property
    def packages(self) -> Path:
        """Files of indexes that were fetched whole for bundles, by their sha256."""
        return self.root / "caches" / "packages"

    @property
    def compiled(self) -> Path:
        """Machine code that was compiled from PTX, by what it was compiled from."""
        return self.root / "caches" / "ptxas" / "cubins"

    @property
    def bundles(self) -> Path:
        """What was put together out of the parts of bundles, by their digest."""
        return self.root / "bundles"

    @property
    def logs(self) -> Path:
        """One log for each stage that writes one: resolve, install, compile."""
        return self.root / "logs"


def default_places() -> Places:
    """The folders of this user: ``$SARTOR_HOME``, else the platform's user data folder."""
    home = os.environ.get("SARTOR_HOME")
    if home:
        return Places(Path(home).expanduser().absolute())
    import platformdirs

    return Places(Path(platformdirs.user_data_dir("sartor")))


def make_folder(path: Path, mode: int = 0o777, hint: str | None = None) -> Path:
    """Make ``path`` with its parents.

    Raises `FolderNotWritableError` or `DiskFullError`, each with its way out, or ``hint``.
    """
    with explain_os_errors(path, hint):
        try:
            path.mkdir(parents=True, exist_ok=True, mode=mode)
        except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
            raise not_writable(path, error, hint) from error  # a file in its way, or /proc
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", str(path))
    return path


def make_private_folder(path: Path) -> Path:
    """Make ``path`` with its parents, for this user alone, and so too where it is there already.

    Raises what `make_folder` raises.
    """
    make_folder(path, mode=0o700)
    with contextlib.suppress(OSError):  # another user's, who decides
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o700)
    return path


def open_log(path: Path) -> TextIO:
    """Open a log to append to it; a new one is for this user alone. Raises `OSError`."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return os.fdopen(handle, "a", encoding="utf-8")


@contextmanager
def explain_os_errors(path: Path, hint: str | None = None) -> Iterator[None]:
    """Turn "no space" and "not permitted" below ``path`` into errors with a way out.

    ``hint`` is the way out where the place is not one of Sartor's own.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise disk_full(path, hint=hint) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise not_writable(path, error, hint) from error
        raise


def refused_by_system(error: OSError) -> SartorError | None:
    """What the system refused of a path that was named, as an error with a way out.

    None where that does not tell what to do: then it is a defect.
    """
    if error.filename is None:
        return None
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(
            f"a path is longer than its file system takes: `{error.filename}`",
            hint="name a shorter one",
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return FolderNotWritableError(
            f"`{error.filename}` cannot be reached ({error.strerror})",
            hint="run as a user who may go there, or name another place",
        )
    return None


def not_writable(path: Path, error: OSError, hint: str | None = None) -> FolderNotWritableError:
    """The error for a place that cannot be written."""
    return FolderNotWritableError(
        f"`{error.filename or path}` cannot be written ({error.strerror})",
        hint=hint
        or "set SARTOR_HOME to a folder that you can write, for example "
        "`SARTOR_HOME=/var/tmp/sartor`",
    )


def disk_full(
    path: Path,
    needed_bytes: int | None = None,
    log: str | None = None,
    hint: str | None = None,
) -> DiskFullError:
    """The error for a full file system: the one that holds ``path``."""
    found = [f"{human_bytes(free_bytes(path))} free for `{path}`"]
    if needed_bytes is not None:
        found.append(f"{human_bytes(needed_bytes)} needed")
    return DiskFullError(
        f"no space left on the file system that holds `{path}`",
        found=found,
        hint=hint
        or "free some space, or set SARTOR_HOME (environments) and UV_CACHE_DIR (downloads) "
        "to folders on a larger file system; what was downloaded so far is kept",
        log=log,
    )


def free_bytes(path: Path) -> int:
    """Bytes an ordinary user may still write where ``path`` is, or will be."""
    system = os.statvfs(existing_parent(path))
    return system.f_bavail * system.f_frsize


def existing_parent(path: Path) -> Path:
    """``path`` itself where it exists, else its nearest parent that does."""
    for candidate in (path, *path.parents):
        if candidate.exists():
            return candidate
    return Path("/")


def write_atomically(path: Path, content: bytes | str, mode: int = 0o644) -> None:
    """Write ``content`` beside ``path`` and rename it there: readers see the old or the new file.

    The file never exists with wider permissions than ``mode``.
    """
    data = content.encode() if isinstance(content, str) else content
    make_folder(path.parent)
    with explain_os_errors(path):
        name = _written_beside(path, data, mode)
        try:
            os.replace(name, path)  # noqa: PTH105
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_together(files: Mapping[Path, bytes], folder: Path, hint: str) -> None:
    """Write several files, all or none: each beside its place first, then all are renamed.

    A file that is there keeps its permissions. ``hint`` goes with the errors, which are about
    ``folder``: `FolderNotWritableError` and `DiskFullError`. Where Sartor is killed between two
    renames, the first files are new and the others old.
    """
    staged: dict[str, Path] = {}
    try:
        with explain_os_errors(folder, hint):
            for path, data in files.items():
                make_folder(path.parent, hint=hint)
                mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
                staged[_written_beside(path, data, mode)] = path
            try:
                _rename(staged)
            except (KeyboardInterrupt, InterruptedBySignal):
                _rename(staged)
                raise
    finally:
        for name in staged:
            Path(name).unlink(missing_ok=True)


def _rename(staged: Mapping[str, Path]) -> None:
    """Rename those that are not renamed yet."""
    for name, path in staged.items():
        with contextlib.suppress(FileNotFoundError):
            os.replace(name, path)  # noqa: PTH105


def _written_beside(path: Path, data: bytes, mode: int) -> str:
    """A new file in the same folder with ``data``; its name."""
    import tempfile

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, mode)  # noqa: PTH101 - the descriptor's file, by its name
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return name


def human_bytes(count: float) -> str:
    """Bytes as people read them: ``23.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
