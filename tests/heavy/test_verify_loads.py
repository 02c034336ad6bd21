"""Real environments at the grade *loads*: what opens, what does not, and what is said of it.

``SARTOR_TEST_ENVIRONMENTS`` is a folder of environments (``torch-cpu``, ``vllm-cpu``, ``llama``,
``vllm-cuda``), ``SARTOR_TEST_WHEELS`` one of wheels (torchvision for older releases of PyTorch).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from libraries import environment, site
from sartor.host.model import Host
from sartor.verify.loads.libraries import check_libraries
from sartor.verify.model import Failed, NotApplicable, NotChecked, Passed
from sartor.verify.proving import Proving
from sartor.verify.subject.contents import contents_of
from sartor.verify.subject.evidence import read_site
from sartor.verify.subject.find import subject_at

if TYPE_CHECKING:
    from sartor.verify.model import Outcome
    from sartor.verify.subject.model import Subject

HOST = Host(architecture="x86_64", glibc="2.36")


def real(name: str) -> Path:
    path = Path(os.environ.get("SARTOR_TEST_ENVIRONMENTS", "/nowhere"), name)
    if not path.is_dir():
        pytest.skip(f"there is no environment {name}")
    return path


def wheel(pattern: str) -> Path:
    folder = Path(os.environ.get("SARTOR_TEST_WHEELS", "/nowhere"))
    found = sorted(folder.glob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in SARTOR_TEST_WHEELS")
    return found[0]


def opened(subject: Subject) -> dict[str, Outcome]:
    read_site.cache_clear()
    found: list[Outcome] = []
    contents = contents_of(subject, HOST)
    check_libraries(subject, contents, Proving(asked="loads"), found.append)
    assert len(found) >= len(contents.case.libraries)  # none is passed over in silence
    return {outcome.check: outcome for outcome in found}


@pytest.mark.parametrize("name", ["llama", "torch-cpu", "vllm-cpu"])
def test_every_library_opens(name: str) -> None:
    found = opened(subject_at(real(name)))
    kinds = Counter(type(outcome) for outcome in found.values())
    assert not kinds[Failed]
    assert not kinds[NotChecked]
    for outcome in found.values():
        if isinstance(outcome, NotApplicable):
            assert "libtbb.so" in outcome.why


def test_a_cuda_stack_without_a_driver() -> None:
    """What is not checked is what `ldd` finds no driver for, directly or behind it."""
    folder = real("vllm-cuda")
    found = opened(subject_at(folder))
    assert not [outcome for outcome in found.values() if isinstance(outcome, Failed)]
    of_driver = [check for check, o in found.items() if isinstance(o, NotChecked)]
    assert len(of_driver) > 5
    for check in of_driver:
        path = site(folder) / check.removeprefix("open ")
        said = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=True)
        assert "libcuda.so.1 => not found" in said.stdout, check


@pytest.mark.parametrize(("version", "torch"), [("0.20.1", "2.5.1"), ("0.23.0", "2.8.0")])
def test_the_torchvision_of_another_torch(tmp_path: Path, version: str, torch: str) -> None:
    stack = subject_at(real("vllm-cuda"))
    folder = environment(tmp_path / "env")
    with zipfile.ZipFile(wheel(f"torchvision-{version}-*.whl")) as archive:
        archive.extractall(site(folder))
    (site(folder) / "stack.pth").write_text(f"{stack.site[0]}\n")
    subject = msgspec.structs.replace(
        stack, path=folder, python=folder / "bin" / "python", site=[site(folder), *stack.site]
    )
    outcome = opened(subject)["open torchvision/_C.so"]
    assert isinstance(outcome, Failed)
    assert "built for another PyTorch" in outcome.detail
    assert f"it requires `torch=={torch}`" in outcome.detail


def test_a_library_of_torch_that_was_cut_short(tmp_path: Path) -> None:
    stack = subject_at(real("torch-cpu"))
    folder = environment(tmp_path / "env")
    shutil.copytree(stack.site[0] / "torch", site(folder) / "torch", symlinks=True)
    for info in stack.site[0].glob("torch-*.dist-info"):
        shutil.copytree(info, site(folder) / info.name)
    library = site(folder) / "torch" / "lib" / "libtorch_cpu.so"
    os.truncate(library, library.stat().st_size // 2)
    (site(folder) / "stack.pth").write_text(f"{stack.site[0]}\n")
    subject = msgspec.structs.replace(
        stack, path=folder, python=folder / "bin" / "python", site=[site(folder), *stack.site]
    )
    found = opened(subject)
    outcome = found["open torch/lib/libtorch_cpu.so"]
    assert isinstance(outcome, Failed)
    assert "uv pip install --reinstall torch==" in (outcome.hint or "")
    assert isinstance(found["open torch/lib/libc10.so"], Passed)
