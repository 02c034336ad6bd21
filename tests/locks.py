"""Locks for tests: drawn by Hypothesis, and made from what uv itself resolves."""

from __future__ import annotations

import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import uv
from hypothesis import strategies as st
from packaging.pylock import PackageWheel, Pylock
from packaging.tags import Tag, compatible_tags, cpython_tags

from sartor.index.wheels import IndexFile
from sartor.lock.model import (
    DEFAULT,
    HostClass,
    LockedIndex,
    LockedPackage,
    Locking,
    Read,
    Source,
    SystemPackage,
)
from wheels import platforms

if TYPE_CHECKING:
    from pathlib import Path

SHA = "0123456789abcdef" * 4
HOST = HostClass(
    architecture="x86_64",
    python="3.12",
    glibc="2.39",
    isa="x86_64_v3",
    driver="580.95.05",
    cuda="13.0",
    gpus=["9.0", "9.0"],
)


def wheel_file(
    name: str, version: str = "1.0", sha256: str = SHA, tags: str = "py3-none-any"
) -> IndexFile:
    file = f"{name.replace('-', '_')}-{version}-{tags}.whl"
    return IndexFile(
        file, f"https://index.example/files/{file}", 100, sha256, uploaded="2026-10-10T15:54:40Z"
    )


def package(name: str, version: str = "1.0", *requires: str, **more: Any) -> LockedPackage:
    more = {"index": DEFAULT, "file": wheel_file(name, version), **more}
    return LockedPackage(name=name, version=version, requires=sorted(requires), **more)


def locking(*packages: LockedPackage, **more: Any) -> Locking:
    settings: dict[str, Any] = {
        "host": HOST,
        "engine": "vllm",
        "version": "0.32.0",
        "strategy": "release",
        "roots": [f"{p.name}=={p.version}" for p in packages[:1]],
        "sartor": "0.1.0",
        "indexes": [LockedIndex(alias=DEFAULT, url="https://index.example/simple")],
    }
    return Locking(packages=list(packages), **{**settings, **more})


def resolved(requirements: list[str], folder: Path, python: str = "3.12") -> Locking:
    """What uv resolves for a machine, as a lock; the real index answers."""
    folder.mkdir(parents=True, exist_ok=True)
    asked, lock = folder / "asked.in", folder / "pylock.toml"
    asked.write_text("".join(f"{r}\n" for r in requirements))
    subprocess.run(
        [
            uv.find_uv_bin(),
            *("pip", "compile", str(asked), "--output-file", str(lock)),
            *("--format", "pylock.toml", "--python-version", python),
            *("--python-platform", "x86_64-manylinux_2_39", "--only-binary", ":all:", "--quiet"),
        ],
        check=True,
        timeout=300,
    )
    parsed = Pylock.from_dict(tomllib.loads(lock.read_text("utf-8")))
    tags = machine_tags(python)
    chosen = parsed.select(environment=machine(python), tags=tags)
    packages, indexes = [], {DEFAULT: "https://index.example/simple"}
    for found, file in chosen:
        assert isinstance(file, PackageWheel)
        url = file.url or (folder / str(file.path)).resolve().as_uri()
        uploaded = file.upload_time
        packages.append(
            LockedPackage(
                name=str(found.name),
                version=str(found.version),
                index=DEFAULT,
                file=IndexFile(
                    file.filename,
                    url,
                    file.size,
                    file.hashes["sha256"],
                    uploaded=None if uploaded is None else uploaded.isoformat(),
                ),
            )
        )
    host = HostClass(architecture="x86_64", python=python, glibc="2.39")
    return locking(
        *packages,
        host=host,
        roots=requirements,
        indexes=[LockedIndex(alias=a, url=u) for a, u in indexes.items()],
    )


