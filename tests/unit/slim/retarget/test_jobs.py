"""What is compiled, with which options, by which ptxas: nothing is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.errors import NoPtxasError
from sartor.host.machine import CommandResult, RealMachine, Unread
from sartor.paths import Places
from sartor.reporter import Silent
from sartor.slim.retarget.jobs import Need, NotCompiled, needed, passed_on
from sartor.slim.retarget.toolchain import Toolchain, requirement
from sartor.verdict.load_rule import Architecture, architecture

SAYS = "ptxas: NVIDIA (R) Ptx optimizing assembler\nCuda compilation tools, release {}, V{}\n"


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        (None, []),
        ("-O1 --fmad false -maxrregcount=32", "--opt-level 1 --fmad false --maxrregcount 32"),
        ("-v -O2 -allow-expensive-optimizations=true", None),
        ("-v", []),
        ("--opt-level=3 -O 0", "--opt-level 3 --opt-level 0"),
        ("-g --dont-merge-basicblocks --return-at-end", None),
        ("--generate-line-info -lineinfo", "--generate-line-info --generate-line-info"),
    ],
)
def test_options_as_ptxas_gets_them(text: str | None, passed: str | list[str] | None) -> None:
    expected = {
        "-v -O2 -allow-expensive-optimizations=true": "--opt-level 2 "
        "--allow-expensive-optimizations true",
        "-g --dont-merge-basicblocks --return-at-end": "--device-debug "
        "--dont-merge-basicblocks --return-at-end",
    }
    words = expected.get(text or "", passed)
    assert passed_on(text) == tuple(words.split() if isinstance(words, str) else words or [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("--compile-only -maxrregcount=32", "relocatable-ptx"),
        ("-c", "relocatable-ptx"),
        ("-ewp", "relocatable-ptx"),
        ("-o /etc/passwd", "option"),
        ("--output-file=/etc/passwd", "option"),
        ("--options-file x", "option"),
        ("-optf=x", "option"),
        ("in.ptx", "option"),
        ("-maxrregcount", "option"),
        ("-maxrregcount ../x", "option"),
        ("-v=1", "option"),
        ("-O", "option"),
        ("-Ofast", "option"),
    ],
)
def test_what_is_not_passed_on(text: str, code: str) -> None:
    refused = passed_on(text)
    assert isinstance(refused, NotCompiled)
    assert refused.code == code


@given(st.text(max_size=60))
def test_no_option_names_a_file(text: str) -> None:
    found = passed_on(text)
    if not isinstance(found, NotCompiled):
        assert not any("/" in word or "\\" in word or "ptx" in word for word in found)
        assert not {"-o", "--output-file", "--options-file"} & set(found)


def code(arch: str) -> Architecture:
    found = architecture(arch)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("isa", "arch", "driver_cuda", "need"),
    [
        ("9.0", "sm_90", None, Need("13.0", 13)),
        ("8.7", "sm_90", None, Need("12.8", 12)),
        ("8.7", "sm_90", "13.0", Need("12.8", 13)),
        ("8.7", "sm_90", "12.4", Need("12.8", 12)),
        ("7.8", "sm_80", None, Need("11.8", 11)),
        ("7.8", "sm_120", None, Need("12.8", 12)),
        ("8.0", "sm_110", None, Need("13.0", 13)),
        ("8.0", "sm_70", None, Need("12.0", 12, "12.9")),
        ("8.0", "sm_70", "13.0", Need("12.0", 13, "12.9")),
        ("9.0", "sm_70", None, "no-ptxas"),
        ("99.0", "sm_90", None, "unknown"),
        (None, "sm_90", None, "unknown"),
    ],
)
def test_which_ptxas_will_do(
    isa: str | None, arch: str, driver_cuda: str | None, need: Need | str
) -> None:
    found = needed(isa, code(arch), driver_cuda)
    assert (found.code if isinstance(found, NotCompiled) else found) == need


@pytest.mark.parametrize(
    ("need", "takes", "refuses", "asked"),
    [
        (Need("12.8", 12), "12.8 12.9", "12.6 11.8 13.0", "nvcc>=12.8,<13"),
        (Need("12.8", 13), "12.8 13.0 13.5", "12.6 14.0", "nvcc>=12.8,<14"),
        (Need("12.0", 12, "12.9"), "12.0 12.9", "13.0 11.8", "nvcc>=12.0,<12.10"),
        (Need("12.0", 13, "12.9"), "12.9", "13.0", "nvcc>=12.0,<12.10"),
    ],
)
def test_releases_that_will_do(need: Need, takes: str, refuses: str, asked: str) -> None:
    assert all(need.takes(release) for release in takes.split())
    assert not any(need.takes(release) for release in refuses.split())
    assert requirement("nvcc", need) == asked


class Captured(RealMachine):
    """A machine with these programs and no variables; each path says its version."""

    def __init__(self, programs: dict[str, str]) -> None:
        self.programs = programs

    def which(self, name: str) -> str | None:
        return next((path for path in self.programs if path.endswith(f"/path/{name}")), None)

    def environ(self, name: str) -> str | None:
        homes = (p for p in self.programs if "/home/" in p)
        home = next(homes, None) if name == "CUDA_HOME" else None
        return str(Path(home).parent.parent) if home else None

    def list_folder(self, path: str) -> list[str] | Unread:
        return Unread(f"no {path}")

    def run(self, argv: object, timeout: float = 10.0) -> CommandResult | Unread:
        assert isinstance(argv, list)
        version = self.programs[argv[0]]
        return CommandResult(0, SAYS.format(version.rpartition(".")[0], version), "")


def machine(folder: Path, **versions: str) -> Captured:
    programs = {}
    for place, version in versions.items():
        path = folder / place / ("bin" if place == "home" else "") / "ptxas"
        path.parent.mkdir(parents=True)
        path.touch()
        programs[os.fspath(path)] = version
    return Captured(programs)


@pytest.mark.parametrize(
    ("need", "version"), [(Need("12.8", 13), "13.0.88"), (Need("12.8", 12), "12.9.86")]
)
def test_the_newest_that_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need: Need, version: str
) -> None:
    monkeypatch.setattr("sys.path", [])
    here = machine(tmp_path, path="13.0.88", home="12.9.86")
    places = Places(tmp_path / "sartor")
    found = Toolchain(places, Silent(), machine=here, may_fetch=False).ptxas(need)
    assert (found.version, found.release) == (version, version.rpartition(".")[0])


def test_too_old_a_ptxas_is_named_with_what_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [])
    here = machine(tmp_path, path="12.6.85", home="11.8.89")
    chain = Toolchain(Places(tmp_path / "sartor"), Silent(), machine=here, may_fetch=False)
    with pytest.raises(NoPtxasError) as error:
        chain.ptxas(Need("12.8", 12))
    assert "12.8 to 12.x" in error.value.message
    assert error.value.found[0] == "here: 12.6.85, 11.8.89"
    assert "nvidia-cuda-nvcc-cu12>=12.8,<13" in (error.value.hint or "")


def test_a_ptxas_among_packages_of_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", ["", os.fspath(tmp_path)])
    member = tmp_path / "nvidia" / "cu13" / "bin" / "ptxas"
    member.parent.mkdir(parents=True)
    member.touch()
    here = Captured({os.fspath(member): "13.5.37"})
    places = Places(tmp_path / "sartor")
    found = Toolchain(places, Silent(), machine=here, may_fetch=False).ptxas(Need("13.0", 13))
    assert found.path == member
