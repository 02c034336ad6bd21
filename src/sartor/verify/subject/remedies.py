"""The command that puts one package of an environment right."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sartor.artifact.model import Package
    from sartor.verify.subject.installed import Distribution
    from sartor.verify.subject.model import Subject


def reinstall(subject: Subject, dist: Distribution, *, linked: bool = False) -> str:
    """How to install just that package again.

    ``linked``: a file that was changed is a hard link, so that uv's cache, where it came from, was
    changed with it, and would give the same file again.
    """
    if dist.installer == "conda":
        return f"`conda install --force-reinstall --prefix {subject.path} {dist.name}`"
    if dist.installer is None and dist.site.is_relative_to("/usr/lib"):
        return "its files are those of the system's package manager: `dpkg --verify`, `rpm -V`"
    what = f"{dist.name} @ {dist.origin}" if dist.origin else dist.pin
    command = install(subject, "--reinstall", "--no-deps", what)
    if linked and dist.installer == "uv":
        return (
            f"uv's cache has the same file (a hard link): `uv cache clean {dist.name}`, then "
            f"{command}"
        )
    return command


def install(subject: Subject, *what: str) -> str:
    """uv's command that installs ``what`` (options among it) there."""
    words = ["uv", "pip", "install", "--python", str(subject.python), *what]
    return f"`{shlex.join(words)}`"


def anew(package: Package | None) -> str | None:
    """The command that installs a package anew, of whoever it is said; None for no package."""
    return f"uv pip install --reinstall {package.name}=={package.version}" if package else None
