#!/usr/bin/env python3
"""Check a Sartor bundle, put it together, and install the stack that it holds.

Needs Python 3.9 and nothing else: no pip, no venv, no network. It may be ended at any moment and
run again: what is whole is not written again, and nothing half-written has a final name.
Exit status: 0 done; 2 the command line; 23 no room left; 24 a folder cannot be written; 26 the
installation failed; 80 parts or files are missing or altered; 81 this machine is not the kind that
the bundle is for; 130 ended by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MANIFEST, INSTALLER = "bundle.json", "install.py"
SCHEMA = "sartor.bundle/1"
NO_ROOM, NOT_WRITABLE, FAILED, DAMAGED, UNFIT, ENDED = 23, 24, 26, 80, 81, 130
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
ELSEWHERE = "name another place with `--to DIR`; what is whole there is kept"
BLOCK = 1 << 20
MOST_MANIFEST = 64 << 20
PART = re.compile(r"part-[0-9]{4,9}")
PATH = re.compile(r"(?!.*(?:^|/)\.)[A-Za-z0-9._+!@=-]+(?:/[A-Za-z0-9._+!@=-]+)*")
"""A member's path: no empty step, and none that begins with a dot."""
SHA256 = re.compile(r"[0-9a-f]{64}")
ASK_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
ASK_PACKAGES = """
import importlib.metadata as m, json, re
found = {}
for one in m.distributions():
    name = one.metadata["Name"]
    if name:
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), one.version)
print(json.dumps(found))
"""

Row = Dict[str, Any]  # JSON as it is: nothing that types it is there
Paths = Dict[str, Path]


