"""What has changed of the files that a lock names, and of what was read of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.utils import parse_wheel_filename
from packaging.version import InvalidVersion, Version

from sartor.index.wheels import Fits, why_not
from sartor.lock.canonical import is_wheel
from sartor.lock.chains import demands, refused_by
from sartor.lock.model import LockChange, NotChecked

if TYPE_CHECKING:
    from sartor.index.wheels import IndexFile
    from sartor.lock.model import LockedPackage, Locking, Now


def package_changes(locked: Locking, now: Now) -> tuple[list[LockChange], list[NotChecked]]:
    """Files that are gone, withdrawn or others than they were, and newer releases that fit."""
    host = now.host or locked.host
    fits = Fits(host.architecture, host.glibc, host.python)
    wanted = demands(locked)
    found, unknown = [], []
    for package in locked.packages:
        if package.file is None:
            unknown.append(NotChecked(package.name, "a commit is not asked for again"))
            continue
        listed = now.listings.get((package.index, package.name))
        if listed is None:
            unknown.append(NotChecked(package.name, "its index was not asked"))
        elif isinstance(listed, str):
            unknown.append(NotChecked(package.name, listed))
        else:
            found += _file_changes(package, package.file, listed)
            found += _newer(package, listed, fits, wanted[package.name])
    return found, unknown


def _file_changes(
    package: LockedPackage, file: IndexFile, listed: list[IndexFile]
) -> list[LockChange]:
    same = next((f for f in listed if f.name == file.name), None)
    if same is None:
        because = "it can no longer be had there; what was fetched before still installs"
        return [_again(package, f"the file {file.name}", "there", "gone", because)]
    found = []
    if same.sha256 is not None and same.sha256 != file.sha256:
        because = (
            "the index now has other bytes under this name: nothing installs them, for the hash "
            "is locked; find out why before you plan again"
        )
        what = f"the sha256 of {file.name}"
        change = _again(package, what, file.sha256, same.sha256, because)
        found.append(replace(change, alarm=True))
    if same.yanked is not None and file.yanked is None:
        because = f"its makers withdrew it: {same.yanked or 'they give no reason'}"
        found.append(_again(package, file.name, "published", "yanked", because))
    return found


def _newer(
    package: LockedPackage, listed: list[IndexFile], fits: Fits, wanted: list[tuple[str, str]]
) -> list[LockChange]:
    """The newest release with a wheel that fits, where it is newer; what holds it back, if so."""
    newest = _newest(package, listed, fits)
    if newest is None:
        return []
    held = [f"{who} wants {text}" for who, text in refused_by(wanted, str(newest))]
    because = f"held back: {'; '.join(held)}" if held else "planning again may choose it"
    return [
        LockChange(
            group="package",
            what=package.name,
            was=package.version,
            now=str(newest),
            consequence="still holds",
            because=f"a newer release fits this machine; {because}",
        )
    ]


def _newest(package: LockedPackage, listed: list[IndexFile], fits: Fits) -> Version | None:
    """The newest version after the locked one of which a wheel fits; pre-releases do not count."""
    try:
        locked = Version(package.version)
    except InvalidVersion:
        return None
    fitting = (f for f in listed if f.yanked is None and is_wheel(f) and not why_not(f, fits))
    versions = (parse_wheel_filename(f.name)[1] for f in fitting)
    return max((v for v in versions if v > locked and not v.is_prerelease), default=None)


def evidence_changes(locked: Locking, now: Now) -> tuple[list[LockChange], list[NotChecked]]:
    """What the readers say otherwise now of the very files that are locked."""
    found, unknown = [], []
    for package in locked.packages:
        was = package.evidence
        if package.file is None or package.file.sha256 is None or was is None:
            continue
        read = now.evidence.get(package.file.sha256)
        if read is None:
            unknown.append(NotChecked(package.file.name, "it was not read again"))
        elif read.digest != was.digest:
            because = "the readers now say something else of the same bytes, by which it was chosen"
            if read.reader == was.reader:
                because += "; they are the same readers, so one of the two is wrong"
            change = LockChange(
                group="evidence",
                what=package.file.name,
                was=f"reader {was.reader}, {was.read_at[:10]}",
                now=f"reader {read.reader}, {read.read_at[:10]}",
                consequence="must be planned again",
                because=because,
                alarm=read.reader == was.reader,
            )
            found.append(change)
    return found, unknown


def _again(
    package: LockedPackage, what: str, was: str | None, now: str | None, because: str
) -> LockChange:
    return LockChange(
        group="package",
        what=f"{package.name}: {what}",
        was=was,
        now=now,
        consequence="must be planned again",
        because=because,
    )
