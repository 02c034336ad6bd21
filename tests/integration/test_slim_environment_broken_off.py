"""`sartor slim ENV --in-place` that a full disk, or a kill, breaks off."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from sartor.reporter import Silent
from sartor.slim.choice import Wanted
from sartor.slimming.environment import InPlaceRequest, slim_environment
from sartor.verdict.model import Target
from slim_envs import HOPPER, Made, contents, install, undone
from venvs import info, make, site, wrong_by_hand

if TYPE_CHECKING:
    from pathlib import Path

    from sartor_cli import Sartor


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting wants root")
def test_a_full_disk_is_said_and_nothing_is_half_done(
    plain: Sartor, tmp_path: Path, made_wheel: Path
) -> None:
    """Room for the environment, and for more and more of what slimming writes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=24m", "none", str(disk))
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        env = Made(disk / "env", tmp_path / "cache")
        make(env.path)
        install(env, str(made_wheel))
        before, met = contents(site(env.path)), set()
        for room in (0, 4 << 10, 40 << 10, 64 << 10, 80 << 10, 100 << 10, 1 << 20):
            about = os.statvfs(disk)
            fill = max(about.f_bavail * about.f_frsize - room, 0)
            (disk / "fill").write_bytes(bytes(fill))
            done = plain.run("slim", str(env.path), "--in-place", *HOPPER, "--json")
            met.add(done.status)
            if done.status:
                assert "goes on" in done.failed("disk-full", 23)["hint"]
            assert wrong_by_hand(env.path) == set()
            (disk / "fill").unlink()
            if (env.path / "sartor-slim" / "slimmed.json").exists():
                undone(plain, env)
            assert contents(site(env.path)) == before
        assert met == {0, 23}
    finally:
        subprocess.run(("umount", str(disk)), check=True)


def test_killed_at_fifty_moments(env: Made) -> None:
    """Every file is the old or the new one, and so is each line of RECORD; undoing goes on."""
    before = contents(env.path)
    code = (
        "import sys; from pathlib import Path\n"
        "from sartor.reporter import Silent; from sartor.slim.choice import Wanted\n"
        "from sartor.slimming.environment import InPlaceRequest, slim_environment\n"
        "from sartor.slimming.undo import undo; from sartor.verdict.model import Target\n"
        "import sartor.slimming.environment as room\n"
        "found = room.environment_at(Path(sys.argv[1]))\n"
        "room.environment_at = lambda _: found\n"
        "import sartor.slimming.undo as undoing; undoing.environment_at = lambda _: found\n"
        "asked = InPlaceRequest(Wanted((Target('sm_90', '9.0'),)), removing=True)\n"
        "while True:\n"
        "    undo(found.root, Silent())\n"
        "    slim_environment(found.root, asked, Silent())\n"
        "    print('ready', flush=True)\n"
    )
    asked = InPlaceRequest(Wanted((Target("sm_90", "9.0"),)), removing=True)
    slim_environment(env.path, asked, Silent())
    after = contents(site(env.path))
    record = info(env.path, "made") / "RECORD"
    lines = {*record.read_bytes().splitlines(), *before_lines(env)}
    moments = random.Random(9)  # noqa: S311
    met = set()
    for _ in range(50):
        argv = [sys.executable, "-c", code, str(env.path)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(moments.random() * 0.3)
            process.send_signal(signal.SIGKILL)
        for name, about in contents(site(env.path)).items():
            if not name.endswith("RECORD"):
                known = before[f"{site(env.path).relative_to(env.path)}/{name}"]
                assert about in {known, after.get(name)}
        now = record.read_bytes()
        assert set(now.splitlines()) <= lines
        met.add(now)
        slim_environment(env.path, asked, Silent())
        assert {n: a[0] for n, a in contents(site(env.path)).items()} == {
            n: a[0] for n, a in after.items()
        }
    assert len(met) > 1


def before_lines(env: Made) -> set[bytes]:
    """RECORD's lines as they were written down before any was changed."""
    record = json.loads((env.path / "sartor-slim" / "slimmed.json").read_bytes())
    return {row["before"].encode().rstrip() for f in record["files"] for row in f["rows"]}