class Fault(Exception):  # noqa: N818 - of a bundle; Sartor makes its errors of it
    """What stands in the way: exit status, one sentence, what was found, what to do."""

    def __init__(
        self, status: int, message: str, found: Iterable[str] = (), hint: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.found, self.hint = list(found), hint


def say(text: str) -> None:
    """Talk goes to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def digest_of(manifest: Row) -> str:
    """What its own ``digest`` must be: the sha256 of all else, in one form of JSON."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folders: Sequence[Path]) -> Row:
    """The manifest in the first of the folders that has one; raises `Fault` where it is not whole.

    Folders with manifests of two bundles are refused.
    """
    found: dict[str, Row] = {}
    for folder in folders:
        if (folder / MANIFEST).is_file():
            one = checked((folder / MANIFEST).read_bytes()[: MOST_MANIFEST + 1], folder)
            found.setdefault(one["digest"], one)
    if len(found) > 1:
        raise Fault(DAMAGED, "the folders hold parts of different bundles", sorted(found))
    if not found:
        names = ", ".join(f"`{folder}`" for folder in folders)
        hint = "name the folder that holds it; it goes with every bundle"
        raise Fault(DAMAGED, f"there is no `{MANIFEST}` in {names}", hint=hint)
    return next(iter(found.values()))


def checked(data: bytes, folder: Path) -> Row:
    """A manifest, of which every path and digest has its form; raises `Fault`."""
    where = f"`{folder / MANIFEST}`"
    again = "copy it once more from where the bundle was made"
    try:
        manifest = json.loads(data)
        if manifest["schema"] != SCHEMA:
            hint = f"this installer reads `{SCHEMA}`"
            raise Fault(DAMAGED, f"{where} is of the schema `{manifest['schema']}`", hint=hint)
        if manifest["digest"] != digest_of(manifest):
            raise Fault(DAMAGED, f"{where} is altered: its digest is another", hint=again)
        good = all(PATH.fullmatch(m["path"]) and m["kind"] for m in manifest["members"])
        good = good and all(PART.fullmatch(p["name"]) for p in manifest["parts"])
        rows = [*manifest["members"], *manifest["parts"], manifest["installer"]]
        _ = manifest["split"], manifest["left_out"], manifest["host"]["python"]
        good = good and all(SHA256.fullmatch(r["sha256"]) and r["size"] >= 0 for r in rows)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Fault(DAMAGED, f"{where} is truncated or altered", hint=again) from error
    if not good:
        raise Fault(DAMAGED, f"{where} names what cannot be in a bundle", hint=again)
    return manifest  # type: ignore[no-any-return]


def sha256_of(path: Path) -> str:
    """The digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fault_of(path: Path, row: Row) -> str | None:
    """What is wrong with a file: ``missing``, its size, its digest; None where it is whole."""
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if size != row["size"]:
        kind = "truncated" if size < row["size"] else "too long"
        return f"{kind}: {size} bytes of {row['size']}"
    found = sha256_of(path)
    return None if found == row["sha256"] else f"altered: its sha256 is {found}"


def whole_in(folders: Iterable[Path], name: str, row: Row) -> tuple[Path | None, str]:
    """The first whole file of that name; else None, and what is wrong with the nearest."""
    worst = "missing"
    for folder in folders:
        fault = fault_of(folder / name, row)
        if fault is None:
            return folder / name, ""
        worst = fault if fault != "missing" else worst
    return None, worst


def offsets(rows: Iterable[Row]) -> list[int]:
    """Where each begins in the stream, and where the last ends."""
    found = [0]
    for row in rows:
        found.append(found[-1] + row["size"])
    return found


def check(manifest: Row, folders: Sequence[Path]) -> list[str]:
    """Every part and every member held against the manifest; what is wrong, a line each."""
    faults = []
    _, fault = whole_in(folders, INSTALLER, manifest["installer"])
    faults += [f"{INSTALLER}: {fault}"] if fault else []
    if manifest["split"] is None:
        for member in manifest["members"]:
            _, fault = whole_in(folders, member["path"], member)
            faults += [f"{member['path']}: {fault}"] if fault else []
        return faults
    found = {}
    for part in manifest["parts"]:
        path, fault = whole_in(folders, part["name"], part)
        faults += [f"{part['name']}: {fault}"] if path is None else []
        found[part["name"]] = path
    if not any(path is None for path in found.values()):
        for member, start in zip(manifest["members"], offsets(manifest["members"])):
            digest = hashlib.sha256()
            for block in stream(manifest, found, start, start + member["size"]):
                digest.update(block)
            if digest.hexdigest() != member["sha256"]:
                faults.append(f"{member['path']}: altered, in parts that are whole")
    return faults


def verify(manifest: Row, folders: Sequence[Path]) -> None:
    """Check everything, write nothing; raises `Fault`."""
    faults = check(manifest, folders)
    if faults:
        raise Fault(DAMAGED, f"the bundle is not whole: {len(faults)} files", faults)
    say(f"the bundle is whole: {len(manifest['members'])} files, digest {manifest['digest']}")


def stream(manifest: Row, parts: Row, start: int, end: int) -> Iterator[bytes]:
    """The bytes from ``start`` to ``end`` of all members in a row, out of the parts."""
    starts = offsets(manifest["parts"])
    for part, first in zip(manifest["parts"], starts):
        last = first + part["size"]
        if last <= start or first >= end:
            continue
        with parts[part["name"]].open("rb") as file:
            file.seek(max(start, first) - first)
            left = min(end, last) - max(start, first)
            while left:
                block = file.read(min(BLOCK, left))
                if not block:
                    raise Fault(DAMAGED, f"{part['name']} became shorter while it was read")
                left -= len(block)
                yield block


def gather(manifest: Row, folders: Sequence[Path], joined: Path, kinds: Iterable[str]) -> Paths:
    """Have every member of these kinds as a whole file; its path → where it is.

    What lies whole in one of the folders, or in ``joined``, stays; the rest is written to
    ``joined`` out of the parts. Raises `Fault` with all that is missing or altered.
    """
    kinds = set(kinds)
    places = [*folders, joined]
    starts = offsets(manifest["members"])
    found, absent, faults = {}, [], []
    for number, member in enumerate(manifest["members"]):
        if member["kind"] not in kinds:
            continue
        path, fault = whole_in(places, member["path"], member)
        if path is None:
            absent.append(number)
            faults.append(f"{member['path']}: {fault}")
        else:
            found[member["path"]] = path
    if absent and manifest["split"] is not None:
        spans = [(starts[n], starts[n + 1]) for n in absent]
        parts, faults = _needed(manifest, folders, spans)
    if faults:
        hint = "copy what is named once more; all else is kept as it is"
        raise Fault(DAMAGED, f"the bundle is not whole: {len(faults)} files", faults, hint)
    for number in absent:
        member = manifest["members"][number]
        found[member["path"]] = joined / member["path"]
        _write(stream(manifest, parts, starts[number], starts[number + 1]), member, joined)
    return found


def _needed(
    manifest: Row, folders: Sequence[Path], spans: list[tuple[int, int]]
) -> tuple[Row, list[str]]:
    """The parts that these stretches of the stream lie in, and what is wrong with any of them."""
    found, faults = {}, []
    for part, first in zip(manifest["parts"], offsets(manifest["parts"])):
        if any(first < end and start < first + part["size"] for start, end in spans):
            path, fault = whole_in(folders, part["name"], part)
            found[part["name"]] = path
            faults += [f"{part['name']}: {fault}"] if path is None else []
    return found, faults


def _write(blocks: Iterable[bytes], member: Row, folder: Path) -> None:
    """Write a member beside its place, and rename it there once it is whole."""
    path = folder / member["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, digest = write_beside(path, blocks)
    if digest != member["sha256"]:
        partial.unlink()
        raise Fault(DAMAGED, f"{member['path']} is altered, in parts that are whole")
    os.replace(str(partial), str(path))


def write_beside(path: Path, blocks: Iterable[bytes]) -> tuple[Path, str]:
    """Write what is to be at ``path`` to a file beside it: that file, and its sha256."""
    partial = path.with_name(f".{path.name}.partial")
    digest = hashlib.sha256()
    try:
        with partial.open("wb") as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
    except BaseException:
        _remove(partial)
        raise
    return partial, digest.hexdigest()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def machine_faults(manifest: Row) -> list[str]:
    """What of the bundle's kind of machine this one is not, as far as Python itself can tell."""
    host = manifest["host"]
    faults = []
    if platform.system() != "Linux" or platform.machine() != host["architecture"]:
        here = f"{platform.system()} on {platform.machine()}"
        faults.append(f"system: wanted Linux on {host['architecture']}; found {here}")
    wanted, found = host.get("glibc"), glibc()
    if wanted and found and _numbers(found) < _numbers(wanted):
        faults.append(f"glibc: wanted {wanted} or newer; found {found}")
    return faults


def glibc() -> str | None:
    """The C library's version; None where it is none of GNU's."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        return None
    return version if name == "glibc" and version else None


def _numbers(version: str) -> list[int]:
    return [int(n) for n in re.findall(r"[0-9]+", version)]


def find_python(version: str, given: str | None = None) -> str:
    """An interpreter of that version (``3.12``); raises `Fault` where there is none."""
    own = "{}.{}".format(*sys.version_info[:2])
    if given is None and own == version and sys.executable:
        return sys.executable
    names = [given] if given else [f"python{version}", "python3", "python"]
    tried = []
    for name in names:
        path = shutil.which(name)
        found = answer(path, ASK_VERSION).strip() if path else ""
        if path and found == version:
            return path
        tried.append(f"`{name}`: {f'Python {found}' if found else 'not found'}")
    hint = f"install Python {version}, or name its interpreter: `--python /path/to/python{version}`"
    raise Fault(UNFIT, f"the stack is for Python {version}, which is not here", tried, hint)


def answer(python: str, code: str) -> str:
    """What Python code prints; nothing where it fails."""
    done = subprocess.run(  # noqa: PLW1510 - a failure is an answer
        [python, "-I", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def there_faults(manifest: Row, python: str) -> list[str]:
    """Which packages that were left out, because the machine has them, it has not."""
    stated = {row["name"]: row["there"] for row in manifest["left_out"]}
    if not stated:
        return []
    found = json.loads(answer(python, ASK_PACKAGES) or "{}")
    wrong = [name for name in sorted(stated) if found.get(name) != stated[name]]
    return [f"{n}: wanted {stated[n]}; found {found.get(n, 'none')}" for n in wrong]


def own_sartor(members: Paths, manifest: Row, to: Path, py: str) -> Path:
    """Sartor in an environment of its own below ``to``, made by the uv of the bundle."""
    final, partial = to / "sartor", to / ".sartor.partial"
    mark = final / "made-from"
    if mark.is_file() and mark.read_text() == manifest["digest"]:
        return final
    rows = [m for m in manifest["members"] if m["kind"] == "sartor"]
    wheels = [members[row["path"]] for row in rows]
    uv = _uv(members[next(r["path"] for r in rows if r["project"] == "uv")], to)
    shutil.rmtree(str(partial), ignore_errors=True)
    venv = [str(uv), "venv", "--quiet", "--relocatable", "--no-project", "--python", py]
    _call([*venv, str(partial)], to)
    install = [str(uv), "pip", "install", "--quiet", "--no-deps", "--offline", "--no-index"]
    _call([*install, "--python", str(partial / "bin" / "python"), *map(str, wheels)], to)
    (partial / "made-from").write_text(manifest["digest"])
    shutil.rmtree(str(final), ignore_errors=True)
    partial.rename(final)
    return final


def _uv(wheel: Path, to: Path) -> Path:
    """The program uv, out of its wheel."""
    path = to / ".uv" / "uv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(str(wheel)) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".data/scripts/uv"))
        with archive.open(name) as source, path.open("wb") as file:
            shutil.copyfileobj(source, file)
    path.chmod(0o755)
    return path


def _call(argv: Sequence[str], to: Path) -> None:
    """Run a program of the bundle; where it fails its own words are the message."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "PIP_"))}
    kept.update(UV_OFFLINE="1", UV_NO_CONFIG="1", UV_PYTHON_DOWNLOADS="never")
    kept.update(UV_CACHE_DIR=os.environ.get("UV_CACHE_DIR") or str(to / ".cache"))
    kept.setdefault("SARTOR_HOME", str(to / "data"))
    kept.pop("VIRTUAL_ENV", None)
    process = subprocess.Popen(list(argv), env=kept)
    try:
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status:
        name = Path(argv[0]).name
        documented = name == "sartor" and status > 0
        raise Fault(status if documented else FAILED, f"`{name}` ended with {status}")


LAUNCHER = """#!/bin/sh
SARTOR_HOME=${{SARTOR_HOME:-{data}}}
export SARTOR_HOME
exec {sartor} "$@"
"""


def install(manifest: Row, folders: list[Path], asked: argparse.Namespace) -> None:
    """Put the bundle together below ``--to``, and install Sartor and the stack there."""
    to = Path(asked.to).absolute()
    faults = machine_faults(manifest)
    if faults:
        hint = "make a bundle from a lock for this machine: `sartor lock --host`"
        raise Fault(UNFIT, "this machine is not the kind that the bundle is for", faults, hint)
    python = find_python(manifest["host"]["python"], asked.python)
    missing = there_faults(manifest, python)
    if missing:
        hint = "make the bundle anew with the list of this machine's packages: `--there FILE`"
        raise Fault(UNFIT, f"`{python}` has not the packages that were left out", missing, hint)
    with alone(to):
        _install(manifest, folders, asked, to, python)


@contextlib.contextmanager
def alone(to: Path) -> Iterator[None]:
    """No other installer works below ``to`` as long as the block lasts.

    The folder itself is locked, where its file system has locks. One that stays empty goes.
    """
    to.mkdir(parents=True, exist_ok=True)
    folder = os.open(str(to), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"another installer works in {to}; waiting for it")
        fcntl.flock(folder, fcntl.LOCK_EX)
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(folder)
        with contextlib.suppress(OSError):
            to.rmdir()  # which the system does where it is empty


def _install(
    manifest: Row, folders: list[Path], asked: argparse.Namespace, to: Path, python: str
) -> None:
    kinds = {member["kind"] for member in manifest["members"]}
    say(f"checking and putting together {len(manifest['members'])} files")
    members = gather(manifest, folders, to / "bundle", kinds)
    used = folders
    if manifest["split"] is not None:
        shutil.copyfile(str(_where(folders, MANIFEST)), str(to / "bundle" / MANIFEST))
        shutil.copyfile(str(_where(folders, INSTALLER)), str(to / "bundle" / INSTALLER))
        used = [to / "bundle"]
    say(f"installing Sartor {manifest['sartor']} in {to / 'sartor'}")
    sartor = own_sartor(members, manifest, to, python) / "bin" / "sartor"
    launcher = to / "bin" / "sartor"
    launcher.parent.mkdir(exist_ok=True)
    data = shlex.quote(str(to / "data"))
    launcher.write_text(LAUNCHER.format(data=data, sartor=shlex.quote(str(sartor))))
    launcher.chmod(0o755)
    words = [word for folder in used for word in ("--install", str(folder))]
    host = ["--host", asked.host] if asked.host else []
    say(f"installing {manifest['engine']} {manifest['version']}")
    _call([str(sartor), "bundle", *words, *host, "--python", python], to)
    shutil.rmtree(str(to / ".cache"), ignore_errors=True)
    shutil.rmtree(str(to / ".uv"), ignore_errors=True)
    words = [word for folder in used for word in ("--bundle", str(folder))]
    say(f"done; to serve: {shlex.join([str(launcher), 'up', *words])}")


def _where(folders: Iterable[Path], name: str) -> Path:
    return next(folder / name for folder in folders if (folder / name).is_file())


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="verify every part, and do no more")
    parser.add_argument("--to", metavar="DIR", default="sartor-stack", help="where it is installed")
    parser.add_argument(
        "--from",
        dest="others",
        action="append",
        default=[],
        metavar="DIR",
        help="a further folder with parts; may be repeated",
    )
    parser.add_argument("--python", metavar="FILE", help="the interpreter of the stack")
    parser.add_argument("--host", metavar="HOST", help="install for this machine instead of here")
    return parser


