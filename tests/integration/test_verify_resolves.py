"""`sartor verify` on environments of real wheels, whole and broken, as far as *resolves*."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uv

from sartor.index.network import uv_environment, uv_options
from venvs import SMALL, info, install, make, run_uv, site, verified, wrong_by_hand

if TYPE_CHECKING:
    from sartor_cli import Document, Sartor


def failures(report: Document) -> dict[str, Document]:
    return {o["check"]: o for o in report["outcomes"] if o["outcome"] == "failed"}


def the_failure(report: Document) -> Document:
    (found,) = failures(report).values()
    return found


def test_a_whole_environment_resolves_and_again(plain: Sartor, shared_env: Path) -> None:
    first = verified(plain, shared_env, 0)
    assert first["grade"] == "resolves"
    assert set(first["packages"]) == set(SMALL)
    assert wrong_by_hand(shared_env) == set()
    for path, digest in first["files"].items():
        assert hashlib.sha256((shared_env / path).read_bytes()).hexdigest() == digest
    assert any("markupsafe" in path for path in first["files"])
    second = verified(plain, shared_env, 0)
    for report in (first, second):
        for member in ("made_at", "costs", "seconds"):
            del report[member]
        for outcome in report["outcomes"]:
            outcome.pop("seconds", None)
    assert first == second


def test_files_that_are_altered_missing_and_truncated_are_named(
    plain: Sartor, own_env: Path
) -> None:
    module = site(own_env) / "six.py"
    module.write_bytes(module.read_bytes().replace(b"Utilities", b"utilities", 1))
    (site(own_env) / "packaging" / "tags.py").unlink()
    (library,) = (site(own_env) / "markupsafe").glob("_speedups.*.so")
    os.truncate(library, 1000)
    found = failures(verified(plain, own_env, 1))
    assert set(found) == {f"files of {name} are as recorded" for name in SMALL}
    texts = {name: found[f"files of {name} are as recorded"] for name in SMALL}
    assert "`six.py`: altered" in texts["six"]["detail"]
    assert hashlib.sha256(module.read_bytes()).hexdigest() in texts["six"]["detail"]
    assert "`packaging/tags.py`: it is missing" in texts["packaging"]["detail"]
    assert f"`markupsafe/{library.name}`: truncated to 1000 of" in texts["markupsafe"]["detail"]
    for wrong in wrong_by_hand(own_env):
        assert any(f"`{wrong}`" in text["detail"] for text in texts.values())


def test_the_hint_of_an_altered_file_puts_it_right(plain: Sartor, own_env: Path) -> None:
    (site(own_env) / "six.py").write_text("broken = True\n")
    hint = the_failure(verified(plain, own_env, 1))["hint"]
    command = hint.strip("`").split()
    assert command[0] == "uv"
    run_uv(*command[1:])
    assert verified(plain, own_env, 0)["grade"] == "resolves"


def test_a_wrong_hash_in_a_record_is_a_failure(plain: Sartor, own_env: Path) -> None:
    record = info(own_env, "six") / "RECORD"
    lines = record.read_text().splitlines()
    wrong = base64.urlsafe_b64encode(b"\0" * 32).rstrip(b"=").decode()
    record.write_text(
        "\n".join(f"six.py,sha256={wrong},34703" if x.startswith("six.py") else x for x in lines)
    )
    failure = the_failure(verified(plain, own_env, 1))
    assert failure["check"] == "files of six are as recorded"
    assert "0" * 64 in failure["detail"]


@pytest.mark.parametrize("content", [b"", b"six.py,sha256=!!,x\n", b"\xff\xfe\0", b"a,b,c,d,e\n"])
def test_a_record_that_is_none_is_a_failure(plain: Sartor, own_env: Path, content: bytes) -> None:
    (info(own_env, "six") / "RECORD").write_bytes(content)
    assert "RECORD" in the_failure(verified(plain, own_env, 1))["detail"]


def test_without_a_record_files_are_not_checked(plain: Sartor, own_env: Path) -> None:
    (info(own_env, "six") / "RECORD").unlink()
    report = verified(plain, own_env, 3)
    assert report["grade"] is None
    (left,) = [o for o in report["outcomes"] if o["outcome"] == "not checked"]
    assert (left["check"], left["package"]) == ("files of six are as recorded", "six")


def test_files_of_no_record_are_said_and_fail_nothing(plain: Sartor, own_env: Path) -> None:
    (site(own_env) / "packaging" / "more.py").write_text("")
    (site(own_env) / "stray.pth").write_text("")
    report = verified(plain, own_env, 0)
    texts = {o["check"]: o for o in report["outcomes"]}
    assert "packaging/more.py" in texts["files of packaging are as recorded"]["detail"]
    assert "stray.pth" in texts["files that are of no package"]["why"]


def test_unmet_requirements_are_those_that_pip_finds(plain: Sartor, own_env: Path) -> None:
    install(own_env, "--no-deps", "jinja2")
    run_uv("pip", "uninstall", "--python", str(own_env / "bin/python"), "markupsafe")
    failure = the_failure(verified(plain, own_env, 1))
    assert failure["check"] == "requirements of jinja2 are met"
    assert "markupsafe" in failure["detail"].lower()
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(own_env / "bin" / "python"), "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named pip" not in pip.stderr:
        assert pip.returncode == 1
        assert "jinja2" in pip.stdout.lower()
    judged = subprocess.run(
        [uv.find_uv_bin(), "pip", "check", "--python", str(own_env / "bin" / "python")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 1
    assert "jinja2" in judged.stderr


def test_a_project_that_is_there_twice(plain: Sartor, own_env: Path) -> None:
    old = info(own_env, "six")
    other = old.with_name("six-1.0.dist-info")
    shutil.copytree(old, other)
    metadata = other / "METADATA"
    version = old.name.removesuffix(".dist-info").partition("-")[2]
    metadata.write_text(metadata.read_text().replace(f"Version: {version}", "Version: 1.0", 1))
    assert "six is installed once" in failures(verified(plain, own_env, 1))


def test_a_wheel_for_another_machine(plain: Sartor, own_env: Path) -> None:
    name = "markupsafe==3.0.2"
    run_uv(
        *("pip", "install", "--python", str(own_env / "bin" / "python"), "--python-platform"),
        *("aarch64-manylinux_2_28", "--only-binary", ":all:", "--reinstall", name),
    )
    found = failures(verified(plain, own_env, 1))
    assert set(found) == {"wheel of markupsafe is for this machine"}
    assert "aarch64" in found["wheel of markupsafe is for this machine"]["detail"]


def test_the_systems_packages_are_seen_where_the_environment_sees_them(
    plain: Sartor, tmp_path: Path
) -> None:
    make(tmp_path / "outer")
    install(tmp_path / "outer", "six")
    make(tmp_path / "inner", "--system-site-packages")
    report = plain.run("verify", "--env", str(tmp_path / "inner"), "--json", "--grade", "resolves")
    base = Path(sys.executable).resolve().parents[1]
    shown = set(report.document["packages"])
    assert ("pip" in shown) == bool(list(base.glob("lib/python3*/*-packages/pip-*.dist-info")))


def test_certificates_that_a_machine_adds_are_said_and_others_are_found_out(
    plain: Sartor, own_env: Path
) -> None:
    install(own_env, "certifi")
    (bundle,) = own_env.glob("lib/python3*/site-packages/certifi/cacert.pem")
    whole = bundle.read_bytes()
    bundle.unlink()  # uv's cache may have the same file
    bundle.write_bytes(whole + b"\n-----BEGIN CERTIFICATE-----\n")
    (own,) = [
        o for o in verified(plain, own_env, 0)["outcomes"] if o["check"].startswith("files of c")
    ]
    assert "bytes of this machine's own behind its end" in own["detail"]
    bundle.write_bytes(b"#" + whole[1:] + b"\n-----BEGIN CERTIFICATE-----\n")
    assert set(failures(verified(plain, own_env, 1))) == {"files of certifi are as recorded"}


def test_packages_behind_a_pth_file_are_seen(plain: Sartor, tmp_path: Path) -> None:
    """As a stack stands on a base image's environment."""
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    make(outer)
    install(outer, "six==1.17.0")
    make(inner)
    install(inner, "--no-deps", "python-dateutil==2.9.0.post0")
    unmet = failures(verified(plain, inner, 1))
    assert set(unmet) == {"requirements of python-dateutil are met"}
    (behind,), (own,) = (e.glob("lib/python3*/site-packages") for e in (outer, inner))
    (own / "base.pth").write_text(f"import site; site.addsitedir({str(behind)!r})\n")
    assert {"six", "python-dateutil"} <= set(verified(plain, inner, 0)["packages"])


