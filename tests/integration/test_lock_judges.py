"""Locks and projects as uv, pip and `packaging` take them, with the real index."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import uv
from msgspec.structs import replace
from packaging.pylock import Pylock, PylockSelectError
from packaging.utils import canonicalize_name

from locks import HOST, locking, machine, machine_tags, package, resolved
from sartor.errors import DiskFullError
from sartor.index.wheels import IndexFile
from sartor.lock.canonical import canonical
from sartor.lock.changes import changes
from sartor.lock.model import DEFAULT, LockedIndex, Locking, Now, Source
from sartor.locking import lock_project, read_locked

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
SMALL = ["xllamacpp", "openai"]
LARGE = ["vllm==0.32.0"]
PROJECT = """\
# Mine.
[project]
name = "mine"
version = "1"
requires-python = ">=3.10"
dependencies = ["rich"]   # the user's own

[tool.uv]
managed = true  # stays
"""


def run(*words: str, cwd: Path | None = None) -> str:
    variables = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "UV_PYTHON"}}
    done = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, timeout=600, env=variables, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def run_uv(*words: str, cwd: Path | None = None) -> str:
    return run(uv.find_uv_bin(), *words, cwd=cwd)


@pytest.fixture(scope="module", params=[SMALL, LARGE], ids=["small", "vllm"])
def locked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the lock of a stack that uv resolved."""
    folder = tmp_path_factory.mktemp("locked")
    one = resolved(request.param, folder / "resolved", PYTHON)
    lock_project(one, folder)
    assert read_locked(folder) == canonical(one)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an empty environment."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    run_uv("venv", "--quiet", "--python", sys.executable, str(folder))
    return str(folder / "bin" / "python")


def pins(folder: Path) -> set[str]:
    return {f"{p.name}=={p.version}" for p in read_locked(folder).packages}


def test_uv_installs_exactly_that(locked: Path, environment: str) -> None:
    said = run_uv(
        *("pip", "sync", "--dry-run", "--preview-features", "pylock"),
        *("--python", environment, str(locked / "pylock.toml")),
    )
    would = {line.removeprefix(" + ") for line in said.splitlines() if line.startswith(" + ")}
    assert would == pins(locked)


def test_packaging_selects_one_file_of_each(locked: Path) -> None:
    lock = Pylock.from_dict(tomllib.loads((locked / "pylock.toml").read_text("utf-8")))
    tags = machine_tags(PYTHON)
    chosen = [*lock.select(environment=machine(PYTHON), tags=tags)]
    assert {f"{p.name}=={p.version}" for p, _ in chosen} == pins(locked)
    for other in ({"platform_machine": "aarch64"}, {"sys_platform": "darwin"}):
        with pytest.raises(PylockSelectError, match="environments"):
            [*lock.select(environment=machine(PYTHON) | other, tags=tags)]
    with pytest.raises(PylockSelectError, match="python_full_version"):
        [*lock.select(environment=machine("3.9"), tags=tags)]


@pytest.mark.parametrize(
    ("before", "after"), [("'x86_64'", "'s390x'"), ('"==3.', '"==2.')], ids=["machine", "python"]
)
def test_uv_refuses_it_on_another_machine(
    locked: Path, environment: str, tmp_path: Path, before: str, after: str
) -> None:
    other = tmp_path / "pylock.toml"
    other.write_text((locked / "pylock.toml").read_text("utf-8").replace(before, after, 1))
    with pytest.raises(AssertionError, match=r"not supported|incompatible"):
        run_uv(
            *("pip", "sync", "--dry-run", "--preview-features", "pylock"),
            *("--python", environment, str(other)),
        )


def test_pip_installs_exactly_that(
    tmp_path_factory: pytest.TempPathFactory, environment: str
) -> None:
    """pip reads pylock.toml from 26.1 on; the environment's own may be older."""
    folder = tmp_path_factory.mktemp("pip")
    lock_project(resolved(["openai"], folder / "resolved", PYTHON), folder)
    run_uv("pip", "install", "--quiet", "--target", str(folder / "pip"), "pip>=26.1")
    said = run(
        *(environment, str(folder / "pip" / "pip"), "install", "--dry-run", "--no-deps"),
        *("--report", str(folder / "report"), "--requirement", str(folder / "pylock.toml")),
    )
    rows = json.loads((folder / "report").read_text("utf-8"))["install"]
    found = [row["metadata"] for row in rows]
    assert {f"{canonicalize_name(m['name'])}=={m['version']}" for m in found} == pins(folder)
    assert "Would install" in said


