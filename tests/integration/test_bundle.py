"""A real stack in a bundle: carried elsewhere, installed and served without a network."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from locks import package, resolved
from sartor.index.files import IndexFile
from sartor.locking import lock_project, read_locked
from sartor_cli import Done, Sartor, checked_home, user_variables
from slim_maker import DATA
from wheelserver import make_wheel
from without_network import __file__ as cut_off

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFLINE = (sys.executable, cut_off)
DEBIAN = "/usr/bin/python3"
BASE = str(Path(sys.executable).resolve())


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`lock` and `parts`, made by `sartor lock` and `sartor bundle` with the tester's own index."""
    folder = tmp_path_factory.mktemp("bundle")
    sartor = Sartor(folder / "home", folder, user_variables())
    sartor.run("lock", "llama.cpp", "--output", str(folder / "lock")).succeeded()
    bundle(sartor, folder / "lock", folder / "parts", "--split", "10M").succeeded()
    return folder


@pytest.fixture
def maker(made: Path, tmp_path: Path) -> Sartor:
    """`sartor` with what was fetched for the bundle in its cache."""
    return Sartor(made / "home", tmp_path, user_variables())


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Path:
    """The parts, in a folder of another name."""
    return Path(shutil.copytree(made / "parts", tmp_path / "from a disk"))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Sartor]:
    """`sartor` with an empty home; nothing may be left when the test ends."""
    yield from checked_home(Sartor(tmp_path / "home", tmp_path, clean(tmp_path)))


def clean(folder: Path) -> dict[str, str]:
    """The variables of a machine on which nothing is configured, and nothing is in a cache."""
    home = folder / "user"
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([str(Path(BASE).parent), "/usr/bin", "/bin"])
    return {"PATH": path, "HOME": str(home), "OMP_WAIT_POLICY": "passive"}


def bundle(sartor: Sartor, lock: Path, out: Path, *more: str) -> Done:
    return sartor.run("bundle", str(lock), "-o", str(out), "--json", *more)