def test_one_project_alone_with_what_it_requires(plain: Sartor, own_env: Path) -> None:
    """What is broken beside it is no fault of it; what it requires is part of it."""
    install(own_env, "python-dateutil==2.9.0.post0", "markupsafe")
    (package,) = own_env.glob("lib/python3*/site-packages")
    (package / "markupsafe" / "__init__.py").write_text("raise SystemExit\n")
    assert "files of markupsafe are as recorded" in failures(verified(plain, own_env, 1))
    asked = ("verify", "--env", str(own_env), "--grade", "resolves", "--json", "--only")
    report = plain.run(*asked, "python_dateutil").document
    assert (report["grade"], set(report["packages"])) == ("resolves", {"python-dateutil", "six"})
    (package / "six.py").write_text("raise SystemExit\n")
    report = plain.run(*asked, "python-dateutil").document
    assert set(failures(report)) == {"files of six are as recorded"}
    plain.run(*asked, "dateutil").failed("no-environment", 41)


def test_editable_installs_are_known(plain: Sartor, own_env: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "own.py").write_text("")
    (project / "pyproject.toml").write_text('[project]\nname = "own"\nversion = "1"\n')
    install(own_env, "-e", str(project))
    report = verified(plain, own_env, 0)
    (own,) = [o for o in report["outcomes"] if o["check"] == "files of own are as recorded"]
    assert "editable" in own["detail"]
    assert ".pth" in own["detail"]


