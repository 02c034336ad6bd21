"""All places where packages are looked for, asked for a project; what is remembered is not asked.

Where everything is remembered neither the client nor the parser of pages is imported, which would
take half a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from sartor.errors import NoSuchTargetError
from sartor.evidence.fingerprint import fingerprint
from sartor.index.files import IndexFile
from sartor.remote.listings import Page, now, shown_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.index.sources import IndexSources
    from sartor.remote.http import Http
    from sartor.remote.listings import Listings
    from sartor.reporter import Reporter

MOST_FILES = 200_000


class Indexes:
    """The user's indexes and places with links. ``connect`` gives the client once it is needed.

    ``remembered``: whether anything of the last answer was not asked now.
    """

    def __init__(
        self,
        sources: IndexSources,
        connect: Callable[[], Http],
        listings: Listings,
        reporter: Reporter,
    ) -> None:
        self.remembered = False
        self._sources = sources
        self._connect = connect
        self._listings = listings
        self._reporter = reporter

    def files(self, project: str, *, anew: bool = False) -> list[IndexFile]:
        """Every file of ``project`` (a normalised name) on all indexes; the first of a name counts.

        ``anew``: all are asked, whatever is remembered. Raises `NoSuchTargetError` where no index
        knows the project, and what `sartor.remote.http.Http.get` raises.
        """
        self.remembered = False
        found: dict[str, IndexFile] = {}
        known = False
        for listed in self._each(project, anew=anew):
            known = known or listed is not None
            for file in (listed or [])[:MOST_FILES]:
                found.setdefault(file.name, file)
        if known:
            return list(found.values())
        if self.remembered:
            return self.files(project, anew=True)
        raise NoSuchTargetError(
            f"no package index has a project `{project}`",
            found=[f"asked: {shown_place(index)}" for index in self._sources.indexes]
            or ["no index is configured (`no-index`)"],
            hint="check the name; a path is written `./name`, and other indexes are named in your "
            "pip or uv configuration",
        )

    def _each(self, project: str, *, anew: bool) -> Iterator[list[IndexFile] | None]:
        """What each place has; None where it does not know the project."""
        for index in self._sources.indexes:
            if index is not None and urlsplit(index).scheme == "file":
                page = local_path(index) / project / "index.html"
                yield self._local(page, f"{index.rstrip('/')}/{project}/", project)
            else:
                yield self._page(index, project, anew=anew)
        for place in self._sources.find_links:
            if "://" in place and urlsplit(place).scheme != "file":
                yield self._page(place, project, anew=anew, links=True) or None
            else:
                yield self._links(local_path(place), project) or None

    def _page(
        self, place: str | None, project: str, *, anew: bool, links: bool = False
    ) -> list[IndexFile] | None:
        """The files of a project on an index, or on a page of ``links``; None without a page."""
        kept, shown = self._listings.get(place, project), shown_place(place)
        if kept is not None and kept.is_fresh(now()) and not (anew or self._listings.anew):
            self.remembered = True
            ago = now() - kept.asked_at
            self._reporter.detail(f"{shown}: as it was {ago:.0f} s ago, not asked for `{project}`")
            return kept.files
        http = self._connect()  # it may know that nothing is reached, which takes no parser
        from sartor.remote.pages import ask_page, page_url

        url = place if links and place is not None else page_url(place, project)
        page = ask_page(http, url, project, kept)
        self._listings.put(place, project, page)
        self._reporter.detail(
            f"{shown}: asked for `{project}`, fresh for {page.fresh_for or 0:.0f} s"
        )
        return page.files

    def _links(self, path: Path, project: str) -> list[IndexFile] | None:
        if path.is_file():
            return self._local(path, path.resolve().as_uri(), project)
        wheels = sorted(path.glob("*.whl")) if path.is_dir() else []
        own = [p for p in wheels if canonicalize_name(p.name.partition("-")[0]) == project]
        return [IndexFile(p.name, p.resolve().as_uri(), p.stat().st_size) for p in own]

    def _local(self, path: Path, url: str, project: str) -> list[IndexFile] | None:
        """The files on a page that lies here, parsed again only where it changed."""
        mark = fingerprint(path)
        if mark is None:
            return None
        kept = self._listings.get(url, project)
        if kept is not None and kept.etag == mark.text:
            return kept.files
        from sartor.remote.pages import local_page

        files = local_page(path, url, project)
        if mark.is_settled:
            self._listings.put(url, project, Page(files=files, asked_at=now(), etag=mark.text))
        return files


def local_path(place: str) -> Path:
    """The folder or file that a place on this machine is."""
    return Path(unquote(urlsplit(place).path) if "://" in place else place)
