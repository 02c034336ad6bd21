"""Rules that hold packages against each other: CUDA majors, PyTorch's version and symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sartor.artifact.model import Evidence, Library, NotRead, Package, TargetKind, TorchAbi
from sartor.artifact.source import Invalid
from sartor.verdict import environment_findings
from sartor.verdict.case import Case, symbols_wanted
from sartor.verdict.findings import findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sartor.verdict.case import SymbolProvider
    from sartor.verdict.model import Finding


class Defines:
    """A library that defines these symbols."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def defines(self, name: str) -> bool:
        return name in self._names


class Torn:
    """A library whose symbols cannot be read."""

    def defines(self, name: str) -> bool:
        raise Invalid("libtorch.so", 64, f"no place for {name}")


def package(name: str, version: str, *requires: str, libraries: tuple[str, ...] = ()) -> Package:
    return Package(
        name=name,
        version=version,
        path=f"{name}-{version}.dist-info",
        requires=list(requires),
        libraries=list(libraries),
    )


def library(
    path: str, *needed: str, symbols: tuple[str, ...] = (), abi: TorchAbi | None = None
) -> Library:
    return Library(
        path=path,
        size=1,
        machine="x86_64",
        python="cp312",
        needed=list(needed),
        torch_symbols=list(symbols),
        torch_abi=abi,
    )


def case(
    packages: list[Package],
    libraries: list[Library],
    symbols: Mapping[str, SymbolProvider] | None = None,
    kind: TargetKind = "environment",
) -> Case:
    evidence = Evidence(target="here", kind=kind, packages=packages, libraries=libraries)
    return Case(evidence, symbols=symbols or {})


def said(of: Case, code: str) -> list[Finding]:
    """The findings of one rule."""
    return [finding for finding in findings(of)[0] if finding.code == code]


TORCH = package("torch", "2.11.0+cu130", libraries=("torch/lib/libtorch.so",))
LIBTORCH = library("torch/lib/libtorch.so", "libcudart.so.13")
VISION = "torchvision/_C.so"


def test_two_cuda_majors_are_named_with_the_packages_they_belong_to() -> None:
    packages = [package("a", "1", libraries=("a.so",)), package("b", "2", libraries=("b.so",))]
    libraries = [library("a.so", "libcudart.so.12"), library("b.so", "libcublas.so.13")]
    (found,) = said(case(packages, libraries), "mixed-cuda-majors")
    assert found.severity == "warning"
    assert "CUDA 12 (`a` 1: `a.so` needs `libcudart.so.12`)" in found.text
    assert "CUDA 13 (`b` 2: `b.so` needs `libcublas.so.13`)" in found.text


def test_it_is_an_error_where_both_meet_through_pytorch() -> None:
    vision = library(VISION, "libc10.so", "libcudart.so.12")
    torch = library("torch/lib/libtorch_cuda.so", "libc10_cuda.so", "libcudart.so.13")
    (found,) = said(case([TORCH], [torch, vision]), "mixed-cuda-majors")
    assert found.severity == "error"


@pytest.mark.parametrize(
    "libraries",
    [
        [library("a.so", "libcudart.so.12"), library("b.so", "libcublas.so.12")],
        # The number of these is not CUDA's.
        [library("a.so", "libcudart.so.13"), library("b.so", "libcusparse.so.12")],
        [library("a.so", "libcudart.so.13"), library("b.so", "libcudart.so")],
        [library("a.so", "libcudart.so.13")],
    ],
)
def test_one_cuda_major_is_none_of_it(libraries: list[Library]) -> None:
    assert said(case([], libraries), "mixed-cuda-majors") == []


@pytest.mark.parametrize(("name", "mixed"), [("bitsandbytes", False), ("other", True)])
def test_alternatives_of_which_one_is_loaded_do_not_count(name: str, mixed: bool) -> None:
    paths = [f"bitsandbytes/libbitsandbytes_cuda{n}.so" for n in (126, 130)]
    libraries = [library(paths[0], "libcudart.so.12"), library(paths[1], "libcudart.so.13")]
    of = package(name, "0.50.2", libraries=tuple(paths))
    assert bool(said(case([of], libraries), "mixed-cuda-majors")) is mixed


