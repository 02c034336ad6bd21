"""System libraries that are missing and that nobody may install here: taken from a wheel."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from sartor import facts
from sartor.errors import SystemLibraryMissingError
from sartor.index.uv import online_or_from_cache
from sartor.paths import explain_os_errors, make_folder

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.reporter import Reporter

SUPPLIED = "lib/supplied"
"""The folder of the supplied libraries, below the environment's own."""


def supply(
    sonames: list[str],
    environment: Path,
    interpreter: list[str],
    log: Path,
    reporter: Reporter,
    *,
    from_folder: Path | None = None,
) -> None:
    """Put each library into ``lib/supplied`` of ``environment``, under its own soname.

    The copy comes from the wheel that `facts/libraries.toml` names, through uv, and so from the
    user's own index, or from ``from_folder``. Raises `SystemLibraryMissingError` where the wheel
    does not hold it.
    """
    folder = make_folder(environment / SUPPLIED)
    rows = {row.soname: row for row in facts.libraries()}
    for soname in sonames:
        row = rows[soname]
        reporter.note(f"`{soname}` is missing on this machine; taking it from `{row.wheel}`")
        unpacked = environment / ".unpacked"
        try:
            arguments = ["pip", "install", "--no-deps", "--only-binary", ":all:", *interpreter]
            arguments += ["--target", str(unpacked), str(row.wheel)]
            what = f"fetching {soname}"
            online_or_from_cache(arguments, log, reporter, what, from_folder=from_folder)
            matches = sorted(unpacked.glob(row.member or ""))
            if not matches:
                raise SystemLibraryMissingError(
                    f"`{soname}` is missing and `{row.wheel}` does not hold it",
                    found=[f"looked for {row.member}"],
                    hint=f"install the package {row.packages.get('debian', soname)} as root",
                    log=str(log),
                )
            with explain_os_errors(folder):
                shutil.copyfile(matches[0], folder / soname)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
