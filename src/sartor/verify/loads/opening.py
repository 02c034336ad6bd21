"""How each shared library is to be opened: by itself, after an import, or not at all, and why.

Derived from what the libraries say (NEEDED, RPATH, RUNPATH) as the dynamic loader goes about it
(ld.so(8)); pure, but for asking which files there are.
"""

from __future__ import annotations

import os.path
import posixpath
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.abi import python_tag
from sartor.facts.linking import driver_sonames, matches, opening_facts, provider_of
from sartor.verify.model import NotApplicable, NotChecked
from sartor.verify.subject.contents import Contents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Library
    from sartor.facts.linking import OpeningFact

ORIGIN = ("$ORIGIN", "${ORIGIN}")
ANY_PYTHON = (None, "abi3", "abi3t")


class Opening(msgspec.Struct, frozen=True):
    """A library to open, after the import of ``modules`` and the libraries ``before`` it.

    Before all of these the files of the modules ``visible`` are opened for all to see.
    """

    check: str
    path: str
    package: str | None
    modules: tuple[str, ...] = ()
    before: list[str] = []
    visible: list[str] = []


class Search(msgspec.Struct, frozen=True, dict=True):
    """What the loader finds. ``system`` gives the path of a soname that the system has."""

    contents: Contents
    system: Callable[[str], str | None]
    variable: str = ""
    """``LD_LIBRARY_PATH``."""

    def unfound(self, library: Library) -> dict[str, Library]:
        """What cannot be found of all that a library needs, and who needs it; by soname."""
        lacking: dict[str, Library] = {}
        seen, waiting = {library.path}, [library]
        while waiting:
            one = waiting.pop(0)
            for soname in one.needed:
                found = self._find(one, soname, library)
                if found is None:
                    lacking.setdefault(soname, one)
                    own = _of_the_same(self.contents, one, soname)
                    found = own and os.path.realpath(own)
                behind = self._known.get(found or "")
                if behind is not None and behind.path not in seen:
                    seen.add(behind.path)
                    waiting.append(behind)
        return lacking

    @cached_property
    def _known(self) -> dict[str, Library]:
        return {os.path.realpath(path): lib for path, lib in self.contents.case.by_path.items()}

    def _find(self, library: Library, soname: str, root: Library) -> str | None:
        """The real path of what a library needs; ``root`` is the one that is opened."""
        if "/" in soname:
            return os.path.realpath(soname) if os.path.exists(soname) else None  # noqa: PTH110
        for folder in self._folders(library, root):
            path = os.path.join(folder, soname)  # noqa: PTH118 - of text, thousands of times
            if os.path.exists(path):  # noqa: PTH110
                return os.path.realpath(path)
        return self.system(soname)

    def _folders(self, library: Library, root: Library) -> Iterator[str]:
        if library.runpath is None:
            for one in (library, root):
                yield from _listed(one.rpath, one)
        yield from filter(None, self.variable.split(":"))
        yield from _listed(library.runpath, library)


def _listed(text: str | None, library: Library) -> Iterator[str]:
    """The folders of an RPATH or RUNPATH; one that is empty is not searched here."""
    folder = posixpath.dirname(library.path)
    for entry in filter(None, (text or "").split(":")):
        for word in ORIGIN:
            entry = entry.replace(word, folder)  # noqa: PLW2901
        yield posixpath.normpath(entry)


def openings(
    contents: Contents, search: Search, python: str
) -> list[Opening | NotApplicable | NotChecked]:
    """One for each shared library, in their order; ``python`` is the environment's (``3.12``)."""
    found: list[Opening | NotApplicable | NotChecked] = [
        _opening(contents, search, library, python) for library in contents.case.libraries
    ]
    for row in contents.unread:
        package = contents.owner_name(row.path)
        found.append(Opening(check_of(contents, row.path), row.path, package))
    return found


def check_of(contents: Contents, path: str) -> str:
    """The name of the check of a library."""
    return f"open {contents.names.get(path, path)}"


def _opening(
    contents: Contents, search: Search, library: Library, python: str
) -> Opening | NotApplicable | NotChecked:
    check, package = check_of(contents, library.path), contents.owner_name(library.path)
    tag = python_tag(library.path, ())
    if tag not in ANY_PYTHON and tag != f"cp{python.replace('.', '')}":
        why = f"by its name a module of another Python ({tag}): {python} does not look for it"
        return NotApplicable(check=check, grade="loads", package=package, why=why)
    lacking = search.unfound(library)
    of_driver = [soname for soname in lacking if soname in driver_sonames()]
    if of_driver:
        user = lacking[of_driver[0]]
        through = f" (`{contents.names[user.path]}` does)" if user is not library else ""
        why = f"it needs `{of_driver[0]}`{through}, which NVIDIA's driver brings: there is none"
        return NotChecked(check=check, grade="loads", package=package, why=why)
    fact = _fact(library)
    absent = [name for name in (fact.modules if fact else ()) if not _installed(contents, name)]
    if absent:
        why = f"its package opens it beside `{absent[0]}`, which is not installed"
        return NotApplicable(check=check, grade="loads", package=package, why=why)
    modules = set(fact.modules if fact else ())
    before: list[str] = []
    for soname, user in lacking.items():
        own = _of_the_same(contents, user, soname)
        before += [own] if own else []
        modules |= set() if own else set(_openers(contents, user, soname))
    before.reverse()  # what is needed by what is needed comes first
    if fact is not None:
        named = (lib.path for name in fact.before for lib in contents.case.by_name.get(name, ()))
        before = [*before, *named]
    visible = fact.visible if fact else []
    return Opening(check, library.path, package, tuple(sorted(modules)), before, visible)


def _fact(library: Library) -> OpeningFact | None:
    rows = opening_facts()
    return next((r for r in rows if any(matches(library.path, g) for g in r.libraries)), None)


def _installed(contents: Contents, module: str) -> bool:
    """Whether a package of that name, or with libraries below a folder of it, is there."""
    names = contents.names.values()
    return module in contents.case.by_distribution or any(
        name.startswith(f"{module}/") for name in names
    )


def _of_the_same(contents: Contents, library: Library, soname: str) -> str | None:
    """The path of ``soname`` in the library's own package, whose code opens it first."""
    owner = contents.owner(library.path)
    paths = [lib.path for lib in contents.case.by_name.get(soname, ())]
    own = (path for path in paths if owner is not None and contents.owner(path) == owner)
    return next(own, None)


def _openers(contents: Contents, library: Library, soname: str) -> Iterator[str]:
    """The module whose import opens ``soname``, which the loader does not find by itself.

    That of the package that holds it, if it is one that the library's own requires or is known for
    it; where that is no Python, one that is known to bring it along; else the library's own.
    """
    row, owner = provider_of(soname), contents.owner(library.path)
    required = contents.case.required[owner.path] if owner else set()
    holders = [
        provider.path
        for provider in contents.case.by_name.get(soname, ())
        if row is not None or contents.owner_name(provider.path) in required
    ]
    if not holders:
        return
    names = [_module(contents, path) for path in holders]
    through, installed = (row.through if row else []), contents.case.by_distribution
    names += [name for name in through if name in installed]
    names.append(_module(contents, library.path))
    first = next(filter(None, names), None)
    if first is not None:
        yield first


def _module(contents: Contents, path: str) -> str | None:
    """The module at the top of a library's path, where it is one with code of its own."""
    name = contents.names[path]
    top, _, rest = name.partition("/")
    code = posixpath.join(path.removesuffix(name), top, "__init__.py")
    return top if rest and top.isidentifier() and os.path.exists(code) else None  # noqa: PTH110