def machine(python: str = "3.12") -> Any:
    """The markers of a Linux machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.1",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.1",
        "platform_python_implementation": "CPython",
        "python_version": python,
        "sys_platform": "linux",
    }


def machine_tags(python: str = "3.12") -> list[Tag]:
    """The tags that its Python takes, the best first."""
    version = (3, int(python.partition(".")[2]))
    newer = {f"manylinux_2_{minor}_x86_64" for minor in range(40, 99)}
    names = [p for p in platforms("x86_64") if p not in newer]
    interpreter = f"cp{version[0]}{version[1]}"
    own = cpython_tags(version, platforms=names)
    return [*own, *compatible_tags(version, interpreter, names)]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
SHAS = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.from_regex(r"\A[a-z0-9]{1,8}(-[a-z0-9]{1,4}){0,2}\Z")
VERSIONS = st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){0,2}\Z")
TIMES = st.datetimes().map(lambda t: t.isoformat() + "Z")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
URLS = st.sampled_from(
    [
        "https://user:secret@index.example/files",
        "http://127.0.0.1:8080/a%20b",
        "file:///srv/whe%20els",
        "https://index.example/simple?x=1",
    ]
)


@st.composite
def sources(draw: st.DrawFn) -> Source:
    return Source(
        repository=draw(URLS),
        commit=draw(st.text("0123456789abcdef", min_size=40, max_size=40)),
        revision=draw(st.none() | TEXTS),
        subdirectory=draw(st.none() | TEXTS),
        flags=draw(st.lists(TEXTS, max_size=3)),
    )


@st.composite
def packages(draw: st.DrawFn, name: str) -> LockedPackage:
    version, kind = draw(VERSIONS), draw(st.sampled_from(["wheel", "sdist", "commit"]))
    end = "-py3-none-any.whl" if kind == "wheel" else ".tar.gz"
    file = f"{name.replace('-', '_')}-{version}{end}"
    return LockedPackage(
        name=name,
        version=version,
        index=draw(st.sampled_from([DEFAULT, "maker"])),
        file=None
        if kind == "commit"
        else IndexFile(
            file,
            f"{draw(URLS).partition('?')[0]}/{file}",
            draw(st.none() | st.integers(0, 2**40)),
            draw(SHAS),
            draw(st.none() | TEXTS),
            draw(st.none() | TEXTS),
            draw(st.none() | SHAS),
            draw(st.none() | TIMES),
        ),
        source=None if kind == "wheel" else draw(sources()),
        requires=draw(st.lists(TEXTS, max_size=3)),
        evidence=draw(
            st.none() | st.builds(Read, reader=st.integers(0, 99), digest=SHAS, read_at=TEXTS)
        ),
    )


@st.composite
def lockings(draw: st.DrawFn) -> Locking:
    names = draw(st.lists(NAMES, max_size=5, unique=True))
    return Locking(
        host=draw(
            st.builds(
                HostClass,
                architecture=st.sampled_from(["x86_64", "aarch64"]),
                python=st.sampled_from(["3.9", "3.12"]),
                glibc=st.none() | VERSIONS,
                isa=st.none() | TEXTS,
                driver=st.none() | VERSIONS,
                cuda=st.none() | VERSIONS,
                gpus=st.lists(VERSIONS, max_size=3),
                unknown_gpus=st.integers(0, 8),
            )
        ),
        engine=draw(TEXTS),
        version=draw(TEXTS),
        strategy=draw(st.sampled_from(["release", "index", "source"])),
        roots=draw(st.lists(TEXTS, max_size=3)),
        packages=[draw(packages(name)) for name in names],
        sartor=draw(TEXTS),
        indexes=[
            LockedIndex(alias=DEFAULT, url=draw(st.none() | URLS)),
            LockedIndex(alias="maker", url=draw(URLS), state="not reached"),
        ],
        leave_out=draw(st.lists(NAMES, max_size=2)),
        system=draw(
            st.lists(
                st.builds(
                    SystemPackage,
                    soname=TEXTS,
                    state=st.sampled_from(["there", "missing", "not checked"]),
                    packages=st.dictionaries(TEXTS, TEXTS, max_size=2),
                    wheel=st.none() | TEXTS,
                    needed_by=st.lists(TEXTS, max_size=2),
                ),
                max_size=2,
                unique_by=lambda s: s.soname,
            )
        ),
        env=draw(st.dictionaries(TEXTS, TEXTS, max_size=3)),
        facts=draw(st.dictionaries(TEXTS, SHAS, max_size=3)),
        trace=draw(st.lists(JSON, max_size=3)),
        as_of=draw(st.none() | TIMES),
    )
