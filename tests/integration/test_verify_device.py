"""Device code in real libraries, handed by the real program to a driver of our own making."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from fatbin_maker import Made
from libraries import compiler, environment, python_version, register, site, with_device_code
from sartor.host.model import Driver, Gpu, Host
from sartor.verify.loads.images import check_images
from sartor.verify.model import Failed, NotApplicable, NotChecked, Passed
from sartor.verify.proving import Proving
from sartor.verify.runs.first_use import Beside, check_first_use
from sartor.verify.subject.contents import contents_of
from sartor.verify.subject.model import Subject

if TYPE_CHECKING:
    from sartor.verify.model import Outcome

SOURCE = Path(__file__).with_name("fake_cuda.c")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stand-in for the driver."""
    import subprocess

    built = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    subprocess.run([compiler(), "-shared", "-fPIC", "-w", "-o", built, SOURCE], check=True)
    return built.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An environment whose package ``kernels`` gets its libraries from the test."""
    return environment(tmp_path / "env")


def host(*capabilities: str) -> Host:
    gpus = [
        Gpu(index=i, name="Test", compute_capability=capability)
        for i, capability in enumerate(capabilities)
    ]
    return Host(gpus=gpus, driver=Driver("580.159.04", "13.0"), architecture="x86_64")


class Prover:
    """Both checks of device code of one environment, and what the driver noted."""

    def __init__(self, folder: Path, driver: Path) -> None:
        register(site(folder), "kernels")
        self.log = folder / "log"
        self.variables = {"LD_LIBRARY_PATH": str(driver), "FAKE_CUDA_LOG": str(self.log)}
        self.subject = Subject(
            path=folder,
            python=folder / "bin" / "python",
            python_version=python_version(),
            site=[site(folder)],
            packages={"kernels": "1.0"},
            accelerator="cuda",
        )

    def loads(self, host: Host, **variables: str) -> dict[str, Outcome]:
        return self._run(check_images, host, Proving(asked="loads"), variables)

    def first_use(self, host: Host, seconds: float = 60, **variables: str) -> dict[str, Outcome]:
        proving = Proving(asked="launches", jit_seconds=seconds)
        beside = Beside(self.subject.path / "cache", threading.Event())
        check = partial(check_first_use, beside=beside)
        return self._run(check, host, proving, variables)

    def _run(
        self, check: object, host: Host, proving: Proving, variables: dict[str, str]
    ) -> dict[str, Outcome]:
        assert callable(check)
        subject = msgspec.structs.replace(self.subject, variables=self.variables | variables)
        found: list[Outcome] = []
        check(subject, host, contents_of(subject, host), proving, found.append)
        assert len({outcome.check for outcome in found}) == len(found)
        return {outcome.check: outcome for outcome in found}

    def noted(self) -> Counter[str]:
        """How many images of a kind and architecture the driver took."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return Counter(" ".join(line.split()[:2]) for line in lines)


def cubin(arch: str, payload: bytes = b"good") -> Made:
    return Made("cubin", arch, payload + bytes(60))


def ptx(arch: str, payload: bytes = b"text", size: int = 100) -> Made:
    return Made("ptx", arch, payload + bytes(size), "8.0", options="-O3")


def library(folder: Path, name: str, units: list[list[Made]], section: str = ".nv_fatbin") -> None:
    with_device_code(site(folder) / "kernels" / name, units, section)


def test_what_should_load_does(folder: Path, driver: Path) -> None:
    native = [[cubin("80"), cubin("90")]] * 40
    others = [[cubin("100")], [ptx("80")], [cubin("80")]]
    library(folder, "a.so", native + others)
    library(folder, "b.so", [[cubin("100")]] * 3)
    library(folder, "c.so", [[ptx("80")]] * 2)
    prover = Prover(folder, driver)
    found = prover.loads(host("9.0"))
    a = found["device code of kernels/a.so on sm_90"]
    assert isinstance(a, Passed)
    assert "all of 40 units load" in a.detail
    assert "3 others are not for this GPU" in a.detail
    assert (a.package, a.grade, a.gpu_bytes) == ("kernels", "loads", 2 << 30)
    b = found["device code of kernels/b.so on sm_90"]
    assert isinstance(b, NotApplicable)
    assert "nothing in it is machine code for sm_90 (missing: holds sm_100" in b.why
    assert isinstance(found["device code of kernels/c.so on sm_90"], NotApplicable)
    assert prover.noted() == {"2 90": 40}  # no PTX is compiled at this grade


