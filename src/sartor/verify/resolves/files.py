"""The files of the installed packages, held against their RECORDs."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.members import is_library
from sartor.artifact.record import Record, Recorded, read_record
from sartor.facts.features import features_of
from sartor.facts.records import added_to, published
from sartor.verify.model import Failed, NotApplicable, NotChecked, Outcome, Passed
from sartor.verify.resolves.hashing import hash_files
from sartor.verify.resolves.slimmed import count_of_files, finishing, slimming_of, unfinished
from sartor.verify.subject.installed import Distribution
from sartor.verify.subject.remedies import reinstall
from sartor.verify.subject.system import SystemPackage, system_package

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from pathlib import Path

    from sartor.verify.resolves.hashing import Hashed
    from sartor.verify.subject.model import Subject

FILES_CHECK = "files of "
"""What the names of these checks begin with."""
SHOWN = 12
SELF = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""Files of a ``.dist-info`` that a RECORD cannot have the hash of."""


class _Owned(msgspec.Struct, frozen=True):
    """A distribution, its RECORD, and the file behind each of its lines (an absolute path)."""

    dist: Distribution
    record: Record
    paths: dict[str, Recorded]
    outside: list[str]


class Inventory:
    """All installed files: those that a RECORD has, those that none has, and what is in them.

    Files that none has are looked for in the folders of packages that are ``whole``: where not all
    packages count, they may be those of others.
    """

    def __init__(
        self,
        distributions: list[Distribution],
        whole: Container[Path],
        on_bytes: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self._owned = [_owned(d) for d in distributions if d.record is not None]
        self._by_path: dict[str, list[_Owned]] = defaultdict(list)
        for own in self._owned:
            for path in own.paths:
                self._by_path[path].append(own)
        self._site = list(dict.fromkeys(str(d.site) for d in distributions))
        self._whole = {str(d.site) for d in distributions if d.site in whole}
        self._extra = self._unrecorded()
        wanted = {path: own.paths[path].algorithm or "sha256" for own in self._owned
                  for path in own.paths if not path.endswith(".pyc")}  # fmt: skip
        wanted |= {path: "sha256" for path in self.strays if is_library(path)}
        self._hashed = hash_files(wanted, on_bytes)

    @property
    def strays(self) -> list[str]:
        """The files that no RECORD has."""
        return [path for paths in self._extra.values() for path in paths]

    def machine_code(self, root: Path) -> dict[str, str]:
        """The sha256 of each file with machine code, by its path below ``root``."""
        found = {}
        for path, hashed in self._hashed.items():
            if is_library(path) and hashed.why is None:
                inside = path.startswith(f"{root}/")
                found[path[len(str(root)) + 1 :] if inside else path] = hashed.sha256
        return dict(sorted(found.items()))

    def outcomes(self, subject: Subject, distributions: list[Distribution]) -> Iterator[Outcome]:
        """One for each distribution, and one for the files of none."""
        names = Counter(d.name for d in distributions)
        owned = {str(own.dist.info): own for own in self._owned}
        for dist in distributions:
            title = dist.name if names[dist.name] == 1 else dist.label
            check = f"{FILES_CHECK}{title} are as recorded"
            own = owned.get(str(dist.info))
            systems = system_package(dist)
            if systems is not None:
                yield _by_system(check, dist, systems)
            elif own is None:
                yield _without_record(check, dist)
            else:
                yield self._outcome(check, subject, own)
        nobodys = self._extra.get(None, [])
        if nobodys:
            why = f"{count_of_files(len(nobodys))} that no RECORD has: {self._few(nobodys)}"
            yield NotApplicable(check="files that are of no package", grade="resolves", why=why)

    def _outcome(self, check: str, subject: Subject, own: _Owned) -> Outcome:
        faults = [f"its RECORD: {fault}" for fault in own.record.faults]
        faults += [f"its RECORD names `{path}`, which is not its own" for path in own.outside]
        if not own.record.files:
            faults.append("its RECORD is empty")
        altered, notes = self._held(own)
        faults += [f"`{own.paths[path].path}`: {fault}" for path, fault in altered.items()]
        name, features = own.dist.name, _features(own.dist)
        if faults:
            more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
            linked = any(self._hashed[path].links > 1 for path in altered)
            hint = reinstall(subject, own.dist, linked=linked)
            if any(self._is_slimmed(path, subject) for path in altered):
                hint = finishing(subject)
            return Failed(
                check=check,
                grade="resolves",
                package=name,
                features=features,
                detail="\n".join([own.dist.label, *faults[:SHOWN], *more]),
                hint=hint,
            )
        detail = [f"{own.dist.version}, {self._amount(own)}", *notes, *self._notes(own)]
        slimming = slimming_of(subject, own.dist)
        detail += [slimming] if slimming else []
        return Passed(
            check=check,
            grade="resolves",
            package=name,
            features=features,
            detail="; ".join(detail),
        )

    def _is_slimmed(self, path: str, subject: Subject) -> bool:
        """Whether slimming made a file what it is, and no RECORD says so."""
        one, hashed = unfinished(subject).get(path), self._hashed[path]
        return one is not None and (hashed.is_missing or hashed.sha256 == one.sha256)

    def _held(self, own: _Owned) -> tuple[dict[str, str], list[str]]:
        """The files that are not as recorded, with how; and what explains those that are not.

        A file that another installed package wrote over this one's is as recorded by that one.
        """
        altered: dict[str, str] = {}
        over, facts, added = Counter[str](), 0, list[str]()
        known = published(own.dist.name, own.dist.version)
        for path, recorded in own.paths.items():
            hashed = self._hashed.get(path)
            fault = _fault(recorded, hashed) if hashed else None
            if hashed is None or fault is None:
                continue
            if known.get(recorded.path) == hashed.sha256:
                facts += 1
            elif other := self._overwritten_by(path, own, hashed):
                over[other] += 1
            elif recorded.path in added_to() and (more := _bytes_behind(path, recorded, hashed)):
                added.append(
                    f"`{recorded.path}`: {more} bytes of this machine's own behind its end"
                )
            else:
                altered[path] = fault
        notes = [f"{count} of them are now those of {other}" for other, count in over.items()]
        if facts:
            notes.append(f"{facts} are as published, which its own RECORD has wrong")
        return altered, [*notes, *added]

    def _overwritten_by(self, path: str, own: _Owned, hashed: Hashed) -> str | None:
        """The other distribution whose file is there now, if it is."""
        others = (o for o in self._by_path[path] if o is not own)
        return next((o.dist.label for o in others if _fault(o.paths[path], hashed) is None), None)

    def _amount(self, own: _Owned) -> str:
        from sartor.paths import human_bytes

        sizes = [self._hashed[path].size for path in own.paths if path in self._hashed]
        return f"{len(sizes)} files, {human_bytes(sum(sizes))}"

    def _notes(self, own: _Owned) -> Iterator[str]:
        """What is worth knowing of a distribution whose files are as recorded."""
        dist = own.dist
        unhashed = [r.path for path, r in own.paths.items() if _has_no_hash(dist, path, r)]
        if unhashed:
            yield f"{count_of_files(len(unhashed))} without a hash in it"
        if extra := self._extra.get(str(dist.info)):
            count = count_of_files(len(extra))
            yield f"{count} in its folders that no RECORD has: {self._few(extra)}"
        if dist.editable:
            yield f"editable: its code is in {dist.origin}, which nothing was held against"
        elif dist.origin is not None:
            yield f"from {dist.origin}"
        started = [r.path for r in own.paths.values() if r.path.endswith(".pth")]
        if started:
            yield f"read when Python starts: {', '.join(started)}"

    def _few(self, paths: list[str]) -> str:
        shown = [path.removeprefix(f"{self._site[0]}/") for path in sorted(paths)[:3]]
        return ", ".join(shown) + (" …" if len(paths) > len(shown) else "")

    def _unrecorded(self) -> dict[str | None, list[str]]:
        """Files that no RECORD has, by the ``.dist-info`` in whose folders they lie.

        What Python compiled is left out. None: the folder is of no distribution, or of several.
        """
        owners: dict[str, set[str]] = defaultdict(set)
        for own in self._owned:
            for path in own.paths:
                folder = posixpath.dirname(path)
                while folder not in self._site and len(folder) > 1 and own.dist.name:
                    if str(own.dist.info) in owners[folder]:
                        break
                    owners[folder].add(str(own.dist.info))
                    folder = posixpath.dirname(folder)
        found: dict[str | None, list[str]] = defaultdict(list)
        for site in [site for site in self._site if site in self._whole]:
            for folder, folders, files in os.walk(site):
                folders[:] = sorted(f for f in folders if f != "__pycache__")
                there = owners.get(_nearest(folder, owners, site), set())
                owner = next(iter(there)) if len(there) == 1 else None
                paths = (posixpath.join(folder, f) for f in files if not f.endswith(".pyc"))
                extra = [path for path in paths if path not in self._by_path]
                if extra:
                    found[owner] += extra
        return found


def _features(dist: Distribution) -> list[str]:
    """The features of a distribution that the facts know."""
    return [fact.name for fact in features_of(dist.name, dist.version)]


def _nearest(folder: str, owners: dict[str, set[str]], site: str) -> str:
    while folder not in owners and folder != site:
        folder = posixpath.dirname(folder)
    return folder


def _owned(dist: Distribution) -> _Owned:
    """A RECORD's lines with the files that they mean; those that lead out are named."""
    record = read_record(dist.record or b"")
    site, root = str(dist.site), str(dist.site.parents[2]) if len(dist.site.parents) > 2 else "/"
    paths, outside = {}, []
    for recorded in record.files:
        path = posixpath.normpath(posixpath.join(site, recorded.path))
        if path.startswith(f"{root.rstrip('/')}/"):
            paths[path] = recorded
        else:
            outside.append(recorded.path)
    return _Owned(dist, record, paths, outside)


def _bytes_behind(path: str, recorded: Recorded, hashed: Hashed) -> int:
    """How many bytes were added to a file that begins as it is recorded; 0 where it does not."""
    if recorded.size is None or recorded.digest is None or hashed.size <= recorded.size:
        return 0
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path of text, as all of them
            digest = hashlib.new(recorded.algorithm or "sha256", file.read(recorded.size)).digest()
    except (OSError, ValueError):
        return 0
    return hashed.size - recorded.size if digest == recorded.digest else 0


def _fault(recorded: Recorded, hashed: Hashed) -> str | None:
    """How a file is not as recorded; None where it is."""
    if hashed.is_missing:
        return "it is missing"
    if hashed.why is not None:
        return f"it cannot be read: {hashed.why}"
    altered = recorded.digest is not None and hashed.digest != recorded.digest
    resized = recorded.size is not None and hashed.size != recorded.size
    if not altered and not resized:
        return None
    if not resized:
        how = "altered"
    elif recorded.size is not None and hashed.size < recorded.size:
        how = f"truncated to {hashed.size} of {recorded.size} bytes"
    else:
        how = f"{hashed.size} bytes, where {recorded.size} are recorded"
    if recorded.digest is None or not altered:
        return f"{how}; sha256 {hashed.sha256}"
    wanted = f"{recorded.algorithm} {recorded.digest.hex()}"
    found = hashed.digest.hex()
    return f"{how}: {wanted} is recorded, {found} is there"


def _has_no_hash(dist: Distribution, path: str, recorded: Recorded) -> bool:
    own = {posixpath.join(str(dist.info), name) for name in SELF}
    return recorded.digest is None and path not in own and not path.endswith(".pyc")


def _by_system(check: str, dist: Distribution, package: SystemPackage) -> Outcome:
    """What the system's package manager says: it may change files after RECORD was written."""
    faults, count = package.faults(), count_of_files(len(package.files))
    if faults:
        more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        return Failed(
            check=check,
            grade="resolves",
            package=dist.name,
            features=_features(dist),
            detail="\n".join([dist.label, *faults[:SHOWN], *more]),
            hint=f"`apt-get install --reinstall {package.name}`",
        )
    return Passed(
        check=check,
        grade="resolves",
        package=dist.name,
        features=_features(dist),
        detail=f"{dist.version}, {count} as dpkg has them of {package.name}",
    )


def _without_record(check: str, dist: Distribution) -> NotChecked:
    """Who installed it without a RECORD has other ways to tell."""
    return NotChecked(
        check=check,
        grade="resolves",
        package=dist.name,
        features=_features(dist),
        why="it has no RECORD" + (f": {dist.installer} installed it" if dist.installer else ""),
        hint="its own package manager may know its files: `dpkg --verify`, `rpm -V`",
    )
