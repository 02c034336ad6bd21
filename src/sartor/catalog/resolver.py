"""One consistent set, by uv: for the described machine, from wheels alone, nothing built."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from sartor.catalog import request
from sartor.catalog.choice import resolver_glibc
from sartor.catalog.pylock import NoWheelError, names_in, resolution
from sartor.catalog.request import UsedIndex, exact_version, name_of
from sartor.catalog.sdist import sdist_of, static_package
from sartor.errors import IndexRefusedError, IndexUnreachableError, ResolutionError, SartorError
from sartor.index import network
from sartor.index.sources import place_of, without_credentials
from sartor.index.uv import run_uv
from sartor.plan.known import DEFAULT, ListingQuestion, Unread, Unsolvable
from sartor.remote.listings import MOST_FRESH, now
from sartor.remote.pages import page_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.artifact.model import Package
    from sartor.catalog.addresses import Addresses
    from sartor.catalog.clients import Clients
    from sartor.catalog.listing import Lister
    from sartor.index.sources import IndexSources
    from sartor.index.wheels import IndexFile
    from sartor.plan.known import Resolved, ResolveQuestion
    from sartor.remote.listings import Listings
    from sartor.reporter import Reporter

AT_ONCE = 3
"""Resolvers that run at a time; each has threads of its own."""
_SOLUTION = re.compile(r"No solution found.*", re.DOTALL)
_REFUSED = re.compile(r"HTTP status|status code|An index\b.*?(?:returned a |\()[45]\d\d [A-Z]")


class Answered(NamedTuple):
    """What the resolver said; ``online``: the indexes were asked, or were fresh."""

    resolved: Resolved
    online: bool


class Asked(NamedTuple):
    """A question, and all that is to be told beside it: indexes, and what sources declare."""

    question: ResolveQuestion
    indexes: list[UsedIndex]
    declared: list[Package]
    listed: Callable[[str], IndexFile | None]


class Resolver:
    """Asks uv. Of several threads each may ask.

    What is guaranteed: every page of an index that the answer rests on was fresh, by what its
    server allows, or by `MOST_FRESH` seconds where it allows nothing and forbids nothing, as for
    listings; with ``online`` False it was whatever uv's own cache held.
    """

    def __init__(
        self,
        sources: IndexSources,
        clients: Clients,
        lister: Lister,
        pages: Listings,
        reporter: Reporter,
        *,
        refresh: bool = False,
    ) -> None:
        self._sources = sources
        self._clients = clients
        self._lister = lister
        self._pages = pages
        self._reporter = reporter
        self._refresh = refresh
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self.runs = 0

    @property
    def addresses(self) -> Addresses:
        """Where indexes are."""
        return self._lister.addresses

    def resolve(
        self, question: ResolveQuestion, listed: Callable[[str], IndexFile | None]
    ) -> Answered:
        """The answer; raises nothing. ``listed``: what an index said of the file at an address."""
        why = self._impossible(question)
        if why:
            return Answered(Unread(why), online=True)
        declared = self._declared(question)
        if isinstance(declared, Unread):
            if not question.may_build:
                return Answered(declared, online=True)
            declared = []
        unreached = self._unreached(question)
        asked = Asked(question, self._used(question), declared, listed)
        if unreached is None:
            run = _Run(asked, self._one, refresh=self._refresh)
            answer = run.resolve(offline=False)
            if not isinstance(answer, IndexUnreachableError):
                return Answered(answer, online=True)
            unreached = Unread(_in_one(answer), answer.document())
        run = _Run(asked, self._one, refresh=False)
        answer = run.resolve(offline=True)
        if isinstance(answer, (IndexUnreachableError, Unsolvable, Unread)):
            return Answered(unreached, online=False)
        return Answered(answer, online=False)

    def _impossible(self, question: ResolveQuestion) -> str | None:
        if request.platform_of(question.machine) is None:
            machine = question.machine
            return (
                f"the resolver cannot be asked for {machine.architecture} with glibc "
                f"{machine.glibc or 'of a version that is not known'}"
            )
        return None

    def _declared(self, question: ResolveQuestion) -> list[Package] | Unread:
        """What is declared by all that is to be built: so nothing is, to learn it."""
        found = []
        for project in question.from_source:
            package = self._declared_by(question, project)
            if isinstance(package, Unread):
                return package
            found.append(package)
        return found

    def _declared_by(self, question: ResolveQuestion, project: str) -> Package | Unread:
        version = exact_version(question, project)
        if version is None:
            return Unread(f"what `{project}` requires is read of one exact version (`==`) alone")
        index = next((p.index for p in question.indexes if project in p.projects), DEFAULT)
        listing = self._lister.listing(ListingQuestion(index, project))
        file = sdist_of(listing.files, version)
        if file is None:
            return Unread(listing.why or f"{project} {version} has no source distribution")
        return static_package(self._clients, file)

    def _unreached(self, question: ResolveQuestion) -> Unread | None:
        """Why an index cannot be asked; None where each is reached. Asked is one project each."""
        first = next(filter(None, map(name_of, question.requirements)), None)
        asked = [ListingQuestion(pin.index, pin.projects[0]) for pin in question.indexes]
        if first is not None and not any(first in pin.projects for pin in question.indexes):
            asked.insert(0, ListingQuestion(DEFAULT, first))
        listings = map(self._lister.listing, asked)
        lost = (found for found in listings if found.state == "not reached")
        return next((Unread(found.why or "not reached", found.error) for found in lost), None)

    def _used(self, question: ResolveQuestion) -> list[UsedIndex]:
        """The indexes to tell of: those pinned, and the user's own where that helps."""
        found = []
        for number, pin in enumerate(question.indexes):
            address = self.addresses.of(pin.index)
            seconds = self._seconds(address, pin.projects[0])
            found.append(self._index(f"pinned-{number}", address, pin.projects, seconds))
        first = next(filter(None, map(name_of, question.requirements)), "")
        own = self._own(first)
        if any(index.seconds for index in own):
            return [*found, *own]
        given = enumerate(self.addresses.further)
        return [*found, *(self._index(f"given-{n}", a, None, None) for n, a in given)]

    def _own(self, project: str) -> list[UsedIndex]:
        """The user's indexes told again, so that answers of a silent one may be used for as long
        as their listings; none where a file of uv's, which may say more of them, names them."""
        elsewhere = any(os.environ.get(v) for v in ("UV_CONFIG_FILE", "UV_NO_CONFIG"))
        if elsewhere or network.uv_names_an_index(os.environ) or not self._sources.indexes:
            return []
        default, *more = self._sources.indexes
        found = []
        for number, place in enumerate(filter(None, network.existing([m for m in more if m]))):
            address = place if "://" in place else Path(place).absolute().as_uri()
            seconds = self._seconds(place, project)
            found.append(self._index(f"own-{number}", address, None, seconds))
        address = default or page_url(None, "").rstrip("/")
        seconds = self._seconds(default, project)
        found.append(self._index("own", address, None, seconds, default=True))
        return found

    def _index(
        self,
        name: str,
        address: str,
        projects: tuple[str, ...] | None,
        seconds: int | None,
        *,
        default: bool = False,
    ) -> UsedIndex:
        known = self._clients.access.credentials_for(address) if place_of(address) else None
        return UsedIndex(name, without_credentials(address), default, projects, seconds, known)

    def _seconds(self, address: str | None, project: str) -> int | None:
        """`MOST_FRESH` where a server is silent about it; None where it says, or is not known."""
        if self._refresh:  # uv holds its own rule higher than `--refresh`
            return None
        remote = address is None or place_of(address)
        page = self._pages.get(address, project) if remote else None
        return int(MOST_FRESH) if page is not None and page.silent and page.fresh_for else None

    def _one(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        environment |= network_patience()
        with self._room:
            with self._lock:
                self.runs += 1
            began = now()
            run_uv(arguments, log, self._reporter, what="resolving", environment=environment)
        self._reporter.detail(f"resolved in {now() - began:.2f} s")


class _Run:
    """One question, asked until each pinned project comes from its index."""

    def __init__(
        self,
        asked: Asked,
        one: Callable[[list[str], dict[str, str], Path], None],
        *,
        refresh: bool,
    ) -> None:
        question = self._question = asked.question
        self._indexes = asked.indexes
        self._declared = asked.declared
        self._listed = asked.listed
        self._one = one
        self._refresh = refresh
        self._pinned = {name: pin.index for pin in question.indexes for name in pin.projects}

    def resolve(self, *, offline: bool) -> Resolved | IndexUnreachableError:
        """The answer; an error where the indexes cannot be reached."""
        with tempfile.TemporaryDirectory(prefix="sartor-resolve-") as scratch:
            folder = Path(scratch)
            try:
                return self._read(self._tied(folder, offline=offline))
            except IndexUnreachableError as error:
                return error
            except (ResolutionError, IndexRefusedError) as error:
                return self._for_that_glibc(_unsolvable(error, folder))
            except SartorError as error:
                return Unread(_in_one(error), error.document())
            except NoWheelError as error:
                return Unread(str(error))

    def _tied(self, folder: Path, *, offline: bool) -> str:
        """The lock in which every pinned project comes from the index it is pinned to.

        Only what is required directly is tied to an index. So what comes up on the way is required
        in the next round; where there is no set, the pinned index may have one.
        """
        asked = {name_of(requirement) for requirement in self._question.requirements}
        tied = {*self._pinned} & asked
        while True:
            try:
                text = self._ask(folder, tied, offline=offline)
            except (ResolutionError, IndexRefusedError):
                if tied >= {*self._pinned}:
                    raise
                return self._all_tied(folder, tied, offline=offline)
            loose = (names_in(text) & {*self._pinned}) - tied
            if not loose:
                return text
            tied |= loose

    def _all_tied(self, folder: Path, needed: set[str], *, offline: bool) -> str:
        """The lock with all that is pinned tied to its index, less what nothing requires then."""
        tied = {*self._pinned}
        text = self._ask(folder, tied, offline=offline)
        for name in sorted(tied - needed):
            with contextlib.suppress(ResolutionError, IndexRefusedError):
                without = self._ask(folder, tied - {name}, offline=offline)
                if name not in names_in(without):
                    tied, text = tied - {name}, without
        return text

    def _ask(self, folder: Path, tied: Iterable[str], *, offline: bool) -> str:
        question, lock = self._question, folder / "pylock.toml"
        lock.unlink(missing_ok=True)
        text = request.project_file(question, self._indexes, sorted(tied), self._declared)
        (folder / "pyproject.toml").write_text(text, "utf-8")
        arguments = ["pip", "compile", str(folder / "pyproject.toml"), "--project", str(folder)]
        arguments += ["--output-file", str(lock), "--python", sys.executable]
        arguments += request.arguments(question)
        if question.leave_out:
            (folder / "overrides.txt").write_text(request.overrides(question), "utf-8")
            arguments += ["--overrides", str(folder / "overrides.txt")]
        arguments += ["--offline"] if offline else ["--refresh"] if self._refresh else []
        log = folder / "log"
        log.unlink(missing_ok=True)
        self._one(arguments, request.variables(self._indexes), log)
        return lock.read_text("utf-8")

    def _for_that_glibc(self, resolved: Resolved) -> Resolved:
        """That there is no set for an older glibc says nothing of the machine's."""
        machine = self._question.machine
        asked = resolver_glibc(machine)
        own = (machine.glibc or asked or "").split(".")[:2]
        newest = resolver_glibc(msgspec.structs.replace(machine, glibc="99.99"))
        if not isinstance(resolved, Unsolvable) or asked in {".".join(own), newest}:
            return resolved
        return Unread(
            f"the resolver can be asked for glibc {asked}, not for {machine.glibc}; for that it "
            f"finds no set: {resolved.why}"
        )

    def _read(self, text: str) -> Resolved:
        return resolution(
            text,
            self._question.machine,
            lambda name: self._pinned.get(name, DEFAULT),
            self._listed,
        )


def network_patience() -> dict[str, str]:
    """uv's own patience with a server, unless the user said another."""
    usual = {"UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_RETRIES": "2"}
    return {name: value for name, value in usual.items() if name not in os.environ}


def _unsolvable(error: SartorError, folder: Path) -> Resolved:
    """That there is no set, in the resolver's words; a refusal of an index is none of these."""
    text = ""
    with contextlib.suppress(OSError):
        text = (folder / "log").read_text("utf-8", "replace")
    found = _SOLUTION.search(text)
    if found is None or _REFUSED.search(text):
        return Unread(_in_one(error), error.document())
    return Unsolvable(found[0].strip())


def _in_one(error: SartorError) -> str:
    """An error in one line: what happened, and the last line that was found."""
    return ": ".join([error.message, *(line.removeprefix("cause: ") for line in error.found[-1:])])