def project(folder: Path, text: str, one: Locking, **more: Any) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(text)
    lock_project(one, folder, [folder / "pyproject.toml"], **more)
    return folder


def of_uv_lock(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in tomllib.loads((folder / "uv.lock").read_text("utf-8"))["package"]:
        found.setdefault(row["name"], []).append(row.get("version"))
    return found


def test_uv_resolves_a_project_to_exactly_that(locked: Path, tmp_path: Path) -> None:
    one = read_locked(locked)
    folder = project(tmp_path / "project", PROJECT, one)
    text = (folder / "pyproject.toml").read_text()
    assert [x for x in PROJECT.splitlines() if x not in text.splitlines()] == []
    run_uv("lock", "--quiet", "--python", sys.executable, cwd=folder)
    found = of_uv_lock(folder)
    assert {p.name for p in one.packages if p.version not in found[p.name]} == set()
    exported = run_uv(
        *("export", "--frozen", "--only-group", "inference", "--quiet", "--no-hashes"),
        *("--no-header", "--no-annotate", "--python", sys.executable),
        cwd=folder,
    )
    lines = {line.partition(" ;")[0] for line in exported.splitlines()}
    assert lines == pins(locked)
    said = run_uv(
        *("sync", "--group", "inference", "--dry-run", "--python", sys.executable), cwd=folder
    )
    would = {line.removeprefix(" + ") for line in said.splitlines() if line.startswith(" + ")}
    assert pins(locked) <= would
    assert any(line.startswith("rich==") for line in would)


def test_uv_leaves_out_what_is_left_out(tmp_path: Path) -> None:
    """bitsandbytes declares torch and numpy; a stack may be without them."""
    one = resolved(["bitsandbytes"], tmp_path / "resolved", PYTHON)
    (alone,) = [p for p in one.packages if p.name == "bitsandbytes"]
    gone = [p.name for p in one.packages if p.name != "bitsandbytes"]
    assert "torch" in gone
    folder = project(
        tmp_path / "project",
        PROJECT.replace('"rich"', ""),
        replace(one, packages=[alone], leave_out=gone),
    )
    run_uv("lock", "--quiet", "--python", sys.executable, cwd=folder)
    assert set(of_uv_lock(folder)) == {"mine", "bitsandbytes"}


def test_a_makers_index_serves_its_packages_alone(tmp_path: Path) -> None:
    """A folder of wheels as an index of its own: nothing else is asked of it."""
    wheels = tmp_path / "wheels"
    run_uv("build", "--wheel", "--quiet", "--out-dir", str(wheels), cwd=made(tmp_path / "source"))
    (wheel,) = wheels.glob("*.whl")
    index = tmp_path / "simple" / "sartor-lock-probe"
    index.mkdir(parents=True)
    (index / "index.html").write_text(f'<a href="{wheel.as_uri()}">{wheel.name}</a>')
    data = wheel.read_bytes()
    file = IndexFile(wheel.name, wheel.as_uri(), len(data), hashlib.sha256(data).hexdigest())
    one = locking(
        package("sartor-lock-probe", index="probe", file=file),
        host=replace(HOST, python=PYTHON),
        indexes=[LockedIndex(alias="probe", url=(tmp_path / "simple").as_uri())],
    )
    folder = project(tmp_path / "project", PROJECT, one)
    run_uv("lock", "--quiet", "--python", sys.executable, cwd=folder)
    row = next(
        r
        for r in tomllib.loads((folder / "uv.lock").read_text("utf-8"))["package"]
        if r["name"] == "sartor-lock-probe"
    )
    assert row["source"]["registry"].endswith("simple")
    run_uv("venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    python = str(folder / "venv" / "bin" / "python")
    said = run_uv(
        *("pip", "sync", "--preview-features", "pylock", "--python", python),
        str(folder / "pylock.toml"),
    )
    assert "sartor-lock-probe==1.0" in said
    assert run(python, "-c", "import sartor_lock_probe; print('imported')") == "imported\n"


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz", "commit"])
def test_what_was_built_here(tmp_path: Path, kind: str) -> None:
    """A wheel, a source distribution and a commit of this machine: installed, and in a project."""
    source, dist = made(tmp_path / "source"), tmp_path / "dist"
    name, own = "sartor-lock-probe", {"host": replace(HOST, python=PYTHON), "strategy": "source"}
    if kind == "commit":
        one = locking(package(name, file=None, source=committed(source)), **own)
    else:
        run_uv("build", "--quiet", "--out-dir", str(dist), cwd=source)
        (found,) = dist.glob(kind)
        sha256 = hashlib.sha256(found.read_bytes()).hexdigest()
        file = IndexFile(found.name, found.as_uri(), found.stat().st_size, sha256)
        one = locking(package(name, file=file), **own)
    folder = project(tmp_path / "project", PROJECT, one)
    assert str(tmp_path) not in (folder / "pylock.toml").read_text()
    assert read_locked(folder) == canonical(one)
    run_uv("venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    said = run_uv(
        *("pip", "sync", "--preview-features", "pylock", str(folder / "pylock.toml")),
        *("--python", str(folder / "venv" / "bin" / "python")),
    )
    assert "sartor-lock-probe==1.0" in said
    run_uv("lock", "--quiet", "--python", sys.executable, cwd=folder)
    assert of_uv_lock(folder)[name] == ["1.0"]


def committed(folder: Path) -> Source:
    """A repository of the folder, with one commit."""
    git = ("git", "-c", "user.email=a@example.org", "-c", "user.name=a")
    for words in (("init", "--quiet"), ("add", "-A"), ("commit", "--quiet", "-m", "one")):
        run(*git, *words, cwd=folder)
    commit = run(*git, "rev-parse", "HEAD", cwd=folder).strip()
    return Source(repository=folder.as_uri(), commit=commit)


def test_other_bytes_than_the_locked_ones_are_not_installed(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    run_uv("build", "--wheel", "--quiet", "--out-dir", str(wheels), cwd=made(tmp_path / "source"))
    (wheel,) = wheels.glob("*.whl")
    file = IndexFile(wheel.name, wheel.as_uri(), None, "0" * 64)
    one = locking(package("sartor-lock-probe", file=file), host=replace(HOST, python=PYTHON))
    lock_project(one, tmp_path)
    run_uv("venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv"))
    with pytest.raises(AssertionError, match=r"[Hh]ash mismatch"):
        run_uv(
            *("pip", "sync", "--preview-features", "pylock"),
            *("--python", str(tmp_path / "venv" / "bin" / "python"), str(tmp_path / "pylock.toml")),
        )


def made(folder: Path) -> Path:
    """The source of a package of one module."""
    (folder / "sartor_lock_probe").mkdir(parents=True)
    (folder / "sartor_lock_probe" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "sartor-lock-probe"\nversion = "1.0"\n'
    )
    return folder


@pytest.mark.needs_root
def test_a_full_disk(locked: Path, tmp_path: Path) -> None:
    """What was there stays, whichever of the files finds no room; afterwards it goes well."""
    one, home = read_locked(locked), tmp_path / "disk"
    home.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(home))
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("DID NOT RUN: this machine mounts nothing")
    try:
        small = replace(one, packages=one.packages[:2])
        lock_project(small, home)
        before = {p.name: p.read_bytes() for p in home.iterdir()}
        for room in (0, 4096, 8192):
            (home / "ballast").write_bytes(bytes(shutil.disk_usage(home).free - room))
            with pytest.raises(DiskFullError) as raised:
                lock_project(one, home)
            assert "--output" in str(raised.value.hint)
            (home / "ballast").unlink()
            assert {p.name: p.read_bytes() for p in home.iterdir()} == before
        lock_project(one, home)
        assert read_locked(home).packages == one.packages
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_nothing_has_changed_as_long_as_the_index_says_the_same(locked: Path) -> None:
    one = read_locked(locked)
    listings: Any = {(DEFAULT, p.name): [p.file] for p in one.packages}
    found = changes(one, Now(host=one.host, listings=listings))
    assert (found.changes, found.consequence) == ([], "still holds")


def test_the_same_bytes_from_the_same_index(locked: Path, tmp_path: Path) -> None:
    one = read_locked(locked)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    lock_project(one, elsewhere)
    for name in ("pylock.toml", "sartor.lock"):
        assert (elsewhere / name).read_bytes() == (locked / name).read_bytes()
