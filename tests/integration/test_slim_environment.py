"""`sartor slim ENV --in-place` on environments that uv makes, before pip, uv and `verify`."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import uv

from bundles import STACK
from sartor.build.environment import built, ensure
from sartor.host.describe import parse_host
from sartor.line import slimmed_stack
from sartor.paths import Places
from sartor.plan.model import Python
from sartor.reporter import Silent
from slim_envs import HOPPER, LIBRARIES, OTHERS, Made, contents, install, slimmed, undone
from slim_maker import DATA
from venvs import info, make, site, verified, wrong_by_hand
from wheels import wheel
from wheelserver import make_wheel

if TYPE_CHECKING:
    from sartor_cli import Sartor

UNITS = ("units", "native", "jit", "missing", "not_applicable", "unknown")


def uv_says(env: Made, *words: str) -> str:
    done = subprocess.run(
        [uv.find_uv_bin(), "pip", *words, "--python", env.python],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_cache_stays_and_undoing_gives_the_very_bytes(plain: Sartor, env: Made) -> None:
    assert env.file("made/units.so").stat().st_nlink > 1
    before, cache = contents(env.path), contents(env.cache)
    result = slimmed(plain, env)
    assert result["bytes_after"] < result["bytes_before"]
    found = result["environment"]
    assert found["kept_bytes"] > 0
    assert found["shared_bytes"] == sum((DATA / own).stat().st_size for own in LIBRARIES.values())
    for name in LIBRARIES:
        assert env.file(name).stat().st_nlink == 1
    assert contents(env.cache) == cache
    changed = {name for name, about in contents(env.path).items() if before.get(name) != about}
    own = {f"{env.file(name).relative_to(env.path)}" for name in LIBRARIES}
    record = str((info(env.path, "made") / "RECORD").relative_to(env.path))
    assert {name for name in changed if not name.startswith("sartor-slim/")} == {*own, record}
    undo = undone(plain, env)
    assert set(undo["restored"]) == own
    assert contents(env.path) == before
    assert not (env.path / "sartor-slim").exists()


def test_records_hold_and_verify_says_what_was_done(plain: Sartor, env: Made) -> None:
    listed = uv_says(env, "list")
    slimmed(plain, env)
    assert wrong_by_hand(env.path) == set()
    report = verified(plain, env.path, 0)
    (outcome,) = [o for o in report["outcomes"] if o["check"] == "files of made are as recorded"]
    assert outcome["outcome"] == "passed"
    assert "2 files slimmed to sm_90" in outcome["detail"]
    assert report["slimmed"] == {str(env.file(n).relative_to(env.path)): "sm_90" for n in LIBRARIES}
    assert uv_says(env, "list") == listed
    assert uv_says(env, "check") is not None
    code = "import made, importlib.metadata as m; print(made.VALUE, m.version('made'))"
    told = subprocess.run([env.python, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["7", "1.0"]


@pytest.mark.parametrize("by", ["uv", "pip"])
def test_what_is_slimmed_is_uninstalled_whole(plain: Sartor, env: Made, by: str) -> None:
    slimmed(plain, env, *HOPPER, "--remove-unused")
    if by == "uv":
        uv_says(env, "uninstall", "made")
    else:
        install(env, "pip")
        pip = [env.python, "-m", "pip", "uninstall", "-y", "made"]
        subprocess.run(pip, check=True, capture_output=True)
    assert not env.file("made").exists()
    assert list(site(env.path).glob("made*")) == []
    undo = undone(plain, env)
    assert (undo["restored"], len(undo["replaced"])) == ([], 4)
    assert not env.file("made").exists()


def test_an_upgrade_is_not_overwritten(plain: Sartor, env: Made, tmp_path: Path) -> None:
    slimmed(plain, env)
    path = tmp_path / "made-2.0-py3-none-any.whl"
    members = {"made/units.so": b"of the new version", "made/__init__.py": b""}
    path.write_bytes(make_wheel(members, version="2.0"))
    install(env, str(path))
    before = contents(site(env.path))
    assert len(undone(plain, env)["replaced"]) == 2
    assert contents(site(env.path)) == before
    assert not (env.path / "sartor-slim").exists()


def test_a_reinstalled_package_is_as_it_was(plain: Sartor, env: Made, made_wheel: Path) -> None:
    slimmed(plain, env)
    install(env, "--reinstall", str(made_wheel))
    before = contents(site(env.path))
    assert len(undone(plain, env)["restored"]) == 2
    assert contents(site(env.path)) == before


def test_a_file_that_was_changed_since_is_named_and_left(plain: Sartor, env: Made) -> None:
    slimmed(plain, env)
    env.file("made/units.so").write_bytes(b"damaged")
    found = undone(plain, env, 1)
    (one,) = found["not_undone"]
    assert one["path"].endswith("made/units.so")
    assert "--reinstall --no-deps made==1.0" in one["hint"]
    assert env.file("made/units.so").read_bytes() == b"damaged"
    assert len(found["restored"]) == 1


def test_slimmed_otherwise_goes_out_from_the_original(plain: Sartor, env: Made) -> None:
    """Other GPUs are no smaller set; and nothing is done twice."""
    before = contents(env.path)
    slimmed(plain, env)
    first = contents(site(env.path))
    assert not slimmed(plain, env)["changed"]
    assert contents(site(env.path)) == first
    slimmed(plain, env, "--gpu", "sm_80")
    other = {name: env.file(name).read_bytes() for name in LIBRARIES}
    undone(plain, env)
    assert contents(env.path) == before
    slimmed(plain, env, "--gpu", "sm_80")
    assert {name: env.file(name).read_bytes() for name in LIBRARIES} == other


def test_a_dry_run_changes_nothing_and_tells_the_sizes(plain: Sartor, env: Made) -> None:
    before = contents(env.path)
    done = plain.json("slim", str(env.path), "--dry-run", *HOPPER)
    (told,) = done["results"]
    assert contents(env.path) == before
    result = slimmed(plain, env)
    sizes = [(one["path"], one["bytes_after"]) for one in result["libraries"]]
    assert [(one["path"], one["bytes_after"]) for one in told["libraries"]] == sizes
    for path, size in sizes:
        assert (env.path / path).stat().st_size == size


def test_what_is_unused_is_said_and_removed_on_request(plain: Sartor, env: Made) -> None:
    before = contents(env.path)
    kinds = {row["kind"]: row for row in slimmed(plain, env)["unused"]}
    assert set(kinds) == {"other-interpreter", "archives", "tests"}
    assert not any(row["removed"] for row in kinds.values())
    undone(plain, env)
    slimmed(plain, env, *HOPPER, "--remove-unused")
    gone = {name for name in OTHERS if not env.file(name).exists()}
    assert gone == {"made/_c.cpython-39-x86_64-linux-gnu.so", "made/libmade.a"}
    assert wrong_by_hand(env.path) == set()
    report = verified(plain, env.path, 0)
    assert any("2 files of no use removed" in o.get("detail", "") for o in report["outcomes"])
    undone(plain, env)
    assert contents(env.path) == before


def test_without_undo_the_way_back_is_said(plain: Sartor, env: Made, made_wheel: Path) -> None:
    before = contents(site(env.path))
    result = slimmed(plain, env, *HOPPER, "--no-undo")
    assert (result["environment"]["undo"], result["environment"]["kept_bytes"]) == (None, 0)
    found = undone(plain, env, 1)
    assert {one["why"] for one in found["not_undone"]} == {"nothing was kept of it"}
    install(env, "--reinstall", str(made_wheel))
    assert undone(plain, env)["not_undone"] == []
    now = contents(site(env.path))
    assert {n: about[0] for n, about in now.items() if "dist-info" not in n} == {
        n: about[0] for n, about in before.items() if "dist-info" not in n
    }


def test_what_is_left_alone_and_why(plain: Sartor, env: Made, tmp_path: Path) -> None:
    """A licence, a file of no RECORD, one that was changed, a symbolic link."""
    path = tmp_path / "nvidia_made-1.0-py3-none-any.whl"
    data = (DATA / "units.so").read_bytes()
    path.write_bytes(make_wheel({"nvidia/units.so": data}, "nvidia_made"))
    install(env, str(path))
    shutil.copy(DATA / "units.so", env.file("stray.so"))
    (there,) = [env.file("made/units.so")]
    there.unlink()
    there.symlink_to(DATA / "units.so")
    linked = env.file("made/deep/linked.so")
    linked.unlink()
    linked.write_bytes((DATA / "linked.so").read_bytes() + b"\0")
    before = contents(site(env.path))
    result = slimmed(plain, env)
    assert contents(site(env.path)) == before
    assert not result["changed"]
    (package,) = result["environment"]["left"]
    assert (package["project"], package["libraries"]) == ("nvidia-made", 1)
    assert "licence" in package["why"]
    why = {Path(one["path"]).name: one["left_alone"][0]["why"] for one in result["libraries"]}
    assert "symbolic link" in why["units.so"]
    assert "changed it since" in why["linked.so"]
    assert "no RECORD names it" in why["stray.so"]


def test_what_does_not_hold_together(plain: Sartor, env: Made, tmp_path: Path) -> None:
    error = plain.run("slim", str(env.path), *HOPPER, "--json").failed("usage", 2)
    assert "--in-place" in error["hint"]
    error = plain.run("slim", str(env.path), *HOPPER, "-o", "out", "--json").failed("usage", 2)
    assert "does not run" in error["hint"]
    plain.run("slim", str(env.path), "--undo", "--json").failed("usage", 2)
    plain.run("slim", str(env.path), "--no-undo", *HOPPER, "--json").failed("usage", 2)
    words = ("slim", str(tmp_path), "--in-place", *HOPPER, "--json")
    plain.run(*words).failed("no-environment", 41)
    library = str(env.file("made/units.so"))
    error = plain.run("slim", library, "--in-place", *HOPPER, "--json").failed("usage", 2)
    assert "-o OUT" in error["hint"]
    (by_python,) = plain.json("slim", env.python, "--dry-run", *HOPPER)["results"]
    assert by_python["kind"] == "environment"


def test_a_record_that_is_behind_its_files_is_explained(plain: Sartor, env: Made) -> None:
    """As a run leaves it that is killed between the two."""
    record = info(env.path, "made") / "RECORD"
    before = record.read_bytes()
    slimmed(plain, env)
    after = record.read_bytes()
    record.write_bytes(before)
    report = verified(plain, env.path, 1)
    (failed,) = [o for o in report["outcomes"] if o["outcome"] == "failed"]
    assert "slimming was interrupted" in failed["hint"]
    assert not slimmed(plain, env)["changed"]
    assert record.read_bytes() == after
    verified(plain, env.path, 0)


def test_uv_and_sartor_wait_for_each_other(plain: Sartor, env: Made) -> None:
    """By uv's lock of the environment; and a library that is in use goes on as it was."""
    name = env.file("made/units.so")
    with name.open("rb") as file, (env.path / ".lock").open("a") as lock:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = ["pip", "uninstall", "--python", env.python, "nothing-of-that-name"]
        with (
            subprocess.Popen([uv.find_uv_bin(), *words], stderr=subprocess.DEVNULL) as other,
            plain.start("slim", str(env.path), "--in-place", *HOPPER, "--json") as running,
        ):
            time.sleep(3)
            assert other.poll() is None
            assert name.stat().st_size == len(mapped)
            fcntl.flock(lock, fcntl.LOCK_UN)
            running.wait().succeeded()
            other.wait()
        assert name.stat().st_size < len(mapped)
        assert mapped[:] == (DATA / "units.so").read_bytes()
        mapped.close()


