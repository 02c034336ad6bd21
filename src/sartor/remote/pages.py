"""The pages of package indexes: which files of a project there are, and what is said of each.

PEP 691 (JSON) and PEP 503 (HTML) as `pypi-simple` reads them; the page itself comes through our
own client, which bounds it. Indexes and link lists may be folders (``file:``), as for pip.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from sartor.artifact.inflate import gunzip
from sartor.artifact.source import Invalid
from sartor.errors import IndexRefusedError, NoSuchTargetError
from sartor.index.wheels import IndexFile
from sartor.remote.http import Dropped, refused, safe_url, unreachable

if TYPE_CHECKING:
    from pathlib import Path

    from pypi_simple import DistributionPackage

    from sartor.index.sources import IndexSources
    from sartor.remote.http import Http

MOST_PAGE = 64 << 20
"""Of one page; the largest known, of a project with daily builds, have some 10 MB."""
MOST_FILES = 200_000


def list_files(http: Http, sources: IndexSources, project: str) -> list[IndexFile]:
    """Every file of ``project`` (a normalised name) on all indexes; the first of a name counts.

    Raises `NoSuchTargetError` where no index knows the project, and what `Http.get` raises.
    """
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    found: dict[str, IndexFile] = {}
    known = 0
    for index in sources.indexes:
        url = f"{(index or PYPI_SIMPLE_ENDPOINT).rstrip('/')}/{project}/"
        page = _page(http, url, project)
        known += page is not None
        _add(found, page or [])
    for place in sources.find_links:
        _add(found, _links(http, place, project))
    if not known and not found:
        raise NoSuchTargetError(
            f"no package index has a project `{project}`",
            found=[f"asked: {safe_url(url or PYPI_SIMPLE_ENDPOINT)}" for url in sources.indexes]
            or ["no index is configured (`no-index`)"],
            hint="check the name; a path is written `./name`, and other indexes are named in your "
            "pip or uv configuration",
        )
    return list(found.values())


def _add(found: dict[str, IndexFile], files: list[IndexFile]) -> None:
    for file in files[:MOST_FILES]:
        found.setdefault(file.name, file)


def _page(http: Http, url: str, project: str) -> list[IndexFile] | None:
    """The files on a project's page; None where there is none."""
    if urlsplit(url).scheme == "file":
        page = _folder_of(url) / "index.html"
        if not page.is_file():
            return None
        return _html(page.read_bytes()[:MOST_PAGE], url, project)
    try:
        kind, final, data = _fetch(http, url)
    except NoSuchTargetError:
        return None
    return _parse(kind, data, final, project)


def _links(http: Http, place: str, project: str) -> list[IndexFile]:
    """The files of the project in a folder, or on a page of links."""
    from pathlib import Path

    local = "://" not in place or urlsplit(place).scheme == "file"
    if not local:
        kind, final, data = _fetch(http, place)
        return _parse(kind, data, final, project)
    folder = _folder_of(place) if "://" in place else Path(place)
    if folder.is_file():
        return _html(folder.read_bytes()[:MOST_PAGE], folder.resolve().as_uri(), project)
    names = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    return [IndexFile(p.name, p.resolve().as_uri(), p.stat().st_size) for p in names]


def _folder_of(url: str) -> Path:
    from pathlib import Path

    return Path(unquote(urlsplit(url).path))


def _fetch(http: Http, url: str) -> tuple[str, str, bytes]:
    """Content type, final address and bytes of a page."""
    from pypi_simple import ACCEPT_JSON_PREFERRED

    headers = {"Accept": ACCEPT_JSON_PREFERRED, "Accept-Encoding": "gzip"}
    for _ in range(http.limits.tries):
        answer, stream = http.get(url, headers)
        body = bytearray()
        try:
            for block in stream:
                body += block
                if len(body) > MOST_PAGE:
                    raise refused(url, f"its page has more than {MOST_PAGE} bytes")
        except Dropped as fault:
            http.pause(url, http.backoff(0), str(fault))
            continue
        finally:
            http.done(stream)
        data = _decoded(bytes(body), answer.headers.get("content-encoding", ""), url)
        return answer.headers.get("content-type", ""), answer.url, data
    raise unreachable(url, "the connection broke off each time")


def _decoded(data: bytes, coding: str, url: str) -> bytes:
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return data
    if coding not in {"gzip", "x-gzip"}:
        raise refused(url, "its page is encoded in a way that was not asked for")
    plain = bytearray()
    try:
        for piece in gunzip(iter([data]), "page"):
            plain += piece
            if len(plain) > MOST_PAGE:
                raise refused(url, f"its page has more than {MOST_PAGE} bytes")
    except Invalid as fault:
        raise refused(url, f"its page {fault.reason}") from fault
    return bytes(plain)


def _parse(kind: str, data: bytes, url: str, project: str) -> list[IndexFile]:
    if "json" in kind.partition(";")[0]:
        return _json(data, url, project)
    return _html(data, url, project)


def _json(data: bytes, url: str, project: str) -> list[IndexFile]:
    from pypi_simple import ProjectPage, UnsupportedRepoVersionError

    try:
        page = ProjectPage.from_json_data(json.loads(data), url)
    except (ValueError, RecursionError, UnsupportedRepoVersionError) as error:
        raise _no_page(url, project) from error
    return _files(page.packages)


def _html(data: bytes, url: str, project: str) -> list[IndexFile]:
    from pypi_simple import ProjectPage, UnsupportedRepoVersionError

    try:
        page = ProjectPage.from_html(project, data, url)
    except (ValueError, RecursionError, UnsupportedRepoVersionError) as error:
        raise _no_page(url, project) from error
    return _files(page.packages)


def _no_page(url: str, project: str) -> IndexRefusedError:
    return refused(url, f"what it answered is no page of the project `{project}`")


def _files(packages: list[DistributionPackage]) -> list[IndexFile]:
    return [f for p in packages if (f := _file(p)) is not None]


def _file(package: DistributionPackage) -> IndexFile | None:
    if urlsplit(package.url).scheme not in {"http", "https", "file"}:
        return None
    digests = {k.lower(): v.lower() for k, v in package.digests.items()}
    metadata = {k.lower(): v.lower() for k, v in (package.metadata_digests or {}).items()}
    return IndexFile(
        name=package.filename,
        url=urljoin(package.url, package.url.partition("#")[0]),
        size=package.size,
        sha256=_hex(digests.get("sha256")),
        requires_python=package.requires_python,
        yanked=(package.yanked_reason or "no reason is given") if package.is_yanked else None,
        metadata_sha256=_hex(metadata.get("sha256")),
    )


def _hex(text: str | None) -> str | None:
    """A sha256 in hexadecimal; None for anything else."""
    good = text is not None and len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return text if good else None