@pytest.mark.parametrize(
    ("requires", "wrong"),
    [
        ("torch==2.5.1", True),
        ("torch (==2.5.1)", True),
        ("Torch<2.9", True),
        ("torch==2.11.0", False),
        ("torch>=2.4,<3", False),
        ('torch==2.5.1; python_version < "3.10"', False),
        ('torch==2.5.1; extra == "all"', False),
        ("torch", False),
    ],
)
def test_a_package_that_requires_another_pytorch_is_named(requires: str, wrong: bool) -> None:
    vision = package("torchvision", "0.20.1", requires, libraries=(VISION,))
    found = said(case([TORCH, vision], [LIBTORCH, library(VISION, "libc10.so")]), "torch-pin")
    assert [finding.severity for finding in found] == (["error"] if wrong else [])


def abi_case(
    symbols: Mapping[str, SymbolProvider],
    requires: str = "torch==2.5.1",
    abi: tuple[TorchAbi | None, TorchAbi | None] = (None, None),
) -> Case:
    wanted = library(VISION, "libtorch.so", symbols=("_ZN2at1aEv", "_ZN3c101bEv"), abi=abi[0])
    torch = library(LIBTORCH.path, abi=abi[1])
    vision = package("torchvision", "0.20.1", requires, libraries=(VISION,))
    return case([TORCH, vision], [torch, wanted], symbols)


def test_symbols_that_the_installed_pytorch_lacks_are_counted_and_the_cause_is_said() -> None:
    (found,) = said(abi_case({LIBTORCH.path: Defines("_ZN2at1aEv")}), "torch-abi")
    lacking = "1 symbol of PyTorch that torch 2.11.0+cu130 does not define (`_ZN3c101bEv`)"
    assert found.severity == "error"
    assert lacking in found.text
    assert "it requires `torch==2.5.1`" in found.text


def test_an_extension_whose_symbols_are_all_there_is_well() -> None:
    whole = {LIBTORCH.path: Defines("_ZN2at1aEv"), "other.so": Defines("_ZN3c101bEv")}
    assert said(abi_case(whole), "torch-abi") == []


def test_what_is_wanted_weakly_may_be_missing() -> None:
    """`libtorch_cpu.so` itself wants it, and nothing defines it."""
    weak = library(VISION, "libtorch.so", symbols=("_ZTHN3c104impl26raw_local_dispatch_key_setE",))
    of = case([TORCH], [LIBTORCH, weak], {LIBTORCH.path: Defines()})
    assert said(of, "torch-abi") == []


def test_without_a_pin_the_old_string_is_the_cause() -> None:
    of = abi_case({LIBTORCH.path: Defines()}, "torch", ("pre-cxx11", "cxx11"))
    (found,) = said(of, "torch-abi")
    assert "`std::string` of the pre-cxx11 ABI" in found.text


@pytest.mark.parametrize("symbols", [{}, {LIBTORCH.path: Torn()}])
def test_symbols_that_cannot_be_looked_up_are_not_checked(
    symbols: Mapping[str, SymbolProvider],
) -> None:
    of = abi_case(symbols)
    assert said(of, "torch-abi") == []
    notes = [note for note in findings(of)[1] if note.path == VISION]
    assert len(notes) == 1
    assert "symbols" in notes[0].why


def test_symbols_are_wanted_of_pytorch_and_of_what_its_extensions_need() -> None:
    user = library("e/_C.so", "libhelp.so", "libtorch.so", symbols=("_ZN2at1aEv",))
    others = [library("e/libhelp.so"), library("e/libaside.so"), user]
    assert symbols_wanted([*others, LIBTORCH]) == [LIBTORCH.path, "e/libhelp.so"]
    assert symbols_wanted(others) == []


