"""What a lock (PEP 751) of the resolver says, as files that a machine gets. Pure functions."""

from __future__ import annotations

import datetime
import posixpath
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import tomli

from sartor.catalog.choice import described, resolver_wheel
from sartor.index.wheels import IndexFile
from sartor.plan.known import Locked, Resolution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.plan.known import Machine

    Listed = Callable[[str], IndexFile | None]

_COMMENT = re.compile(r"\A(?:#.*\n)+")


class NoWheelError(ValueError):
    """A package of a lock has no file that the machine takes."""


def resolution(
    text: str, machine: Machine, index_of: Callable[[str], str], listed: Listed
) -> Resolution:
    """The packages of a lock, by name, each with the file that ``machine`` gets.

    ``index_of`` gives the index of a project, ``listed`` what an index said of the file at an
    address. Raises `NoWheelError`, and `tomli.TOMLDecodeError` for what is no lock.
    """
    packages = []
    for entry in tomli.loads(text).get("packages", []):
        name = str(entry["name"])
        files = [described(file, listed(file.url)) for file in _files(entry)]
        file = resolver_wheel(files, machine) or next(iter(_source(entry)), None)
        if file is None:
            names = ", ".join(f.name for f in files) or "no file"
            raise NoWheelError(f"of `{name}` the lock has {names}, and the machine takes none")
        version = str(entry.get("version", ""))
        packages.append(Locked(name=name, version=version, file=file, index=index_of(name)))
    return Resolution(packages=packages, pylock=_COMMENT.sub("", text))


def names_in(text: str) -> set[str]:
    """The projects of a lock."""
    return {str(entry["name"]) for entry in tomli.loads(text).get("packages", [])}


def _files(entry: dict[str, Any]) -> Iterator[IndexFile]:
    for wheel in [*entry.get("wheels", []), *filter(None, [entry.get("archive")])]:
        file = _file(wheel)
        if file.name.endswith(".whl"):
            yield file


def _source(entry: dict[str, Any]) -> Iterator[IndexFile]:
    for source in filter(None, [entry.get("sdist"), entry.get("archive")]):
        yield _file(source)


def _file(entry: dict[str, Any]) -> IndexFile:
    url = str(entry.get("url") or entry.get("path") or "")
    uploaded = entry.get("upload-time")
    if isinstance(uploaded, datetime.datetime):
        moment = uploaded.astimezone(datetime.UTC) if uploaded.tzinfo else uploaded
        uploaded = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    size = entry.get("size")
    return IndexFile(
        name=str(entry.get("name") or posixpath.basename(unquote(urlsplit(url).path))),
        url=url,
        size=size if isinstance(size, int) else None,
        sha256=(entry.get("hashes") or {}).get("sha256"),
        uploaded=uploaded,
    )
