"""Where what is slimmed goes: named in a way that holds, and nothing of others' is overwritten."""

from __future__ import annotations

import filecmp
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from sartor.artifact.source import FileSource, Invalid
from sartor.artifact.zip import ZipMembers
from sartor.errors import OthersFileError, UsageError
from sartor.slim.wheel.name import parse_name
from sartor.slim.wheel.provenance import FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

FORCE = "name another place, or replace it: `--force`"
FILES = (".whl", ".so")


def is_folder(output: str, targets: Sequence[str]) -> bool:
    """Whether an output is named as a folder."""
    return output.endswith("/") or Path(output).is_dir() or len(targets) > 1


def check_output(output: str, targets: Sequence[str]) -> None:
    """Raise `UsageError` where several targets would go to what is named as one file."""
    path = Path(output)
    is_file = path.is_file() or (path.suffix in FILES and not path.is_dir())
    if len(targets) > 1 and is_file and not output.endswith("/"):
        raise UsageError(
            f"{len(targets)} targets do not go into one file, `{output}`",
            hint="name a folder: `-o DIR/`",
        )


def check_wheel_name(name: str, source: str) -> None:
    """Raise `UsageError` where installers would not take a wheel by its new name."""
    hint = "name a folder, and Sartor names the wheel: `-o DIR/`"
    try:
        new, old = parse_name(name), parse_name(source)
    except ValueError as error:
        raise UsageError(str(error), hint=hint) from error
    same = canonicalize_name(new.distribution) == canonicalize_name(old.distribution)
    if not same or new.version != old.version:
        raise UsageError(
            f"`{name}` says another project or version than `{source}`: installers refuse that",
            hint=hint,
        )


def check_free(output: Path, source: Path) -> None:
    """Raise `OthersFileError` where a file is there that is no slimmed wheel, and no copy."""
    if not output.exists() or output.samefile(source) or _is_slimmed_wheel(output):
        return
    if output.is_file() and filecmp.cmp(source, output, shallow=False):
        return
    raise OthersFileError(f"`{output}` is there already", hint=FORCE)


def _is_slimmed_wheel(path: Path) -> bool:
    try:
        with FileSource(path) as source:
            names = [member.name for member in ZipMembers(source).members]
    except (OSError, Invalid):
        return False
    return any(n.endswith(f".dist-info/{FILE}") and n.count("/") == 1 for n in names)
