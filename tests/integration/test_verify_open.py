"""Libraries that do not open, made here and by others: each is named for what it is.

Judges: the system's loader itself, whose words are in every failure, `ldd` and `readelf`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libraries import (
    WAYS_TO_DIE,
    environment,
    python_version,
    register,
    shared,
    site,
)
from opened import GOOD, HOST, failed, made, opened
from sartor.verify.loads.libraries import check_libraries
from sartor.verify.model import Failed, NotApplicable, NotChecked, Passed
from sartor.verify.proving import Proving
from sartor.verify.subject.contents import contents_of
from sartor.verify.subject.model import Subject

if TYPE_CHECKING:
    from sartor.verify.model import Outcome

ABI = f"cpython-{sys.version_info[0]}{sys.version_info[1]}-x86_64-linux-gnu"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return environment(tmp_path / "env")


def test_libraries_open(folder: Path) -> None:
    made(folder, "pkg/a.so")
    made(folder, f"pkg/module.{ABI}.so", "int PyInit_module(void) { return 0; }")
    made(folder, "pkg/libthird.so.1.2")
    register(site(folder), "pkg")
    found = opened(folder)
    assert {name: type(outcome) for name, outcome in found.items()} == {
        "pkg/a.so": Passed,
        f"pkg/module.{ABI}.so": Passed,
        "pkg/libthird.so.1.2": Passed,
    }
    assert {outcome.package for outcome in found.values()} == {"pkg"}


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("segfault", "ended by SIGSEGV"),
        ("abort", "ended by SIGABRT"),
        ("illegal", "ended by SIGILL"),
        ("exits", "ended with status 3"),
        ("hangs", "did not end within 2 s"),
    ],
)
def test_one_that_ends_its_process_ends_no_other(folder: Path, way: str, words: str) -> None:
    made(folder, "pkg/a.so", WAYS_TO_DIE[way])
    made(folder, "pkg/b.so")
    register(site(folder), "pkg")
    found = opened(folder, seconds=2)
    outcome = found["pkg/a.so"]
    assert isinstance(outcome, Failed)
    assert words in outcome.detail
    assert outcome.hint is not None
    assert isinstance(found["pkg/b.so"], Passed)


def test_a_megabyte_of_words_is_cut_and_costs_nothing(folder: Path) -> None:
    made(folder, "pkg/a.so", WAYS_TO_DIE["prints"])
    made(folder, "pkg/b.so", WAYS_TO_DIE["prints"] + WAYS_TO_DIE["segfault"].replace(" f(", " g("))
    found = opened(folder)
    assert isinstance(found["pkg/a.so"], Passed)
    b = found["pkg/b.so"]
    assert isinstance(b, Failed)
    assert "ended by SIGSEGV" in b.detail
    assert len(b.detail) < 8192


def test_a_missing_library_of_the_system_is_named_with_its_package(folder: Path) -> None:
    needed = folder / "elsewhere" / "libnuma.so"
    shared(needed, "int numa(void) { return 1; }", "-Wl,-soname,libnuma.so.77")
    options = (f"-L{needed.parent}", "-lnuma", "-Wl,--no-as-needed")
    made(folder, "pkg/a.so", "int numa(void); int one(void) { return numa(); }", *options)
    register(site(folder), "pkg")
    outcome = failed(folder, "pkg/a.so")
    assert "libnuma.so.77: cannot open shared object file" in outcome.detail
    assert "neither the environment nor the system has it" in outcome.detail
    command = ["ldd", str(site(folder) / "pkg/a.so")]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "libnuma.so.77 => not found" in said.stdout


def test_the_package_of_a_known_library_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sartor import facts
    from sartor.facts import LibraryFact

    row = facts.libraries()[0]
    fake = LibraryFact(
        soname="libnot-there.so.1",
        packages={"debian": "libnot-there1"},
        source=row.source,
        checked_on=row.checked_on,
    )
    monkeypatch.setattr(facts, "libraries", lambda: (fake,))
    needed = folder / "elsewhere" / "libx.so"
    shared(needed, "int x(void) { return 1; }", "-Wl,-soname,libnot-there.so.1")
    made(folder, "pkg/a.so", "int x(void); int f(void) { return x(); }", str(needed))
    assert "libnot-there1" in (failed(folder, "pkg/a.so").hint or "")


def test_one_in_the_environment_that_is_not_found_is_said_to_be_there(folder: Path) -> None:
    options = ("-Wl,-soname,libother.so.1",)
    other = made(folder, "other/lib/libother.so.1", "int x(void) { return 1; }", *options)
    made(folder, "pkg/a.so", "int x(void); int f(void) { return x(); }", str(other))
    register(site(folder), "pkg")
    register(site(folder), "other")
    outcome = failed(folder, "pkg/a.so")
    assert "it is in the environment (other/lib/libother.so.1)" in outcome.detail


def test_one_that_another_package_opens_is_opened_after_its_import(folder: Path) -> None:
    options = ("-Wl,-soname,libother.so.1",)
    other = made(folder, "other/lib/libother.so.1", "int x(void) { return 1; }", *options)
    code = "import ctypes, pathlib\nctypes.CDLL(str(pathlib.Path(__file__).parent / 'lib' / "
    (site(folder) / "other" / "__init__.py").write_text(code + "'libother.so.1'))\n")
    made(folder, "pkg/a.so", "int x(void); int f(void) { return x(); }", str(other))
    register(site(folder), "other")
    register(site(folder), "pkg", requires=("other",))
    assert isinstance(opened(folder)["pkg/a.so"], Passed)
    (site(folder) / "other" / "__init__.py").write_text("raise ImportError('no such luck')\n")
    outcome = opened(folder)["pkg/a.so"]
    assert isinstance(outcome, NotChecked)
    assert "`import other`, which opens what it needs, fails: no such luck" in outcome.why
    (site(folder) / "other" / "__init__.py").write_text("import os; os.abort()\n")
    outcomes = opened(folder)
    assert isinstance(outcomes["pkg/a.so"], NotChecked)
    ended = outcomes["libraries after import other"]
    assert isinstance(ended, Failed)
    assert "ended by SIGABRT" in ended.detail


def test_one_of_its_own_package_is_opened_first(folder: Path) -> None:
    options = ("-Wl,-soname,libown.so",)
    own = made(folder, "pkg/deep/libown.so", "int x(void) { return 1; }", *options)
    made(folder, "pkg/a.so", "int x(void); int f(void) { return x(); }", str(own))
    register(site(folder), "pkg")
    assert isinstance(opened(folder)["pkg/a.so"], Passed)


def test_one_behind_a_runpath_is_found(folder: Path) -> None:
    other = made(folder, "other/libother.so.1", GOOD, "-Wl,-soname,libother.so.1")
    options = (str(other), "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN/../other")
    made(folder, "pkg/a.so", "int one(void); int f(void) { return one(); }", *options)
    assert isinstance(opened(folder)["pkg/a.so"], Passed)


def test_an_undefined_symbol_is_named(folder: Path) -> None:
    made(folder, "pkg/a.so", "int nobody_has_it(void); int f(void) { return nobody_has_it(); }")
    register(site(folder), "pkg")
    outcome = failed(folder, "pkg/a.so")
    assert "undefined symbol: nobody_has_it" in outcome.detail
    assert "nothing that it needs defines `nobody_has_it`" in outcome.detail


def test_one_that_is_bound_where_another_opens_it(folder: Path) -> None:
    lacking = "int x(void); int f(void) { return x(); }"
    plugin = made(folder, "pkg/libplugin.so", lacking, "-Wl,-soname,libplugin.so")
    host = "int f(void); int x(void) { return 1; } int g(void) { return f(); }"
    made(folder, "pkg/libhost.so", host, str(plugin), "-Wl,-rpath,$ORIGIN")
    register(site(folder), "pkg")
    outcome = opened(folder)["pkg/libplugin.so"]
    assert isinstance(outcome, Passed)
    assert outcome.detail == "with pkg/libhost.so, which needs it, not by itself"


def test_a_newer_glibc_is_named(folder: Path) -> None:
    path = made(folder, "pkg/a.so", '#include <stdio.h>\nint f(void) { return puts("x"); }')
    data = path.read_bytes()
    version = next(v for v in (b"GLIBC_2.2.5", b"GLIBC_2.17") if v in data)
    newer = b"GLIBC_2.98".ljust(len(version), b"1")
    old_hash, new_hash = elf_hash(version), elf_hash(newer)
    data = data.replace(version, newer).replace(
        old_hash.to_bytes(4, "little"), new_hash.to_bytes(4, "little")
    )
    path.write_bytes(data)
    register(site(folder), "pkg")
    outcome = failed(folder, "pkg/a.so")
    assert f"version `{newer.decode()}' not found" in outcome.detail
    assert "this system's glibc is 2.36" in outcome.detail


def elf_hash(name: bytes) -> int:
    """The System V ABI's, which a version's name is looked up by."""
    value = 0
    for letter in name:
        value = (value << 4) + letter
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value


@pytest.mark.parametrize("keep", [0, 3, 50, 2000, 9000])
def test_one_that_is_cut_short(folder: Path, keep: int) -> None:
    path = made(folder, "pkg/a.so")
    register(site(folder), "pkg")
    path.write_bytes(path.read_bytes()[:keep])
    outcome = opened(folder).get("pkg/a.so")
    if keep < 4:  # nothing says any more that it was a library
        assert outcome is None or isinstance(outcome, Failed)
        return
    assert isinstance(outcome, Failed)
    assert outcome.hint == "uv pip install --reinstall pkg==1.0"


def test_one_for_another_machine(folder: Path) -> None:
    path = made(folder, "pkg/a.so")
    data = bytearray(path.read_bytes())
    data[18:20] = (183).to_bytes(2, "little")  # EM_AARCH64
    path.write_bytes(data)
    register(site(folder), "pkg")
    outcome = failed(folder, "pkg/a.so")
    assert "it is built for another machine (aarch64)" in outcome.detail
    said = subprocess.run(["readelf", "-h", path], capture_output=True, text=True, check=True)
    assert "AArch64" in said.stdout


def test_a_module_of_another_python_is_not_applicable(folder: Path) -> None:
    made(folder, "pkg/_C.cpython-38-x86_64-linux-gnu.so")
    made(folder, "pkg/_D.abi3.so")
    found = opened(folder)
    outcome = found["pkg/_C.cpython-38-x86_64-linux-gnu.so"]
    assert isinstance(outcome, NotApplicable)
    assert "cp38" in outcome.why
    assert isinstance(found["pkg/_D.abi3.so"], Passed)


def test_one_that_needs_the_driver_is_not_checked_without_it(folder: Path) -> None:
    driver = folder / "elsewhere" / "libcuda.so"
    shared(driver, "int cuInit(void) { return 1; }", "-Wl,-soname,libcuda.so.1")
    options = (str(driver), "-Wl,-soname,libuser.so")
    user = made(
        folder, "pkg/libuser.so", "int cuInit(void); int f(void) { return cuInit(); }", *options
    )
    made(
        folder,
        "pkg/b.so",
        "int f(void); int g(void) { return f(); }",
        str(user),
        "-Wl,-rpath,$ORIGIN",
    )
    register(site(folder), "pkg")
    found = opened(folder)
    for name in ("pkg/libuser.so", "pkg/b.so"):
        outcome = found[name]
        assert isinstance(outcome, NotChecked)
        assert "libcuda.so.1" in outcome.why
    assert "`pkg/libuser.so` does" in found["pkg/b.so"].why  # type: ignore[union-attr]


def test_an_optional_part_is_not_applicable_where_its_needs_are_not_met(folder: Path) -> None:
    needed = folder / "elsewhere" / "libavutil.so"
    shared(needed, "int av(void) { return 1; }", "-Wl,-soname,libavutil.so.99")
    for number in (4, 5):
        name = f"torchcodec/libtorchcodec_core{number}.so"
        made(folder, name, "int av(void); int f(void) { return av(); }", str(needed))
    register(site(folder), "torchcodec", "0.17.0")
    for outcome in opened(folder).values():
        assert isinstance(outcome, NotApplicable)
        assert "libavutil.so.99" in outcome.why


def test_a_plug_in_wants_symbols_of_who_loads_it(folder: Path) -> None:
    """NVSHMEM's for PMIx is linked to nothing that has them."""
    name = "nvidia/nvshmem/lib/nvshmem_bootstrap_pmix.so.3"
    made(folder, name, "int pmix_value_load(void); int f(void) { return pmix_value_load(); }")
    register(site(folder), "nvidia-nvshmem-cu13", "3.4.5")
    (outcome,) = opened(folder).values()
    assert isinstance(outcome, NotApplicable)
    assert "pmix_value_load" in outcome.why