def main() -> int:
    """Run; returns the exit status."""
    asked = arguments().parse_args()
    folders = [Path(__file__).absolute().parent, *(Path(f).absolute() for f in asked.others)]
    signal.signal(signal.SIGTERM, _ended)
    try:
        try:
            manifest = read_manifest(folders)
            if asked.check:
                verify(manifest, folders)
            else:
                install(manifest, folders, asked)
        except OSError as error:
            raise failed(error, Path(asked.to).absolute()) from error
    except KeyboardInterrupt:
        say("error: interrupted; run it again: what is whole is kept")
        return ENDED
    except Fault as fault:
        say(f"error: {fault.message}")
        for line in fault.found:
            say(f"  {line}")
        if fault.hint:
            say(f"hint: {fault.hint}")
        return fault.status
    return 0


def failed(error: OSError, to: Path) -> Fault:
    """What the system refused, as an error with its exit status."""
    place = error.filename or to
    if error.errno in FULL:
        there = next(p for p in (to, *to.parents) if p.exists())
        free = f"{shutil.disk_usage(str(there)).free / 2**20:.1f} MiB free for `{to}`"
        message = f"no space left on the file system that holds `{to}`"
        return Fault(NO_ROOM, message, [free], f"free some space, or {ELSEWHERE}")
    why = error.strerror or str(error)
    if error.errno in DENIED:
        return Fault(NOT_WRITABLE, f"`{place}` cannot be read or written ({why})", hint=ELSEWHERE)
    return Fault(FAILED, f"`{place}`: {why}", hint=ELSEWHERE)


def _ended(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


if __name__ == "__main__":
    sys.exit(main())