def test_a_file_of_two_packages(plain: Sartor, env: Made, tmp_path: Path) -> None:
    """It is slimmed where both may be changed, and both RECORDs follow."""
    members = {"made/units.so": (DATA / "units.so").read_bytes()}
    other = tmp_path / "other-1.0-py3-none-any.whl"
    other.write_bytes(make_wheel(members, "other"))
    install(env, str(other))
    before = contents(env.path)
    slimmed(plain, env)
    assert wrong_by_hand(env.path) == set()
    assert env.file("made/units.so").stat().st_size < len(members["made/units.so"])
    undone(plain, env)
    assert contents(env.path) == before
    forbidden = tmp_path / "nvidia_other-1.0-py3-none-any.whl"
    forbidden.write_bytes(make_wheel(members, "nvidia_other"))
    install(env, str(forbidden))
    slimmed(plain, env)
    assert env.file("made/units.so").read_bytes() == members["made/units.so"]


@pytest.mark.parametrize("project", ["bitsandbytes==0.50.2", "sglang-kernel==0.4.10"])
def test_published_wheels(plain: Sartor, tmp_path: Path, project: str) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    env = Made(tmp_path / "env", tmp_path / "cache")
    make(env.path)
    install(env, str(wheel(project, python)))
    before = contents(env.path)
    result = slimmed(plain, env)
    assert result["device_bytes_after"] < 0.6 * result["device_bytes_before"]
    assert wrong_by_hand(env.path) == set()
    checks = verified(plain, env.path, 1)["outcomes"]  # torch is not there
    name = project.partition("=")[0]
    (own,) = [o for o in checks if o["check"] == f"files of {name} are as recorded"]
    assert own["outcome"] == "passed"
    assert "slimmed to sm_90" in own["detail"]
    for library in result["libraries"]:
        if library["changed"]:
            subprocess.run(["readelf", "-aW", env.path / library["path"]], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
    after = foretold(plain, env)
    undone(plain, env)
    assert contents(env.path) == before
    assert foretold(plain, env) == after


def foretold(sartor: Sartor, env: Made) -> dict[str, object]:
    """What each library, and each feature, is on the GPU, as `inspect` sees it."""
    found = sartor.json("inspect", str(env.path), "--gpu", "sm_90")
    told: dict[str, object] = {one["name"]: one["verdict"] for one in found["features"]}
    for one in found["libraries"]:
        told[one["path"]] = [
            {k: v for k, v in row.items() if k in UNITS} for row in one["verdicts"]
        ]
    return told


def test_an_environment_is_reduced_before_it_is_finished(tmp_path: Path, made_wheel: Path) -> None:
    """As `up --slim` makes one: beside the whole one, and found again as what it is."""
    digest = hashlib.sha256(made_wheel.read_bytes()).hexdigest()
    pylock = (
        'lock-version = "1.0"\ncreated-by = "test"\n\n[[packages]]\nname = "made"\n'
        f'version = "1.0"\n\n[packages.archive]\npath = "{made_wheel}"\n'
        f'hashes = {{ sha256 = "{digest}" }}\n'
    )
    places, host = Places(tmp_path / "home"), parse_host("h200, driver=580")
    stack = msgspec.structs.replace(
        STACK, accelerator="cuda", python=Python(sys.executable, None), disk_mb=1, supply=[]
    )
    whole, _ = ensure(stack, pylock, places, Silent())
    small, reduce = slimmed_stack(stack, host, Silent())
    assert small.slimmed_to == ["sm_90"]
    found, reused = ensure(small, pylock, places, Silent(), reduce=reduce)
    assert not reused
    assert found.path != whole.path
    assert ensure(small, pylock, places, Silent()) == (found, True)
    for name in LIBRARIES:
        sizes = [(site(Path(one.path)) / name).stat().st_size for one in (found, whole)]
        assert sizes[0] < sizes[1]
    assert wrong_by_hand(Path(found.path)) == set()
    for wanted, path in ((["sm_90"], found.path), ([], whole.path)):
        assert [one.path for one in built(places, wanted).values()] == [path]
