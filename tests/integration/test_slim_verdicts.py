"""Published packages before and after slimming: the same verdicts, wherever they are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slim_envs import Made, install
from venvs import make, site
from wheels import wheel

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from sartor_cli import Document, Sartor

GPUS = ("sm_80", "sm_90", "sm_120")
PROJECTS = ("bitsandbytes==0.50.2", "sglang-kernel==0.4.10", "vllm==0.25.1")
COUNTS = ("units", "native", "jit", "missing", "not_applicable", "unknown", "called")


def judged(sartor: Sartor, target: Path, *gpus: str) -> Document:
    words = [word for gpu in gpus for word in ("--gpu", gpu)]
    return sartor.json("inspect", str(target), *words, "--no-store")


def verdicts(found: Document) -> dict[tuple[str, str], object]:
    """Of each library and feature on each GPU; libraries by their place in their package."""
    told: dict[tuple[str, str], object] = {}
    for one in found["libraries"]:
        path = one["path"].rpartition("site-packages/")[2]
        for row in one["verdicts"]:
            told[path, row["gpu"]] = [row[name] for name in COUNTS]
    for one in found["features"]:
        told[one["name"], one["gpu"]] = one["verdict"]
    return told


def on(gpus: Collection[str], told: dict[tuple[str, str], object]) -> dict[tuple[str, str], object]:
    return {key: value for key, value in told.items() if key[1] in gpus}


def reasons(found: Document) -> set[str]:
    return {
        reason["why"]
        for one in found["libraries"]
        for row in one["verdicts"]
        for reason in row["reasons"]
    }


def slim(sartor: Sartor, source: Path, folder: Path, *gpus: str) -> Path:
    words = [word for gpu in gpus for word in ("--gpu", gpu)]
    sartor.json("slim", str(source), *words, "-o", f"{folder}/")
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.parametrize("project", PROJECTS)
@pytest.mark.parametrize("gpus", [("sm_80",), ("sm_90",), ("sm_120",), ("sm_80", "sm_90")])
def test_a_wheel(plain: Sartor, tmp_path: Path, project: str, gpus: tuple[str, ...]) -> None:
    source = wheel(project)
    path = slim(plain, source, tmp_path, *gpus)
    before = judged(plain, source, *GPUS)
    after = judged(plain, path, *GPUS)
    assert on(gpus, verdicts(after)) == on(gpus, verdicts(before))
    assert on(gpus, verdicts(after))
    told = [
        why for why in reasons(after) if f"slimmed to {', '.join(gpus)}: nothing is left" in why
    ]
    assert told
    assert all(source.name in why for why in told)
    others = set(GPUS) - set(gpus)
    assert all(any(f"for {gpu}" in why for gpu in others) for why in told)


def test_code_that_is_left_alone_is_counted(plain: Sartor) -> None:
    source = wheel("lmdeploy==0.18.0")
    (result,) = plain.json("slim", str(source), "--gpu", "sm_90", "--dry-run")["results"]
    images = [
        image for one in plain.json("inspect", str(source))["libraries"] for image in one["images"]
    ]
    assert result["device_bytes_before"] == sum(image["bytes"] for image in images) > 300 << 20
    assert result["device_bytes_after"] == result["device_bytes_before"]
    (left,) = [one for one in result["libraries"] if one["left_alone"]]
    assert sum(row["kept"] for row in left["images"]) == sum(image["count"] for image in images)
    assert left["left_alone"][0]["why"] in result["why"]


@pytest.mark.parametrize("project", PROJECTS)
def test_an_environment(plain: Sartor, tmp_path: Path, project: str) -> None:
    """Installed from a slimmed wheel, and then slimmed further in its place."""
    source = wheel(project)
    before = verdicts(judged(plain, source, "sm_90", "sm_120"))
    path = slim(plain, source, tmp_path / "wheels", "sm_90", "sm_120")
    env = Made(tmp_path / "env", tmp_path / "cache")
    make(env.path)
    install(env, str(path))
    assert verdicts(judged(plain, env.path, "sm_90", "sm_120")) == before
    path.unlink()
    plain.json("slim", str(env.path), "--in-place", "--gpu", "sm_120")
    after = judged(plain, env.path, "sm_120", "sm_90")
    assert on(["sm_120"], verdicts(after)) == on(["sm_120"], before)
    told = {why for why in reasons(after) if "slimmed to sm_120: nothing is left for sm_90" in why}
    assert told


@pytest.mark.parametrize("project", PROJECTS)
def test_slimmed_in_its_place(plain: Sartor, tmp_path: Path, project: str) -> None:
    env = Made(tmp_path / "env", tmp_path / "cache")
    make(env.path)
    install(env, str(wheel(project)))
    before = judged(plain, env.path, *GPUS)
    plain.json("slim", str(env.path), "--in-place", "--gpu", "sm_90")
    after = judged(plain, env.path, "sm_90")
    assert verdicts(after) == on(["sm_90"], verdicts(before))
    told = {why for why in reasons(judged(plain, env.path, "sm_80")) if "slimmed to sm_90" in why}
    assert told
    assert all("`sartor slim --undo`" in why for why in told)
    for folder in (site(env.path), env.path / "lib"):
        for gpu in GPUS:
            whole, part = judged(plain, env.path, gpu), judged(plain, folder, gpu)
            assert verdicts(part) == verdicts(whole)
            assert reasons(part) == reasons(whole)
    plain.json("slim", str(env.path), "--undo")
    assert verdicts(judged(plain, env.path, *GPUS)) == verdicts(before)
