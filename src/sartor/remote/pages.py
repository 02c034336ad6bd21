"""The pages of package indexes: which files of a project there are, and what is said of each.

PEP 691 (JSON) and PEP 503 (HTML) as `pypi-simple` reads them; the page itself comes through our
own client, which bounds it. Indexes and link lists may be folders (``file:``), as for pip.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

from sartor.artifact.inflate import gunzip
from sartor.artifact.source import Invalid
from sartor.errors import IndexRefusedError, NoSuchTargetError
from sartor.index.files import IndexFile
from sartor.index.sources import without_credentials
from sartor.remote.faults import Dropped, refused, unreachable
from sartor.remote.listings import Page, fresh_for, is_silent, now

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pypi_simple import DistributionPackage

    from sartor.remote.http import Http

UPLOADED = "data-upload-time"
"""What mirrors say in HTML, and uv reads, of what PEP 700 has in JSON."""
MOST_PAGE = 64 << 20
"""Of one page; the largest known, of a project with daily builds, have some 10 MB."""


class Answered(NamedTuple):
    """A page as it came; ``status`` 304: the one that is kept is still so."""

    status: int
    headers: dict[str, str]
    url: str
    data: bytes


def page_url(index: str | None, project: str) -> str:
    """The address of a project's page; of the clients' default index where that is None."""
    if not index:
        from pypi_simple import PYPI_SIMPLE_ENDPOINT

        index = PYPI_SIMPLE_ENDPOINT
    return f"{index.rstrip('/')}/{project}/"


def ask_page(http: Http, url: str, project: str, kept: Page | None) -> Page:
    """What a server says of a project now, held against the page that is ``kept`` of it.

    Raises what `Http.get` raises; a page that is not there is one without files.
    """
    began = now()
    try:
        got = _fetch(http, url, kept.validators if kept else {})
    except NoSuchTargetError:
        return Page(asked_at=began, fresh_for=fresh_for({}, began))
    headers = got.headers
    if kept is not None and got.status == 304:
        files = kept.files
        headers = {"etag": kept.etag or "", "last-modified": kept.modified or "", **headers}
    else:
        files = _parse(got, project)
    return Page(
        files=files,
        asked_at=began,
        fresh_for=fresh_for(headers, began),
        etag=headers.get("etag") or None,
        modified=headers.get("last-modified") or None,
        silent=is_silent(headers),
    )


def local_page(path: Path, url: str, project: str) -> list[IndexFile]:
    """The files on a page of links that lies here; raises `IndexRefusedError`."""
    return _html(path.read_bytes()[:MOST_PAGE], url, project)


def _fetch(http: Http, url: str, validators: Mapping[str, str]) -> Answered:
    from pypi_simple import ACCEPT_JSON_PREFERRED

    asked = {"Accept": ACCEPT_JSON_PREFERRED, "Accept-Encoding": "gzip", **validators}
    for _ in range(http.limits.tries):
        answer, stream = http.get(url, asked)
        body = bytearray()
        try:
            for block in stream if answer.status != 304 else ():
                body += block
                if len(body) > MOST_PAGE:
                    raise refused(url, f"its page has more than {MOST_PAGE} bytes")
        except Dropped as fault:
            http.pause(url, http.backoff(0), str(fault))
            continue
        finally:
            http.done(stream)
        data = _decoded(bytes(body), answer.headers.get("content-encoding", ""), url)
        return Answered(answer.status, answer.headers, without_credentials(answer.url), data)
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


def _parse(got: Answered, project: str) -> list[IndexFile]:
    if "json" in got.headers.get("content-type", "").partition(";")[0]:
        return _json(got.data, got.url, project)
    return _html(got.data, got.url, project)


def _json(data: bytes, url: str, project: str) -> list[IndexFile]:
    from pypi_simple import ProjectPage, UnsupportedRepoVersionError

    try:
        page = ProjectPage.from_json_data(json.loads(data), url)
    except (ValueError, RecursionError, UnsupportedRepoVersionError) as error:
        raise _no_page(url, project) from error
    return _files(page.packages)


def _html(data: bytes, url: str, project: str) -> list[IndexFile]:
    from pypi_simple import DistributionPackage, RepositoryPage, UnsupportedRepoVersionError

    try:
        page = RepositoryPage.from_html(data, url)
        found = [(DistributionPackage.from_link(link, project), link) for link in page.links]
    except (ValueError, RecursionError, UnsupportedRepoVersionError) as error:
        raise _no_page(url, project) from error
    return [
        file
        for package, link in found
        if (file := _file(package, link.get_str_attrib(UPLOADED))) is not None
    ]


def _no_page(url: str, project: str) -> IndexRefusedError:
    return refused(url, f"what it answered is no page of the project `{project}`")


def _files(packages: list[DistributionPackage]) -> list[IndexFile]:
    return [f for p in packages if (f := _file(p)) is not None]


def _file(package: DistributionPackage, uploaded: str | None = None) -> IndexFile | None:
    """The file, where it is one that can be fetched; ``uploaded`` is when, as the page has it."""
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
        uploaded=_utc(package.upload_time or _moment(uploaded)),
    )


def _moment(text: str | None) -> datetime | None:
    """A moment that says which it is; None for what is none, or names no zone."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def _utc(moment: datetime | None) -> str | None:
    """A moment as RFC 3339 has it, in UTC, to the second (PEP 700); comparable as text."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hex(text: str | None) -> str | None:
    """A sha256 in hexadecimal; None for anything else."""
    good = text is not None and len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return text if good else None