def test_requirements_that_nothing_meets_are_named_together() -> None:
    requires = ("nvidia-cudnn-cu13==9.19", "triton==3.6.0", "numpy", "sympy>=1")
    (found,) = said(case([package("torch", "2.11.0", *requires)], []), "dependency-missing")
    assert found.severity == "error"
    assert "`nvidia-cudnn-cu13==9.19`, `triton==3.6.0`, and" in found.text
    assert "numpy" not in found.text


def test_a_requirement_met_by_another_version_is_a_warning() -> None:
    packages = [package("torch", "2.11.0", "triton==3.6.0"), package("triton", "3.4.0")]
    (found,) = said(case(packages, []), "dependency-missing")
    assert found.severity == "warning"
    assert "`triton==3.6.0 (3.4.0 is installed)`" in found.text
    exact = [packages[0], package("triton", "3.6.0")]
    assert said(case(exact, []), "dependency-missing") == []


def test_markers_are_those_of_the_environment_not_of_this_machine() -> None:
    def lacking(marker: str) -> bool:
        of = package("torch", "2.11.0", f"triton==3.6.0; {marker}")
        return bool(said(case([of], [LIBTORCH]), "dependency-missing"))

    assert lacking('platform_system == "Linux" and platform_machine == "x86_64"')
    assert lacking('python_version == "3.12"')
    assert not lacking('sys_platform == "win32"')
    assert not lacking('python_version < "3.12"')
    assert not lacking('platform_machine == "aarch64"')


def test_where_the_python_is_not_known_markers_are_not_checked() -> None:
    of = package("torch", "2.11.0", 'triton==3.6.0; python_version > "3.9"')
    found, notes = findings(case([of], []))
    assert found == [f for f in found if f.code != "dependency-missing"]
    why = "requirements with markers (1): its Python or its machine is not known"
    assert NotRead("here", why) in notes


def test_the_python_is_that_of_the_folder_of_the_wheels_or_of_the_modules() -> None:
    def pythons(path: str, tags: list[str], *modules: str | None) -> set[str]:
        of = Package(name="a", version="1", path=path, tags=tags)
        libraries = [Library(path=f"{m}.so", size=1, python=m) for m in modules]
        return case([of], libraries).pythons

    many = ("cp310", "cp312", "abi3", None)
    assert pythons("lib/python3.11/site-packages/a-1.dist-info", [], *many) == {"3.11"}
    assert pythons("a-1.dist-info", ["cp313-cp313-linux_x86_64"], *many) == {"3.13"}
    assert pythons("a-1.dist-info", ["cp38-abi3-linux_x86_64", "py3-none-any"], "cp312") == {"3.12"}
    assert pythons("a-1.dist-info", [], *many) == {"3.10", "3.12"}


def test_a_wheel_is_not_an_environment() -> None:
    of = package("torch", "2.11.0", "triton==3.6.0")
    assert said(case([of], [], kind="wheel"), "dependency-missing") == []


def test_a_distribution_that_lies_there_twice_is_named() -> None:
    packages = [package("vllm", "0.25.1"), package("vllm", "0.32.0"), package("torch", "2.11.0")]
    (found,) = said(case(packages, []), "installed-twice")
    assert "`vllm` is installed 2 times here (`0.25.1` and `0.32.0`)" in found.text


@pytest.mark.parametrize(
    "line", ["torch==", "torch; " + "(" * 2000, "torch; " + "(" * 100_000, "", "x" * 5000]
)
def test_a_requirement_that_is_none_is_not_checked(line: str) -> None:
    of = package("vllm", "1", line, "triton==3.6.0")
    found, notes = findings(case([of], []))
    assert "dependency-missing" in {finding.code for finding in found}
    assert [note.path for note in notes] == [of.path]


def test_past_a_bound_symbols_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_findings, "MOST_ASKED", 1)
    of = abi_case({LIBTORCH.path: Defines()})
    assert said(of, "torch-abi") == []
    assert [note.path for note in findings(of)[1]] == [VISION]