def test_of_alternatives_one_that_opens_is_enough(folder: Path) -> None:
    needed = folder / "elsewhere" / "libx.so"
    shared(needed, "int x(void) { return 1; }", "-Wl,-soname,libx.so.9")
    name = "bitsandbytes/libbitsandbytes_cuda{}.so"
    made(folder, name.format(120), "int x(void); int f(void) { return x(); }", str(needed))
    made(folder, name.format(130))
    register(site(folder), "bitsandbytes", "0.50.2")
    found = opened(folder)
    assert isinstance(found[name.format(130)], Passed)
    other = found[name.format(120)]
    assert isinstance(other, NotApplicable)
    assert "libx.so.9" in other.why
    (site(folder) / name.format(130)).unlink()
    assert isinstance(opened(folder)[name.format(120)], Failed)


def test_links_and_texts_are_no_libraries(folder: Path) -> None:
    path = made(folder, "pkg/libreal.so.1")
    (path.parent / "libreal.so").symlink_to(path.name)
    (path.parent / "script.so").write_text("INPUT(libreal.so.1)\n")
    assert list(opened(folder)) == ["pkg/libreal.so.1"]


def test_what_is_in_the_real_environment_opens(tmp_path: Path) -> None:
    """The environment of these tests has extension modules of a dozen packages."""
    own = Path(sys.prefix)
    folder = environment(tmp_path / "env")
    real = next(own.glob("lib/python3*/site-packages"))
    for name in ("msgspec", "numpy", "numpy.libs", "zstandard", "lz4", "isal"):
        if (real / name).exists():
            shutil.copytree(real / name, site(folder) / name)
    found = opened(folder)
    assert len(found) > 5
    assert {type(outcome) for outcome in found.values()} == {Passed}


def test_what_a_folder_before_it_has_is_left_out(folder: Path, tmp_path: Path) -> None:
    system = environment(tmp_path / "system")
    made(folder, "pkg/a.so")
    (site(folder) / "pkg" / "__init__.py").touch()
    for name in ("pkg/a.so", "pkg/b.so", "other/c.so"):
        made(system, name)
    found: list[Outcome] = []
    subject = Subject(
        path=folder,
        python=folder / "bin" / "python",
        python_version=python_version(),
        site=[site(folder), site(system)],
        packages={},
        accelerator="cpu",
    )
    check_libraries(subject, contents_of(subject, HOST), Proving(asked="loads"), found.append)
    assert [outcome.check for outcome in found] == ["open pkg/a.so", "open other/c.so"]
