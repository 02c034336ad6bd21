"""Environments that were slimmed before, asked for a GPU that was not among those."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from slim_envs import HOPPER, LIBRARIES, Made, contents, install, slimmed
from slim_maker import DATA
from slim_wheels import NAME, write_wheel
from venvs import site

if TYPE_CHECKING:
    from pathlib import Path

    from sartor_cli import Sartor

BLACKWELL = ("--gpu", "sm_120")
WAYS = ("--in-place", "--dry-run")


@pytest.mark.parametrize("way", WAYS)
def test_what_a_slimmed_wheel_lacks_is_not_to_be_had(
    plain: Sartor, env: Made, tmp_path: Path, way: str
) -> None:
    wheel = write_wheel(tmp_path / NAME)
    found = plain.json("slim", str(wheel), *HOPPER, "-o", f"{tmp_path / 'out'}/")
    install(env, found["results"][0]["output"])
    before = contents(site(env.path))
    done = plain.run("slim", str(env.path), *BLACKWELL, way, "--json")
    assert (done.status, done.document["code"]) == (85, "not-slimmable")
    assert "slimmed before, to sm_90: what sm_120 would load is gone" in done.document["message"]
    assert NAME in done.document["hint"]
    assert contents(site(env.path)) == before
    plain.json("slim", str(env.path), *HOPPER, way)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_given_up_is_not_to_be_had(plain: Sartor, env: Made, way: str) -> None:
    slimmed(plain, env, *HOPPER, "--no-undo")
    before = contents(env.path)
    done = plain.run("slim", str(env.path), *BLACKWELL, way, "--json")
    assert done.status == 85
    assert "slimmed before, to sm_90: what sm_120 would load is gone" in done.document["message"]
    assert "--reinstall --no-deps made==1.0" in done.document["hint"]
    assert contents(env.path) == before
    done = plain.run("slim", str(env.path), *HOPPER, "--keep-ptx", way, "--json")
    assert (done.status, "PTX for later GPUs" in done.document["message"]) == (85, True)


def test_a_package_that_was_installed_anew_has_all_again(
    plain: Sartor, env: Made, made_wheel: Path
) -> None:
    slimmed(plain, env, *HOPPER, "--no-undo")
    install(env, "--reinstall", str(made_wheel))
    for way in reversed(WAYS):
        (result,) = plain.json("slim", str(env.path), *BLACKWELL, way)["results"]
        assert result["device_bytes_before"] > result["device_bytes_after"] > 0


def test_figures_are_against_what_was_installed(plain: Sartor, env: Made) -> None:
    whole = sum((DATA / own).stat().st_size for own in LIBRARIES.values())
    slimmed(plain, env)
    for way in reversed(WAYS):
        (told,) = plain.json("slim", str(env.path), *BLACKWELL, way)["results"]
        rows = {row["path"].rpartition("made/")[2]: row for row in told["libraries"]}
        assert sum(row["bytes_before"] for row in rows.values()) == whole
        less = whole - sum(row["bytes_after"] for row in rows.values())
        assert told["bytes_before"] - told["bytes_after"] == pytest.approx(less, abs=16)
        assert ["slimmed before" in note for note in told["notes"]] == [True]
    units = env.file("made/units.so")
    assert units.stat().st_size == rows["units.so"]["bytes_after"]


def test_the_proof_says_what_was_slimmed(plain: Sartor, env: Made, tmp_path: Path) -> None:
    whole, less = tmp_path / "whole.json", tmp_path / "less.json"
    for path in (whole, less):
        done = plain.run("verify", "--env", str(env.path), "--grade", "resolves", "--json")
        path.write_text(done.stdout)
        slimmed(plain, env)
    told = plain.run("verify", "--env", str(env.path), "--grade", "resolves").stdout
    assert "slimmed      2 files to sm_90" in told
    compared = plain.run("verify", "--compare", str(whole), str(less)).stdout
    assert compared.count("slimmed to sm_90 in B") == len(LIBRARIES)
    assert "another content" not in compared


def test_where_nothing_is_to_be_done_nothing_is_said_to_be(plain: Sartor, env: Made) -> None:
    slimmed(plain, env)
    told = plain.run("slim", str(env.path), *HOPPER, "--in-place").stdout
    assert "nothing was changed" in told
    assert "slimmed in its place" not in told


def test_an_editable_install_is_named_and_left(plain: Sartor, env: Made, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "own").mkdir(parents=True)
    library = project / "own" / "units.so"
    library.write_bytes((DATA / "units.so").read_bytes())
    told = site(env.path) / "own-1.0.dist-info"
    told.mkdir()
    address = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (told / "direct_url.json").write_text(json.dumps(address))
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (told / "RECORD").write_text("own-1.0.dist-info/RECORD,,\n")
    (left,) = [one for one in slimmed(plain, env)["environment"]["left"] if one["project"] == "own"]
    assert (left["libraries"], left["bytes"]) == (1, library.stat().st_size)
    assert "editable" in left["why"]
    assert library.read_bytes() == (DATA / "units.so").read_bytes()