def test_each_unit_that_fails_is_named_and_ends_no_other(folder: Path, driver: Path) -> None:
    letters = [b"good", b"Refused", b"good", b"Crash", b"Poison", b"good", b"Words", b"good"]
    library(folder, "a.so", [[cubin("90", letter)] for letter in letters])
    library(folder, "b.so", [[cubin("90")]] * 30)
    prover = Prover(folder, driver)
    found = prover.loads(host("9.0"))
    a = found["device code of kernels/a.so on sm_90"]
    assert isinstance(a, Failed)
    lines = a.detail.splitlines()
    assert lines[0] == "4 of 8 units that should load do not"
    assert [line.partition(": ")[2] for line in lines[1:]] == [
        "CUDA_ERROR_INVALID_IMAGE (200) (sm_90)",
        "ended by SIGSEGV (sm_90)",
        "CUDA_ERROR_ILLEGAL_ADDRESS (700) (sm_90)",
        "ended with status 7: the compiler is out of words (sm_90)",
    ]
    assert a.hint == "uv pip install --reinstall kernels==1.0"
    assert isinstance(found["device code of kernels/b.so on sm_90"], Passed)
    assert prover.noted()["2 90"] == 38


def test_a_unit_that_hangs_is_given_up(
    folder: Path, driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sartor.verify.device.handed.UNIT_SECONDS", 1.0)
    library(folder, "a.so", [[cubin("90")], [cubin("90", b"Hang")], [cubin("90")]])
    found = Prover(folder, driver).loads(host("9.0"))
    (a,) = found.values()
    assert isinstance(a, Failed)
    assert "did not end within 1 s" in a.detail


def test_a_unit_that_loads_against_its_verdict_is_said(folder: Path, driver: Path) -> None:
    library(folder, "a.so", [[cubin("90")], [cubin("100")]])
    (a,) = Prover(folder, driver).loads(host("9.0"), FAKE_CUDA_LENIENT="1").values()
    assert isinstance(a, Passed)
    assert "1 units load against what their images foretell" in a.detail
    assert "(missing)" in a.detail


def test_every_kind_of_gpu_is_tried(folder: Path, driver: Path) -> None:
    library(folder, "a.so", [[cubin("90"), cubin("120")]] * 3)
    prover = Prover(folder, driver)
    found = prover.loads(host("9.0", "12.0", "9.0"), FAKE_CUDA_GPUS="90,120,90")
    assert {check: type(outcome) for check, outcome in found.items()} == {
        "device code of kernels/a.so on sm_90": Passed,
        "device code of kernels/a.so on sm_120": Passed,
    }
    assert prover.noted() == {"2 90": 3, "2 120": 3}


def test_a_driver_that_does_not_start_checks_nothing(folder: Path, driver: Path) -> None:
    library(folder, "a.so", [[cubin("90")]])
    prover = Prover(folder, driver)
    for variables, words in (
        ({"FAKE_CUDA_INIT": "100"}, "cuInit gives"),
        ({"FAKE_CUDA_FULL": "1"}, "cuDevicePrimaryCtxRetain gives CUDA_ERROR_OUT_OF_MEMORY (2)"),
        ({"FAKE_CUDA_GPUS": "80"}, "no GPU of compute capability 9.0"),
        ({"LD_LIBRARY_PATH": ""}, "libcuda.so.1"),
    ):
        (a,) = prover.loads(host("9.0"), **variables).values()
        assert isinstance(a, NotChecked), variables
        assert words in a.why


def test_without_a_gpu_nothing_is_checked(folder: Path, driver: Path) -> None:
    library(folder, "a.so", [[cubin("90")]])
    prover = Prover(folder, driver)
    (a,) = prover.loads(Host()).values()
    assert isinstance(a, NotChecked)
    assert a.check == "device code of kernels/a.so"
    (ptx,) = prover.first_use(Host()).values()
    assert isinstance(ptx, NotChecked)
    assert prover.noted() == {}


def test_what_a_library_chooses_from_proves_nothing_by_a_refusal(
    folder: Path, driver: Path
) -> None:
    units = [[cubin("90")], [cubin("90", b"Refused")], [cubin("100")], [ptx("80")]]
    library(folder, "a.so", units, section=".ldata")
    prover = Prover(folder, driver)
    (a,) = prover.loads(host("9.0")).values()
    assert isinstance(a, NotApplicable)
    assert "1 of 2 units" in a.why
    (text,) = prover.first_use(host("9.0")).values()
    assert isinstance(text, NotApplicable)
    assert prover.noted() == {"2 90": 2}


def test_relocatable_code_is_not_loaded_as_it_stands(folder: Path, driver: Path) -> None:
    library(folder, "a.so", [[cubin("90")]] * 2, section="__nv_relfatbin")
    prover = Prover(folder, driver)
    (a,) = prover.loads(host("9.0")).values()
    assert isinstance(a, NotApplicable)
    assert "relocatable" in a.why
    assert prover.noted() == {}


def test_files_of_device_code_are_one_check_for_a_package(folder: Path, driver: Path) -> None:
    data = Path(__file__).parents[1] / "data" / "fatbin" / "lone.cubin"
    own = site(folder) / "kernels" / "cubins"
    own.mkdir(parents=True)
    for number in range(5):
        shutil.copy(data, own / f"{number}.cubin")
    prover = Prover(folder, driver)
    found = prover.loads(host("9.0"))
    ((check, a),) = found.items()
    assert check == "device code of kernels on sm_90"
    assert isinstance(a, Passed | NotApplicable)


def test_ptx_is_compiled(folder: Path, driver: Path) -> None:
    library(folder, "a.so", [[ptx("80")], [cubin("90")], [ptx("75"), ptx("80")], [ptx("100")]])
    prover = Prover(folder, driver)
    (a,) = prover.first_use(host("9.0")).values()
    assert isinstance(a, Passed)
    assert (a.check, a.grade) == ("PTX of kernels/a.so compiled for sm_90", "launches")
    assert "all of 2 units are compiled" in a.detail
    assert prover.noted() == {"1 80": 2}


def test_ptx_that_does_not_compile_fails(folder: Path, driver: Path) -> None:
    library(folder, "a.so", [[ptx("80")], [ptx("80", b"Refused")]])
    (a,) = Prover(folder, driver).first_use(host("9.0")).values()
    assert isinstance(a, Failed)
    assert "1 of 2 units" in a.detail
    assert "(compute_80)" in a.detail


def test_ptx_that_is_not_reached_is_not_checked(folder: Path, driver: Path) -> None:
    library(folder, "a.so", [[ptx("80", b"Hang")], *([[ptx("80", size=50)]] * 3)])
    library(folder, "b.so", [[ptx("80")]] * 2)
    found = Prover(folder, driver).first_use(host("9.0"), seconds=3)
    a = found["PTX of kernels/a.so compiled for sm_90"]
    assert isinstance(a, NotChecked)
    assert "units were not compiled in the 3 s" in a.why
    assert "s of one core" in a.why


def test_no_time_for_ptx_starts_nothing(folder: Path, driver: Path) -> None:
    library(folder, "a.so", [[ptx("80")]] * 2)
    prover = Prover(folder, driver)
    (a,) = prover.first_use(host("9.0"), seconds=0).values()
    assert isinstance(a, NotChecked)
    assert "no time was given" in a.why
    assert prover.noted() == {}
