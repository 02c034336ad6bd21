"""NVML through the real `pynvml`, against a small library of our own in place of the driver's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sartor.host.machine import NvmlGpu, NvmlMig, NvmlSnapshot, Unread

SOURCE = Path(__file__).with_name("fake_nvml.c")
ASK = (
    "import sys, msgspec; from sartor.host.nvml import snapshot;"
    "sys.stdout.buffer.write(msgspec.json.encode(snapshot()))"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("`cc` is not installed, so there is no way to make a stand-in for NVML")
    built = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", built, SOURCE], check=True)
    return built.parent


def snapshot(folder: Path, **environment: str) -> NvmlSnapshot | Unread:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), **environment},
        capture_output=True,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=NvmlSnapshot | Unread)


def test_everything_that_is_asked(folder: Path) -> None:
    instance = NvmlMig("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "MIG-c", 10468982784)
    assert snapshot(folder) == NvmlSnapshot(
        "595.58.03",
        "13.2",
        [
            NvmlGpu(
                0,
                "NVIDIA H100 80GB HBM3",
                "GPU-a",
                85520809984,
                "9.0",
                "00000000:1B:00.0",
                [instance],
            ),
            NvmlGpu(
                1,
                "NVIDIA GB10",
                "GPU-b",
                None,
                "12.1",
                "0000000F:01:00.0",
                unread={"memory_bytes": "Not Supported"},
            ),
        ],
    )


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("4", "Insufficient Permissions"),
        ("9", "Driver Not Loaded"),
        ("18", "RM has detected an NVML/RM version mismatch."),
    ],
)
def test_a_driver_that_does_not_answer(folder: Path, status: str, why: str) -> None:
    assert snapshot(folder, FAKE_NVML_INIT=status) == Unread(why)


def test_a_library_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    answer = snapshot(tmp_path)
    assert isinstance(answer, Unread)
    assert "libnvidia-ml.so.1" in answer.why
