"""Make wheels out of installed packages, for a machine that cannot reach an index.

usage: python repack_installed.py FOLDER [NAME==VERSION...]

Run it with the interpreter of the environment that holds them. Packages that are not installed in
that version are passed over; without names every package is taken. What it writes holds the very
files that were installed, each checked against the SHA-256 that its installer wrote down, in the
layout and under the tags of the wheel that they came from; uncompressed, because it is read once
and next door.
Programs made from entry points are left out: the next installer makes them again.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution, distributions
from pathlib import Path

LEFT_BY_INSTALLERS = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}


def wheel_name(package: Distribution) -> str:
    """The file name of the wheel that ``package`` came from."""
    wheel = (package.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(":")[2].strip().split("-") for line in wheel if line.startswith("Tag:")]
    merged = (".".join(dict.fromkeys(parts)) for parts in zip(*tags, strict=True))
    return "-".join([plain_name(package).replace("-", "_"), package.version, *merged]) + ".whl"


def members(package: Distribution) -> list[tuple[str, Path, str | None]]:
    """Name in the wheel, file, hash or None. What is beside site-packages goes under ``.data``."""
    scripts = {point.name for point in package.entry_points}
    found = []
    for entry in package.files or []:
        path = Path(str(package.locate_file(entry))).resolve()
        if entry.name in LEFT_BY_INSTALLERS or entry.suffix == ".pyc":
            continue
        name = entry.as_posix()
        if name.startswith(".."):
            if path.name in scripts:
                continue
            inside = path.relative_to(Path(sys.prefix).resolve()).as_posix()
            name = f"{info_folder(package).removesuffix('.dist-info')}.data/data/{inside}"
        found.append((name, path, entry.hash.value if entry.hash else None))
    return found


def info_folder(package: Distribution) -> str:
    """The name of the package's ``.dist-info`` folder."""
    return next(f.parent.name for f in package.files or [] if f.name == "METADATA")


def repack(package: Distribution, folder: Path) -> Path:
    """Write the wheel of ``package`` into ``folder``; raises `ValueError` where a file changed."""
    target = folder / wheel_name(package)
    record = f"{info_folder(package)}/RECORD"
    partial = target.with_suffix(".partial")
    lines = []
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, path, known in members(package):
            content = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
            found = digest.decode().rstrip("=")
            if known is not None and found != known:
                raise ValueError(f"{path} is not the file that was installed")
            archive.writestr(zipfile.ZipInfo.from_file(path, name), content)
            lines.append(f"{name},sha256={found},{len(content)}\n")
        archive.writestr(record, "".join([*lines, f"{record},,\n"]))
    return partial.replace(target)


def plain_name(package: Distribution) -> str:
    """The name of the project, as indexes spell it."""
    name: str = package.metadata["Name"]
    return name.lower().replace("_", "-").replace(".", "-")


def main(arguments: list[str]) -> int:
    """Repack what is asked for, several at once; the status is 1 where one could not be."""
    folder, asked = Path(arguments[0]), set(arguments[1:])
    folder.mkdir(parents=True, exist_ok=True)
    known = {f"{plain_name(package)}=={package.version}": package for package in distributions()}
    status = 0
    with ThreadPoolExecutor(8) as pool:
        wanted = {name: package for name, package in known.items() if not asked or name in asked}
        jobs = {name: pool.submit(repack, package, folder) for name, package in wanted.items()}
        for name, job in jobs.items():
            try:
                sys.stdout.write(f"{job.result().name}\n")
            except (ValueError, OSError, StopIteration) as error:
                sys.stderr.write(f"{name}: not repacked: {error}\n")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