def install(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installer under Debian's Python, where there is one, without a network."""
    python = DEBIAN if Path(DEBIAN).exists() else BASE
    argv = [*OFFLINE, python, str(folder / "install.py"), *arguments]
    return subprocess.run(
        argv, capture_output=True, text=True, env=clean(folder.parent), timeout=300, check=False
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def members(folder: Path) -> dict[str, tuple[int, str]]:
    manifest = json.loads((folder / "bundle.json").read_bytes())
    return {row["path"]: (row["size"], row["sha256"]) for row in manifest["members"]}


def test_carried_to_a_machine_without_a_network(moved: Path, tmp_path: Path) -> None:
    to = tmp_path / "a stack"
    python = ("--python", BASE)
    first = install(moved, "--to", str(to), *python)
    assert first.returncode == 0, first.stderr
    again = install(moved, "--to", str(to), *python)
    assert again.returncode == 0, again.stderr
    assert "environment reused" in again.stderr
    sartor = [*OFFLINE, str(to / "bin" / "sartor")]
    asked = [*sartor, "up", "--bundle", str(to / "bundle"), "--detach", "--json"]
    try:
        done = subprocess.run(
            asked, capture_output=True, env=clean(tmp_path), timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        endpoint = json.loads(done.stdout)
        assert endpoint["answer"]["completion_tokens"] > 0
        assert endpoint["demo"]
    finally:
        subprocess.run([*sartor, "stop", "--all"], env=clean(tmp_path), timeout=60, check=True)


def test_served_from_parts_twice_is_once(target: Sartor, moved: Path) -> None:
    for reused in (False, True):
        done = target.run("up", "--bundle", str(moved), "--detach", "--json", prefix=OFFLINE)
        assert done.succeeded().document["answer"]["completion_tokens"] > 0
        assert ("environment reused" in done.stderr) == reused
        target.run("stop", "--all").succeeded()
    assert len(list((target.home / "environments").glob("[!.]*"))) == 1


def test_parts_that_are_not_whole_are_named_and_mended(
    target: Sartor, moved: Path, made: Path, tmp_path: Path
) -> None:
    (moved / "part-0003").unlink()
    altered = bytearray((moved / "part-0001").read_bytes())
    altered[5_000_000] ^= 1
    (moved / "part-0001").write_bytes(altered)
    os.truncate(moved / "part-0004", 100)
    faulty = ["part-0001: altered", "part-0003: missing", "part-0004: truncated"]
    for arguments in (["--check"], ["--to", str(tmp_path / "to"), "--python", BASE]):
        done = install(moved, *arguments)
        assert done.returncode == 80
        named = [line for line in done.stderr.splitlines() if line.startswith("  part-")]
        assert [line.strip().startswith(f) for line, f in zip(named, faulty, strict=True)]
    for command in (["bundle", "--check"], ["up", "--bundle"]):
        error = target.run(*command, str(moved), "--json").failed("bundle-damaged", 80)
        assert [x.startswith(f) for x, f in zip(error["found"], faulty, strict=True)]
    assert not list((target.home / "environments").glob("[!.]*"))
    assert not (tmp_path / "to" / "sartor").exists()
    other = tmp_path / "second disk"
    other.mkdir()
    for name in ("part-0001", "part-0003", "part-0004"):
        shutil.copyfile(made / "parts" / name, other / name)
    whole = target.run("bundle", "--check", str(moved), "--check", str(other), "--json")
    assert whole.succeeded().document["action"] == "checked"
    assert install(moved, "--check", "--from", str(other)).returncode == 0


def installing(moved: Path, to: Path) -> subprocess.Popen[str]:
    argv = [BASE, str(moved / "install.py"), "--to", str(to), "--python", BASE]
    quiet, piped = subprocess.DEVNULL, subprocess.PIPE
    return subprocess.Popen(argv, env=clean(to.parent), stdout=quiet, stderr=piped, text=True)


def test_two_installers_in_one_folder(moved: Path, tmp_path: Path) -> None:
    both = [installing(moved, tmp_path / "to") for _ in range(2)]
    said = [one.communicate(timeout=300)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert sum("another installer works in" in words for words in said) == 1


def test_sigterm_ends_the_installer_and_what_it_started(moved: Path, tmp_path: Path) -> None:
    running = installing(moved, tmp_path / "to")
    assert running.stderr is not None
    while "installing Sartor" not in running.stderr.readline():
        assert running.poll() is None
    running.terminate()
    said = running.communicate(timeout=60)[1]  # to the end: nobody holds the pipe any longer
    assert running.returncode == 130
    assert "run it again" in said
    assert [p for p in (tmp_path / "to").rglob(".*.partial") if p.is_file()] == []
    assert install(moved, "--to", str(tmp_path / "to"), "--python", BASE).returncode == 0


def test_killed_while_it_is_put_together(moved: Path, tmp_path: Path) -> None:
    to, chance = tmp_path / "to", random.Random(5)  # noqa: S311
    argv = [BASE, str(moved / "install.py"), "--to", str(to), "--python", BASE]
    for _ in range(6):
        running = subprocess.Popen(
            argv, env=clean(tmp_path), stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(chance.uniform(0.05, 1.2))
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    done = install(moved, "--to", str(to), "--python", BASE)
    assert done.returncode == 0, done.stderr
    found = contents(to / "bundle")
    assert {p for p in found if not p.endswith((".py", ".json"))} == {*members(moved)}
    check = subprocess.run(
        [BASE, str(to / "bundle" / "install.py"), "--check", "--from", str(moved)],
        env=clean(tmp_path),
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert check.returncode == 0, check.stderr


def test_killed_while_it_is_made(maker: Sartor, made: Path, tmp_path: Path) -> None:
    out, chance = tmp_path / "again", random.Random(7)  # noqa: S311
    for _ in range(5):
        running = maker.start("bundle", str(made / "lock"), "-o", str(out), "--split", "10M")
        time.sleep(chance.uniform(0.6, 1.6))
        running.end(signal.SIGKILL)
    state = bundle(maker, made / "lock", out, "--split", "10M").succeeded().document
    assert state["written"] + state["kept"] == state["parts"]
    assert contents(out) == contents(made / "parts")


def test_as_plain_files_with_a_model(
    target: Sartor, maker: Sartor, made: Path, tmp_path: Path
) -> None:
    from sartor.models.demo import demo_gguf
    from sartor.paths import Places
    from sartor.reporter import Silent

    model = tmp_path / "tiny.gguf"
    shutil.copyfile(demo_gguf(Places(tmp_path / "demo"), Silent()), model)
    out = tmp_path / "plain"
    state = bundle(maker, made / "lock", out, "--model", str(model)).succeeded().document
    assert (state["parts"], state["written"]) == (0, state["members"])
    serve = ("up", "--bundle", str(out), "--detach", "--json")
    endpoint = target.run(*serve, prefix=OFFLINE).succeeded().document
    assert (endpoint["model"], endpoint["demo"]) == ("tiny", False)
    assert endpoint["answer"]["completion_tokens"] > 0
    target.run("stop", "--all").succeeded()
    (weights,) = (out / "model").rglob("*.gguf")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    error = target.run(*serve).failed("bundle-damaged", 80)
    assert [line.partition(":")[0] for line in error["found"]] == ["model/tiny/tiny.gguf"]


def test_options_that_choose_another_stack_are_refused(target: Sartor, moved: Path) -> None:
    more = ("--engine", "vllm", "--json")
    error = target.run("up", "--bundle", str(moved), *more).failed("usage", 2)
    assert "`--engine`" in error["message"]
    target.run("bundle", "--json").failed("usage", 2)


def test_another_machine_is_told_what_does_not_fit(
    target: Sartor, moved: Path, tmp_path: Path
) -> None:
    host = "arch=x86_64, glibc=2.17, python=3.10"
    error = target.run("bundle", "--install", str(moved), "--host", host, "--json").failed(
        "target-unfit", 81
    )
    assert {line.partition(":")[0] for line in error["found"]} >= {"glibc", "python"}
    done = install(moved, "--to", str(tmp_path / "to"), "--python", "/nonexistent/python")
    assert done.returncode == 81
    assert not (tmp_path / "to").exists()
    assert not (target.home / "bundles").exists() or not list(target.home.glob("bundles/*/wheels"))


def test_what_the_target_has_is_not_carried(
    target: Sartor, maker: Sartor, made: Path, tmp_path: Path
) -> None:
    lock, there = tmp_path / "lock", tmp_path / "there.txt"
    version = base_pip()
    locked_with_pip(made / "lock", lock, version)
    there.write_text(f"pip=={version}\nsetuptools==1.0\n")
    out = tmp_path / "without"
    state = bundle(maker, lock, out, "--there", str(there)).succeeded().document
    assert [(row["name"], row["there"]) for row in state["left_out"]] == [("pip", version)]
    assert not list(out.glob("wheels/pip-*"))
    more = ("--install", str(out), "--python", BASE, "--json")
    found = target.run("bundle", *more, prefix=OFFLINE).succeeded().document
    python = Path(found["environment"]) / "bin" / "python"
    code = "import pip, xllamacpp; print(pip.__version__)"
    assert subprocess.check_output([python, "-c", code], text=True).strip() == version
    assert not list(Path(found["environment"]).glob("lib/python*/site-packages/pip"))


def test_the_packages_of_another_environment_are_taken(
    target: Sartor, maker: Sartor, made: Path, tmp_path: Path
) -> None:
    """As in base images, which keep torch in an environment of their own."""
    base, lock, there = tmp_path / "base", tmp_path / "lock", tmp_path / "there.txt"
    subprocess.run([BASE, "-m", "venv", base], check=True)
    version = pip_of(str(base / "bin" / "python"))
    (packages,) = base.glob("lib/python3*/site-packages")
    (packages / "marker.py").write_text("")
    locked_with_pip(made / "lock", lock, version)
    there.write_text(f"pip=={version}\n")
    out = tmp_path / "without"
    bundle(maker, lock, out, "--there", str(there)).succeeded()
    more = ("--install", str(out), "--python", str(base / "bin" / "python3"), "--json")
    found = target.run("bundle", *more, prefix=OFFLINE).succeeded().document
    python = Path(found["environment"]) / "bin" / "python"
    code = "import marker, pip, xllamacpp; print(pip.__file__)"
    told = subprocess.check_output([python, "-c", code], text=True).strip()
    assert Path(told).is_relative_to(base)
    again = target.run("bundle", "--install", str(out), "--json", prefix=OFFLINE)
    second = again.succeeded().document
    assert (second["environment"], second["reused"]) == (found["environment"], True)


def test_a_target_without_what_was_said_is_refused(
    target: Sartor, maker: Sartor, made: Path, tmp_path: Path
) -> None:
    lock, there = tmp_path / "lock", tmp_path / "there.txt"
    version = "24.0" if base_pip() != "24.0" else "24.1"
    locked_with_pip(made / "lock", lock, version)
    there.write_text(f"pip=={version}\n")
    out = tmp_path / "without"
    bundle(maker, lock, out, "--there", str(there)).succeeded()
    more = ("--install", str(out), "--python", BASE, "--json")
    error = target.run("bundle", *more).failed("target-unfit", 81)
    assert error["found"] == [f"pip: wanted {version}; found {base_pip()}"]
    done = install(out, "--to", str(tmp_path / "to"), "--python", BASE)
    assert done.returncode == 81
    assert f"pip: wanted {version}" in done.stderr


def test_slimmed_wheels_stand_for_the_locked_ones(
    target: Sartor, maker: Sartor, made: Path, tmp_path: Path
) -> None:
    lock, out = tmp_path / "lock", tmp_path / "slim"
    libraries = {"made/units.so": (DATA / "units.so").read_bytes(), "made/__init__.py": b""}
    digest = locked_with(made / "lock", lock, make_wheel(libraries), tmp_path)
    words = ("--gpu", "sm_90")
    bundle(maker, lock, out, *words).succeeded()
    again = bundle(maker, lock, tmp_path / "again", *words).succeeded().document
    assert members(out) == members(tmp_path / "again")
    (wheel,) = out.glob("wheels/made-*")
    assert wheel.name == "made-1.0-1sm90-py3-none-any.whl"
    manifest = json.loads((out / "bundle.json").read_bytes())
    (member,) = [one for one in manifest["members"] if one["source"]]
    assert (member["path"], member["source"]) == (f"wheels/{wheel.name}", digest)
    assert manifest["stack"]["slimmed_to"] == ["sm_90"]
    assert [note for note in manifest["notes"] if note.startswith("slimmed to sm_90: 1 wheel, ")]
    assert again["bytes"] == sum(size for size, _ in members(out).values())
    described = tmp_path / "this.json"  # what is for another machine is not opened here
    described.write_text(json.dumps(target.json("detect")))
    more = ("--install", str(out), "--python", BASE, "--host", str(described), "--json")
    found = target.run("bundle", *more, prefix=OFFLINE).succeeded().document
    (there,) = Path(found["environment"]).glob("lib/python3*/site-packages/made/units.so")
    assert there.stat().st_size < len(libraries["made/units.so"])
    asked = ("verify", str(lock), "--env", found["environment"], "--grade", "resolves", "--json")
    outcomes = {o["check"]: o for o in target.run(*asked).document["outcomes"]}
    locked = outcomes["made is of the locked file"]
    assert locked["outcome"] == "passed"
    assert "slimmed to sm_90 from made-1.0-py3-none-any.whl" in locked["detail"]
    assert "slimmed to sm_90" in outcomes["files of made are as recorded"]["detail"]


def locked_with(lock: Path, out: Path, wheel: bytes, folder: Path) -> str:
    """The real lock with a wheel of one's own; the wheel's sha256."""
    path = folder / "made-1.0-py3-none-any.whl"
    path.write_bytes(wheel)
    digest = hashlib.sha256(wheel).hexdigest()
    file = IndexFile(path.name, path.as_uri(), len(wheel), digest)
    locking = read_locked(lock)
    made = package("made", file=file, index=locking.packages[0].index)
    lock_project(msgspec.structs.replace(locking, packages=[*locking.packages, made]), out)
    return digest


def base_pip() -> str:
    """The pip of the interpreter that the tests' environment was made with."""
    return pip_of(BASE)


def pip_of(python: str) -> str:
    """The version of an interpreter's own pip."""
    code = "import importlib.metadata as m; print(m.version('pip'))"
    return subprocess.check_output([python, "-I", "-c", code], text=True).strip()


def locked_with_pip(lock: Path, out: Path, version: str) -> None:
    """The real lock with one more real package."""
    locking = read_locked(lock)
    with_pip = resolved([f"pip=={version}"], out / "resolved", locking.host.python)
    (pip,) = with_pip.packages
    lock_project(msgspec.structs.replace(locking, packages=[*locking.packages, pip]), out)
