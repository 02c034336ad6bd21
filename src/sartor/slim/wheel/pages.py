"""The pages of a static package index: HTML (PEP 503, 592, 714), JSON (PEP 691, 700).

A plain web server gives the HTML for a folder; the JSON stands beside it as `index.json`. Keys
with an underscore are an index's own (PEP 691): there stands what a file was made of.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote

import msgspec

API_VERSION = "1.1"
PAGE = """<!DOCTYPE html>
<html>
<head>
<meta name="pypi:repository-version" content="{version}">
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
{links}
</body>
</html>
"""


class Meta(msgspec.Struct, frozen=True, rename="kebab"):
    """The version of the format."""

    api_version: str = API_VERSION


class MadeOf(msgspec.Struct, frozen=True, kw_only=True):
    """Of which wheel a file was made, for which GPUs, and by which Sartor."""

    source: str
    sha256: str
    gpus: list[str]
    keep_ptx: bool
    retarget: bool = False
    compress: bool = False
    remove_unused: bool = False
    python: str | None = None
    sartor: str


class Listed(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", omit_defaults=True):
    """One file of a project. ``yanked`` is the reason, or whether it is."""

    filename: str
    url: str
    hashes: dict[str, str]
    size: int
    requires_python: str | None = None
    yanked: bool | str = False
    upload_time: str | None = None
    core_metadata: dict[str, str] = {}
    dist_info_metadata: dict[str, str] = {}
    made_of: MadeOf | None = msgspec.field(default=None, name="_sartor")


class ProjectPage(msgspec.Struct, frozen=True, kw_only=True):
    """One project: its versions, and its files by their names."""

    meta: Meta = Meta()
    name: str
    versions: list[str] = []
    files: list[Listed] = []


class ProjectName(msgspec.Struct, frozen=True):
    """A project in the list of all."""

    name: str


class RootPage(msgspec.Struct, frozen=True, kw_only=True):
    """All projects of an index."""

    meta: Meta = Meta()
    projects: list[ProjectName]


def read_page(data: bytes) -> ProjectPage:
    """A page that was written before; raises `ValueError`."""
    return msgspec.json.decode(data, type=ProjectPage)


def with_file(page: ProjectPage, file: Listed, version: str) -> ProjectPage:
    """The page with a file, in place of the one of its name; all in their order."""
    files = {one.filename: one for one in page.files} | {file.filename: file}
    return ProjectPage(
        name=page.name,
        versions=sorted({*page.versions, version}),
        files=[files[name] for name in sorted(files)],
    )


def json_text(page: ProjectPage | RootPage) -> bytes:
    """The page as JSON."""
    return msgspec.json.format(msgspec.json.encode(page), indent=1) + b"\n"


def project_html(page: ProjectPage) -> bytes:
    """The page as HTML."""
    return _html(f"Links for {page.name}", [_link(file) for file in page.files])


def root_html(page: RootPage) -> bytes:
    """The list of projects as HTML."""
    names = [project.name for project in page.projects]
    return _html("Projects", [f'<a href="{quote(name)}/">{escape(name)}</a>' for name in names])


def _html(title: str, links: list[str]) -> bytes:
    body = "<br>\n".join(links)
    return PAGE.format(version=API_VERSION, title=escape(title), links=body).encode()


def _link(file: Listed) -> str:
    hashes = next(f"#{name}={digest}" for name, digest in file.hashes.items())
    attributes = {"href": file.url + hashes}
    if file.requires_python is not None:
        attributes["data-requires-python"] = file.requires_python
    if file.yanked is not False:
        attributes["data-yanked"] = "" if file.yanked is True else file.yanked
    for name, digest in file.core_metadata.items():
        attributes["data-core-metadata"] = f"{name}={digest}"
        attributes["data-dist-info-metadata"] = f"{name}={digest}"
    if file.upload_time is not None:
        attributes["data-upload-time"] = file.upload_time
    text = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {text}>{escape(file.filename)}</a>"


def file_url(name: str) -> str:
    """A file beside its project's page."""
    return quote(name)
