"""`sartor inspect`: targets are opened, judged, and come back as inspections."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import NoSuchTargetError
from sartor.host.model import Host
from sartor.paths import Places
from sartor.remote.reference import Reading, remote_target
from sartor.verdict.model import Inspection, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sartor.artifact.model import Evidence, NotRead
    from sartor.artifact.reading import Names, NamesWanted
    from sartor.evidence.shelf import Shelf
    from sartor.index.wheels import Fits
    from sartor.remote.targets import Remotes
    from sartor.reporter import Reporter
    from sartor.verdict.case import Lookup
    from sartor.verdict.model import Finding


class InspectRequest(msgspec.Struct, frozen=True):
    """What `sartor inspect` was asked for. ``kernels``: whether every kernel's name is.

    ``host`` is the machine that the targets are for, where one is known as a whole. ``platform``
    chooses among the images of an index (``linux/arm64``). ``places`` say where the evidence store
    is that is asked first and kept up; None: neither (``--no-store``). ``all_layers``: of an image
    in a registry none is left out for what its image declares of it. Of a project's wheels those
    alone are read that are for ``python`` (``3.12``), and, where ``fitting``, for ``host``.
    ``refresh``: the indexes are asked, whatever they said some minutes ago.
    """

    targets: list[str]
    gpus: list[Target]
    host: Host | None = None
    kernels: bool = False
    platform: str | None = None
    places: Places | None = None
    python: str | None = None
    fitting: bool = False
    all_layers: bool = False
    refresh: bool = False


def inspect(request: InspectRequest, reporter: Reporter) -> list[Inspection]:
    """One inspection for each target, in their order.

    A project is as many as it has wheels that are read. Raises what
    `sartor.artifact.reading.read_evidence` and `sartor.remote.targets.Remotes.read` raise, at the
    first target that cannot be read at all, and `NoSuchTargetError` for an empty name.
    """
    from sartor.evidence.shelf import Shelf
    from sartor.verdict.inspection import judge

    def names(path: str) -> Names:
        from sartor.verdict.dispatch import wants_names

        if request.kernels:
            return "all"
        return "one" if request.gpus and wants_names(path) else "none"

    found = []
    kept = any(map(_may_be_kept, request.targets))
    with (
        Shelf.of(request.places if kept else None, reporter) as shelf,
        closing(_Targets(request, names, shelf, reporter)) as targets,
    ):
        for text in request.targets:
            for read in targets.read(text):
                wrong, not_checked = examine(read.evidence, request.host, request.gpus, read.yanked)
                judged = judge(
                    read.evidence, request.gpus, wrong, not_checked, kernels=request.kernels
                )
                fetched = read.fetched_bytes
                found.append(msgspec.structs.replace(judged, fetched_bytes=fetched))
    return found


def _may_be_kept(target: str) -> bool:
    """Whether it is a file, or on a server: what is read of a folder is not kept."""
    there = os.path.lexists(target)
    return Path(target).is_file() or remote_target(target, is_there=there) is not None


class _Targets:
    """Opens each target where it is; what the network wants is imported where it is asked."""

    def __init__(
        self, request: InspectRequest, names: NamesWanted, shelf: Shelf, reporter: Reporter
    ) -> None:
        self._request = request
        self._names = names
        self._shelf = shelf
        self._reporter = reporter
        self._remotes: Remotes | None = None

    def read(self, text: str) -> Iterator[Reading]:
        """What was read of a target, which may be several wheels."""
        from sartor.evidence.reading import evidence_of

        if not text:  # `Path("")` would be this folder
            raise NoSuchTargetError(
                "a target is an empty word",
                hint="a variable of the shell that is not set? This folder is `.`",
            )
        image = self._image(text)
        if image is not None:
            yield image
            return
        remote = remote_target(text, is_there=os.path.lexists(text))
        if remote is None:
            self._reporter.detail(f"reading {text}")
            platform = self._request.platform
            yield Reading(evidence_of(Path(text), self._names, self._shelf, platform=platform))
            return
        if self._remotes is None:
            from sartor.remote.targets import Keeping, Remotes

            places, refresh = self._request.places, self._request.refresh
            listings = None if places is None else places.listings
            keeping = Keeping(self._shelf, listings, refresh=refresh)
            self._remotes = Remotes(self._reporter, keeping=keeping)
        yield from self._remotes.read(remote, self._names, self._fits())

    def _image(self, text: str) -> Reading | None:
        """What was read of an image in a registry; None for any other target."""
        if os.path.lexists(text):
            return None
        from sartor.remote.image_reference import SCHEME, may_be_image, named_image

        begins_there = os.path.lexists(text.partition("/")[0])
        reference = named_image(text, begins_there=begins_there)
        if reference is None:
            if ("/" in text or ":" in text) and not begins_there and may_be_image(text):
                raise NoSuchTargetError(
                    f"there is no `{text}`", hint=f"an image in a registry is `{SCHEME}{text}`"
                )
            return None
        from sartor.remote.registry_image import ImageWanted
        from sartor.remote.registry_target import read_reference

        request = self._request
        machine = (request.host and request.host.architecture) or os.uname().machine
        wanted = ImageWanted(self._names, request.platform, machine, request.all_layers)
        return read_reference(reference, wanted, self._reporter)

    def close(self) -> None:
        """Leave the network."""
        if self._remotes is not None:
            self._remotes.close()

    def _fits(self) -> Fits:
        from sartor.index.wheels import Fits

        host = self._request.host if self._request.fitting else None
        return Fits(
            host.architecture if host else None, host.glibc if host else None, self._request.python
        )


def examine(
    evidence: Evidence,
    host: Host | None,
    gpus: Sequence[Target] = (),
    yanked: Mapping[str, str] | None = None,
) -> tuple[list[Finding], list[NotRead]]:
    """What is wrong with a target; the symbols of an environment are asked of its files.

    An environment is taken to be for this machine where no other is described.
    """
    from sartor.artifact.defined import symbol_tables
    from sartor.verdict.case import Case, symbols_wanted
    from sartor.verdict.findings import findings

    if evidence.kind != "environment":
        return findings(Case(evidence, host, gpus=gpus, yanked=yanked or {}))
    root = Path(evidence.target)
    with symbol_tables(root, symbols_wanted(evidence.libraries)) as symbols:
        here = host is None or not host.described
        case = Case(evidence, host, symbols=symbols, gpus=gpus)
        if here:
            case = msgspec.structs.replace(case, find_library=_on_this_machine)
        return findings(case)


def _on_this_machine(soname: str) -> Lookup:
    """Whether the dynamic loader of this machine finds a library."""
    from sartor.host.loader import find_library

    return "found" if find_library(soname, os.uname().machine) else "missing"
