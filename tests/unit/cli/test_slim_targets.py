"""`sartor slim`: what is asked for is checked before any work, and nothing of others is lost."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from fatbin_maker import Made
from sartor.cli import run
from slim_maker import DATA, library
from slim_wheels import NAME, contents, write_wheel

if TYPE_CHECKING:
    from pathlib import Path

    Printed = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "home"))
    shutil.copyfile(DATA / "units.so", tmp_path / "units.so")
    write_wheel(tmp_path / NAME)
    return tmp_path


def test_a_target_that_is_not_there_is_named_before_any_work(folder: Path, capsys: Printed) -> None:
    words = [str(folder / NAME), str(folder / "none.so"), str(folder / "nor.whl")]
    assert run(["slim", *words, "--gpu", "sm_90", "-o", f"{folder}/out/"]) == 15
    said = capsys.readouterr().err
    assert "none.so" in said
    assert "nor.whl" in said
    assert not (folder / "out").exists()


def test_one_target_that_is_not_there_has_a_way_out(folder: Path, capsys: Printed) -> None:
    assert run(["slim", str(folder / "none.so"), "--gpu", "sm_90", "-o", f"{folder}/out/"]) == 15
    assert "hint: check the path" in capsys.readouterr().err


def test_two_targets_are_not_one_file(folder: Path, capsys: Printed) -> None:
    words = [str(folder / NAME), str(folder / "units.so"), "--gpu", "sm_90"]
    assert run(["slim", *words, "-o", str(folder / "one.whl")]) == 2
    assert "-o DIR/" in capsys.readouterr().err
    assert not (folder / "one.whl").exists()


@pytest.mark.parametrize(
    "name", ["one.whl", "other-1.0-py3-none-any.whl", NAME.replace("1.0", "2")]
)
def test_a_wheel_has_a_name_that_installers_take(folder: Path, capsys: Printed, name: str) -> None:
    assert run(["slim", str(folder / NAME), "--gpu", "sm_90", "-o", str(folder / name)]) == 2
    assert "installers" in capsys.readouterr().err
    assert not (folder / name).exists()


def test_a_file_of_others_is_not_replaced(folder: Path, capsys: Printed) -> None:
    out = folder / "out" / "units.so"
    out.parent.mkdir()
    out.write_bytes(b"of others")
    words = ["slim", str(folder / "units.so"), "--gpu", "sm_90", "-o", f"{out.parent}/"]
    assert run(words) == 72
    assert "--force" in capsys.readouterr().err
    assert out.read_bytes() == b"of others"
    assert run([*words, "--force"]) == 0
    assert out.read_bytes() != b"of others"


def test_a_slimmed_wheel_is_made_again_and_no_other_is_replaced(folder: Path) -> None:
    words = ["slim", str(folder / NAME), "--gpu", "sm_90", "-o", f"{folder}/out/"]
    assert (run(words), run(words)) == (0, 0)
    (made,) = (folder / "out").iterdir()
    write_wheel(made, contents(extra={"units/more.py": b""}))
    assert run(words) == 72
    assert (run([*words, "--force"]), run(words)) == (0, 0)


def test_a_library_and_a_wheel_with_nothing_for_a_gpu_are_refused(
    folder: Path, capsys: Printed
) -> None:
    for name in ("units.so", NAME):
        out = folder / "out" / name
        assert run(["slim", str(folder / name), "--gpu", "sm_70", "-o", str(out)]) == 85
        said = capsys.readouterr().err
        assert "has nothing for sm_70" in said
        assert "machine code for sm_75, sm_80" in said
        assert not out.exists()


def test_a_library_of_other_gpus_in_a_package_that_has_code(folder: Path, capsys: Printed) -> None:
    only = library([[Made("cubin", "100", b"code" * 64)]] * 4)
    path = write_wheel(folder / NAME, contents(extra={"units/_only.so": only}))
    assert run(["slim", str(path), "--gpu", "sm_90", "-o", f"{folder}/out/"]) == 0
    assert "nothing in _only.so is for sm_90" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["sm_98", "sm_999", "sm_130", "sm_12"])
def test_an_architecture_that_no_gpu_has(folder: Path, capsys: Printed, name: str) -> None:
    assert run(["slim", str(folder / NAME), "--gpu", name, "--dry-run"]) == 11
    said = capsys.readouterr().err
    assert f"`{name}`: no GPU is known to be that; nearest: `sm_" in said
    assert run(["slim", str(folder / NAME), "--gpu", "new:sm_130", "--dry-run"]) == 0


@pytest.mark.parametrize("name", ["h2000", "90", "sm_120,sm_90", "sm_90a"])
def test_hints_name_options_that_there_are(folder: Path, capsys: Printed, name: str) -> None:
    assert run(["slim", str(folder / NAME), "--gpu", name, "--dry-run"]) in {2, 11}
    said = capsys.readouterr().err
    assert "`--gpu sm_" in said
    assert not any(other in said for other in ("--sm ", "--host", "--driver", "--env"))


def test_an_option_of_another_command(folder: Path, capsys: Printed) -> None:
    assert run(["slim", str(folder / NAME), "--sm", "9.0"]) == 2
    assert "did you mean" not in capsys.readouterr().err
    assert run(["slim", str(folder / NAME), "--gpus", "sm_90"]) == 2
    assert "did you mean `--gpu`" in capsys.readouterr().err


def test_a_wheel_is_no_environment(folder: Path, capsys: Printed) -> None:
    assert run(["slim", str(folder / NAME), "--undo"]) == 41
    said = capsys.readouterr().err
    assert "no environment" in said
    assert "--env" not in said


def test_what_has_no_device_code_and_what_is_cut_off(folder: Path, capsys: Printed) -> None:
    path = folder / "cut.so"
    path.write_bytes((DATA / "units.so").read_bytes()[:5000])
    assert run(["slim", str(path), "--gpu", "sm_90", "--dry-run"]) == 0
    assert "it is cut off" in " ".join(capsys.readouterr().out.split())
    assert run(["slim", "/bin/ls", "--gpu", "sm_90", "--dry-run"]) == 0
    assert "there is no device code in it" in capsys.readouterr().out
