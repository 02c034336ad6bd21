"""The host that is detected here agrees with the system's own tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from sartor import facts
from sartor.host.detect import detect
from sartor.host.machine import RealMachine
from sartor.paths import Places

if TYPE_CHECKING:
    from sartor.host.model import Host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return detect(RealMachine(), Places(tmp_path_factory.mktemp("sartor")))


def output_of(*argv: str) -> str:
    """What a program prints; the test is skipped, with the reason, where it is not installed."""
    if shutil.which(argv[0]) is None:
        pytest.skip(f"`{argv[0]}` is not installed here, so there is nothing to agree with")
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        pytest.skip(f"`{argv[0]}` itself fails here ({done.stderr.strip()}): nothing to agree with")
    return done.stdout


def lscpu() -> dict[str, str]:
    pairs = (line.partition(":") for line in output_of("lscpu").splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def test_lscpu(host: Host) -> None:
    told = lscpu()
    assert host.cpu is not None
    assert host.architecture == told["Architecture"]
    assert host.cpu.threads == int(told["CPU(s)"])
    assert set(host.cpu.features) - {"sse3"} <= set(told["Flags"].split())
    if told.get("Core(s) per socket", "-").isdecimal() and told.get("Socket(s)", "-").isdecimal():
        assert host.cpu.cores == int(told["Core(s) per socket"]) * int(told["Socket(s)"])
    if host.architecture == "x86_64":
        assert (host.cpu.vendor, host.cpu.model) == (told["Vendor ID"], told["Model name"])


def test_nproc(host: Host) -> None:
    assert host.cpu is not None
    assert host.cpu.threads == int(output_of("nproc", "--all"))


def test_archspec_on_this_machine(host: Host) -> None:
    import archspec.cpu

    assert host.cpu is not None
    assert host.cpu.name == str(archspec.cpu.host())
    assert host.cpu.generic == str(archspec.cpu.host().generic)


def test_ldd(host: Host) -> None:
    first = output_of("ldd", "--version").splitlines()[0]
    version = re.search(r"(\d+\.\d+)\s*$", first)
    assert version is not None
    assert host.glibc == version[1]


def test_ldconfig(host: Host) -> None:
    if os.path.exists("/sbin/ldconfig"):  # noqa: PTH110 - outside of an ordinary user's PATH
        listing = output_of("/sbin/ldconfig", "-p")
        listed = {line.split()[0] for line in listing.splitlines() if "=>" in line}
        found = {soname for soname, path in host.libraries.items() if path}
        assert set(host.libraries) & listed <= found
    assert set(host.libraries) == {row.soname for row in facts.libraries()}
    for path in filter(None, host.libraries.values()):
        assert os.path.exists(path)  # noqa: PTH110


def test_free(host: Host) -> None:
    row = output_of("free", "-b").splitlines()[1].split()
    assert host.memory.total_bytes == int(row[1])
    assert host.memory.available_bytes is not None
    assert 0 < host.memory.available_bytes <= int(row[1])


def test_nvidia_smi(host: Host) -> None:
    if shutil.which("nvidia-smi") is None:
        pytest.skip("`nvidia-smi` is not installed: there is no NVIDIA driver to agree with")
    query = "--query-gpu=name,uuid,memory.total,driver_version"
    listing = output_of("nvidia-smi", query, "--format=csv,noheader,nounits")
    told = [[cell.strip() for cell in line.split(",")] for line in listing.splitlines()]
    assert [[gpu.name, gpu.uuid] for gpu in host.gpus] == [row[:2] for row in told]
    for gpu, row in zip(host.gpus, told, strict=True):
        if row[2].isdecimal():
            assert gpu.memory_bytes is not None
            assert gpu.memory_bytes // 2**20 == int(row[2])
    assert host.driver is not None
    assert host.driver.version == told[0][3]


def test_every_python_has_the_version_it_was_said_to_have(host: Host) -> None:
    assert host.pythons
    for tool in host.pythons:
        assert output_of(tool.path, "-V").split() == ["Python", tool.version]


def test_compilers_have_the_version_they_were_said_to_have(host: Host) -> None:
    for tool in host.compilers:
        assert tool.version is not None
        assert tool.version in output_of(tool.path, "--version")
