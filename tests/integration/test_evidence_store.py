"""One store and many processes, some of them killed; media that cannot be written or are full."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from evidences import evidence
from sartor.evidence.row import row_of
from sartor.evidence.store import open_store
from sartor.paths import Places
from sartor_cli import user_variables
from wheels import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

FATBIN = Path(__file__).parents[1] / "data/fatbin"
SCANNERS, KILLED = 8, 2
FILES = 150

PUT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from evidences import row
from sartor.evidence.store import open_store
from sartor.paths import Places
number = 0
with open_store(Places(Path(sys.argv[1])).evidence) as store:
    while True:
        store.put(row(number, "all"))
        print(number, flush=True)
        number += 1
"""


def variables(home: Path) -> dict[str, str]:
    return {**user_variables(), "SARTOR_HOME": str(home)}


def start(home: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sartor", "evidence", *words, "--json"],
        env=variables(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def sartor(home: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "sartor", *words, "--json"],
        env=variables(home),
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small libraries of device code, each another one."""
    folder = tmp_path_factory.mktemp("many")
    base = (FATBIN / "library.so").read_bytes()
    for number in range(FILES):
        # What follows the sections is nobody's: another file, and the same library.
        (folder / f"{number:03}.so").write_bytes(base + b"%d" % number)
    return folder


def check_whole(home: Path) -> dict[str, str]:
    """Every row by its name, after all that can be asked of the file was asked."""
    path = Places(home).evidence
    with sqlite3.connect(path) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (count,) = plain.execute("SELECT count(*) FROM evidence").fetchone()
        (distinct,) = plain.execute("SELECT count(DISTINCT sha256) FROM evidence").fetchone()
    plain.close()
    assert count == distinct
    store = open_store(path)
    assert store is not None
    with store:
        found = list(store.rows())
    for row in found:
        told = row.evidence()
        assert (told.sha256, told.target) == (row.sha256, row.name)
    return {row.name: row.sha256 for row in found}


def test_eight_scan_and_two_are_killed(many: Path, tmp_path: Path) -> None:
    seed = int(os.environ.get("SARTOR_TEST_SEED", random.randrange(1 << 30)))  # noqa: S311
    sys.stdout.write(f"SARTOR_TEST_SEED={seed}\n")
    chance, killed = random.Random(seed), 0  # noqa: S311
    files = [str(p) for p in sorted(many.iterdir())]
    for round_ in range(3):
        home = tmp_path / f"home{round_}"
        scanners = []
        for _ in range(SCANNERS):
            chance.shuffle(files)
            scanners.append(start(home, "scan", *files))
        for victim in scanners[:KILLED]:
            time.sleep(chance.uniform(0.05, 0.6))
            victim.send_signal(signal.SIGKILL)
        told = []
        for number, process in enumerate(scanners):
            output, talk = process.communicate(timeout=120)
            if number < KILLED and process.returncode == -signal.SIGKILL:
                killed += 1
                continue
            assert process.returncode == 0, talk.decode()
            told.append(json.loads(output)["rows"])
        assert len(told) >= SCANNERS - KILLED
        for rows in told:
            assert len(rows) == FILES
            assert {row["outcome"] for row in rows} <= {"added", "same", "known"}
        added = sum(row["outcome"] == "added" for rows in told for row in rows)
        assert added <= FILES
        assert set(check_whole(home)) == {Path(f).name for f in files}
    assert killed, "all of them had ended before they were to be killed"


def test_a_writer_that_is_killed_loses_nothing_it_was_told_is_kept(tmp_path: Path) -> None:
    """SIGKILL at random points, also while the store is made: what was answered for is there."""
    chance = random.Random(7)  # noqa: S311
    home, most = tmp_path / "home", 0
    for round_ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", PUT, str(home), str(Path(__file__).parents[1])],
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            begun = process.stdout.readline() if round_ % 4 == 3 else b""  # a busy machine is slow
            time.sleep(0.15 + chance.expovariate(5))
            process.kill()
            output = begun + process.communicate(timeout=60)[0]
        if output:
            most = max(most, 1 + int(output.split(b"\n")[-2]))
        if Places(home).evidence.exists():
            kept = check_whole(home)
            assert {f"one-1.{n}-py3-none-any.whl" for n in range(most)} <= set(kept)
    sys.stdout.write(f"{most} rows\n")
    assert most > 0
    assert {p.name for p in Places(home).evidence.parent.iterdir()} <= {
        ".create.lock", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm"
    }  # fmt: skip


def test_reading_while_others_write(many: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    files = [str(p) for p in sorted(many.iterdir())]
    sartor(home, "evidence", "scan", files[0])
    writers = [start(home, "scan", "--again", *files) for _ in range(2)]
    seen = 0
    while any(process.poll() is None for process in writers):
        done = sartor(home, "evidence", "show")
        assert done.returncode == 0, done.stderr.decode()
        rows = json.loads(done.stdout)["rows"]
        assert len(rows) >= seen
        seen = len(rows)
    for process in writers:
        process.communicate()
        assert process.returncode == 0
    assert len(check_whole(home)) == FILES


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """A home with one library in its store, in which nobody may write.

    Root, whom permissions do not stop, gets a file system that is mounted to be read only.
    """
    home = tmp_path / "home"
    home.mkdir()
    is_root = os.getuid() == 0
    if is_root and not mounted(home, "size=4m"):
        pytest.skip("DID NOT RUN: this machine mounts nothing")
    sartor(home, "evidence", "scan", str(FATBIN / "lz4.fatbin"))
    folder = Places(home).evidence.parent
    places = [folder, home, *folder.iterdir()]
    if is_root:
        assert mounted(home, "remount,ro")
    else:
        for place in places:
            place.chmod(0o555 if place.is_dir() else 0o444)
    yield home
    if is_root:
        subprocess.run(["umount", str(home)], check=True)
    else:
        for place in places:
            place.chmod(0o755)


def own_names(shown: subprocess.CompletedProcess[bytes]) -> list[str]:
    """What is in the store; the snapshot that is shipped is shown too."""
    return [r["name"] for r in json.loads(shown.stdout)["rows"] if r["where"] == "store"]


def mounted(place: Path, options: str) -> bool:
    """Mount memory there, or change how it is mounted."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_a_folder_that_cannot_be_written(frozen: Path) -> None:
    before = {p.name: p.read_bytes() for p in Places(frozen).evidence.parent.iterdir()}
    shown = sartor(frozen, "evidence", "show")
    assert shown.returncode == 0, shown.stderr.decode()
    assert own_names(shown) == ["lz4.fatbin"]
    for name in ("lz4.fatbin", "zstd.fatbin"):
        found = sartor(frozen, "inspect", str(FATBIN / name))
        assert found.returncode == 0
        assert b"warning" not in found.stderr
    scanned = sartor(frozen, "evidence", "scan", str(FATBIN / "lz4.fatbin"))
    assert (scanned.returncode, json.loads(scanned.stdout)["code"]) == (24, "not-writable")
    after = {p.name: p.read_bytes() for p in Places(frozen).evidence.parent.iterdir()}
    assert after == before


@pytest.mark.needs_root
@pytest.mark.parametrize("with_index", [True, False])
def test_rows_in_the_log_of_a_killed_writer(tmp_path: Path, *, with_index: bool) -> None:
    """A medium that is read only since: what is in the log is seen, with and without its index."""
    home = tmp_path / "home"
    home.mkdir()
    if not mounted(home, "size=8m"):
        pytest.skip("DID NOT RUN: this machine mounts nothing")
    try:
        with subprocess.Popen(
            [sys.executable, "-c", PUT, str(home), str(Path(__file__).parents[1])],
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            while process.stdout.readline() != b"5\n":
                pass
            process.kill()
        folder = Places(home).evidence.parent
        assert (folder / "store.sqlite-wal").stat().st_size
        if not with_index:
            (folder / "store.sqlite-shm").unlink()
        assert mounted(home, "remount,ro")
        shown = sartor(home, "evidence", "show")
        names = {row["name"] for row in json.loads(shown.stdout)["rows"]}
        assert {f"one-1.{n}-py3-none-any.whl" for n in range(6)} <= names
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_a_home_that_cannot_be_written_and_has_no_store(frozen: Path) -> None:
    """What is inspected is inspected; that nothing is kept is said."""
    home = frozen / "elsewhere"
    found = sartor(home, "inspect", str(FATBIN / "zstd.fatbin"))
    assert found.returncode == 0
    assert b"the evidence store is not used" in found.stderr
    shown = sartor(home, "evidence", "show")
    assert (shown.returncode, own_names(shown)) == (0, [])


@pytest.mark.needs_root
def test_a_full_disk(tmp_path: Path, many: Path) -> None:
    """A file system of one megabyte: the rows that found room are whole, the error says it."""
    home = tmp_path / "home"
    home.mkdir()
    if not mounted(home, "size=1m"):
        pytest.skip("DID NOT RUN: this machine mounts nothing")
    try:
        store = open_store(Places(home).evidence)
        assert store is not None
        with store:
            store.put(row_of(evidence(0), "none"))
        (home / "ballast").write_bytes(bytes(shutil.disk_usage(home).free))
        scanned = sartor(home, "evidence", "scan", *(str(p) for p in sorted(many.iterdir())[:40]))
        assert (scanned.returncode, json.loads(scanned.stdout)["code"]) == (23, "disk-full")
        inspected = sartor(home, "inspect", str(FATBIN / "zstd.fatbin"))
        assert inspected.returncode == 0
        (home / "ballast").unlink()
        assert evidence(0).target in check_whole(home)
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_a_second_call_is_quick(tmp_path: Path) -> None:
    """Printed, not asserted: the whole process, with and without the store."""
    path = wheel("bitsandbytes==0.50.2")
    took = {}
    for name in ("first", "second", "third", "--no-store"):
        words = ["inspect", str(path), "--gpu", "rtx-5090", "--driver", "575.57"]
        began = time.perf_counter()
        done = sartor(tmp_path / "home", *words, *([name] if name.startswith("-") else []))
        took[name] = time.perf_counter() - began
        assert done.returncode == 0, done.stderr.decode()
        document = done.stdout
        assert msgspec.json.decode(document)["sha256"]
    sys.stdout.write(f"{ {name: f'{seconds:.2f} s' for name, seconds in took.items()} }\n")