def test_two_cuda_majors_in_one_environment(plain: Sartor, tmp_path: Path) -> None:
    """Two extensions of torch, of another CUDA major each."""
    env = tmp_path / "env"
    make(env)
    runtime = "nvidia-cuda-runtime-cu12"
    install(env, "--no-deps", "torchvision==0.26.0", "torchaudio==2.8.0", runtime)
    done = plain.run("verify", "--env", str(env), "--grade", "loads", "--json")
    found = failures(done.document)
    majors = found["libraries are linked to one CUDA major"]["detail"]
    assert "CUDA 12 (`torchaudio` 2.8.0" in majors
    assert "CUDA 13 (`torchvision` 0.26.0" in majors
    assert done.document["grade"] is None


def test_a_torchvision_of_another_torch(plain: Sartor, tmp_path: Path) -> None:
    env = tmp_path / "env"
    make(env)
    install(env, "--no-deps", "torchvision==0.26.0")
    python = str(env / "bin" / "python")
    words = ["pip", "install", "--python", python, "--no-deps", "torch==2.13.0+cpu", "--quiet"]
    had = subprocess.run(
        [uv.find_uv_bin(), *words, *uv_options(words)],
        env={**os.environ, **uv_environment()},
        capture_output=True,
        check=False,
    )
    if had.returncode != 0:
        pytest.skip("PyTorch's build for the CPU is in no index that is configured here")
    found = failures(verified(plain, env, 1))
    pins = found["packages are for the torch that is installed"]["detail"]
    assert "requires `torch==2.11.0` and 2.13.0+cpu is installed" in pins
    assert "2.13.0+cpu is installed" in found["requirements of torchvision are met"]["detail"]
    judged = subprocess.run(
        [uv.find_uv_bin(), "pip", "check", "--python", python],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "The package `torchvision` requires `torch==2.11.0`" in judged.stderr
    loads = plain.run("verify", "--env", str(env), "--grade", "loads", "--json")
    symbols = failures(loads.document)["extensions find the symbols that they want of torch"]
    assert "`torchvision` 0.26.0" in symbols["detail"]


def test_a_lock_and_what_is_installed(sartor: Sartor, shared_env: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lock"
    sartor.run("lock", "llama.cpp", "--output", str(folder)).succeeded()
    report = sartor.json("verify", str(folder), "--grade", "resolves")
    text = (folder / "pylock.toml").read_bytes()
    assert report["lock"] == hashlib.sha256(text).hexdigest()
    made = {o["check"]: o for o in report["outcomes"]}
    assert made["xllamacpp is of the locked file"]["outcome"] == "passed"
    other = sartor.run(
        "verify", str(folder), "--env", str(shared_env), "--grade", "resolves", "--json"
    )
    assert other.status == 1
    assert the_failure(other.document)["check"] == "xllamacpp is installed as locked"


def test_up_proves_anew_what_was_altered_since(sartor: Sartor, tmp_path: Path) -> None:
    first = sartor.json("up", "--detach")
    folder = Path(first["environment"])
    report = folder / "sartor-report.json"
    made = report.read_bytes()
    sartor.json("up", "--detach")
    assert report.read_bytes() == made
    (module,) = site(folder).glob("xllamacpp/__init__.py")
    aside = tmp_path / "aside.py"
    module.rename(aside)  # it may be a hard link into uv's cache, which is not to be altered
    try:
        module.write_bytes(aside.read_bytes() + b"# altered\n")
        done = sartor.run("up", "--detach", "--json").succeeded()
        assert "`files of xllamacpp are as recorded` does not hold" in done.stderr
        failed = [
            o for o in json.loads(report.read_bytes())["outcomes"] if o["outcome"] == "failed"
        ]
        assert [o["check"] for o in failed] == ["files of xllamacpp are as recorded"]
        assert sartor.run("verify", "--grade", "resolves").status == 1
    finally:
        module.unlink()
        aside.rename(module)
    assert sartor.json("verify", "--grade", "resolves")["grade"] == "resolves"
    assert "does not hold" not in sartor.run("up", "--detach").succeeded().stderr
    sartor.run("stop").succeeded()
