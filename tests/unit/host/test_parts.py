"""The smaller readers: memory, system, tools, Pythons, PCI, ``nvidia-smi``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.host.capture import Capture, CapturedMachine
from sartor.host.machine import (
    CommandResult,
    Interpreter,
    RealMachine,
    Uname,
    Unread,
    is_python_name,
    pythons_in,
)
from sartor.host.memory import folders, group_paths, parse_meminfo, read_memory
from sartor.host.model import MigInstance
from sartor.host.nvidia_kernel import parse_kernel
from sartor.host.nvidia_smi import mig_by_gpu
from sartor.host.parallel import each
from sartor.host.pci import name_in, normal_address
from sartor.host.pythons import read_pythons
from sartor.host.system import container_by_group, parse_os_release, read_container, read_wsl
from sartor.host.tools import listed_nvcc, read_passthrough, read_toolkits, version_in

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30


def machine(
    *,
    files: dict[str, str | Unread] | None = None,
    folders: dict[str, list[str] | Unread] | None = None,
    links: dict[str, str | Unread] | None = None,
    commands: dict[str, CommandResult | Unread] | None = None,
    programs: dict[str, str | None] | None = None,
    environment: dict[str, str | None] | None = None,
    pythons: list[str] | None = None,
) -> CapturedMachine:
    return CapturedMachine(
        Capture(
            origin="constructed",
            note="made in a test",
            uname=Uname("Linux", "6.8.0", "x86_64"),
            libc="glibc 2.39",
            interpreter=Interpreter("/usr/bin/python3.12", "3.12.3"),
            nvml=Unread("missing", missing=True),
            others_absent=True,
            files=files or {},
            folders=folders or {},
            links=links or {},
            commands=commands or {},
            programs=programs or {},
            environment=environment or {},
            pythons=pythons or [],
        )
    )


# --- memory ----------------------------------------------------------------------------------

MEMINFO = (
    f"MemTotal: {64 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {32 * 2**20} kB\nHugePages_Total: 0\n"
)


def test_meminfo() -> None:
    assert parse_meminfo(MEMINFO) == {
        "MemTotal": 64 * GIB,
        "MemFree": 1024,
        "MemAvailable": 32 * GIB,
    }


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, 32 * GIB),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "max\n"}, 32 * GIB),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": f"{GIB}\n"}, GIB),
        (
            {
                "/proc/self/cgroup": "0::/a.slice/b.scope\n",
                "/sys/fs/cgroup/a.slice/memory.max": f"{8 * GIB}\n",
                "/sys/fs/cgroup/a.slice/memory.current": f"{3 * GIB}\n",
                "/sys/fs/cgroup/a.slice/memory.stat": f"inactive_file {GIB}\n",
                "/sys/fs/cgroup/a.slice/b.scope/memory.max": "max\n",
            },
            6 * GIB,
        ),
        (
            {
                "/proc/self/cgroup": "5:memory:/docker/x\n",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
                "/sys/fs/cgroup/memory/memory.usage_in_bytes": f"{5 * GIB}\n",
            },
            0,
        ),
        (
            {
                "/proc/self/cgroup": "5:memory:/\n",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            32 * GIB,
        ),
    ],
    ids=["no groups", "no limit", "limit", "limit above", "version 1", "version 1, no limit"],
)
def test_limits_of_control_groups(files: dict[str, str | Unread], available: int) -> None:
    reading = read_memory(machine(files={"/proc/meminfo": MEMINFO, **files}))
    assert (reading.value.total_bytes, reading.value.available_bytes) == (64 * GIB, available)
    assert reading.not_checked == []


def test_memory_that_cannot_be_read() -> None:
    reading = read_memory(machine())
    assert reading.value.total_bytes is None
    assert [note.what for note in reading.not_checked] == ["memory"]


def test_group_paths_and_folders() -> None:
    assert group_paths("0::/x\n7:cpu,memory:/y:z\n3:cpuset:/\n") == {"v2": "/x", "v1": "/y:z"}
    assert folders("/r", "/a/b") == ["/r/a/b", "/r/a", "/r"]
    assert folders("/r", "/") == ["/r"]
    assert folders("/r", "/../../x") == ["/r"]


# --- system ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "links", "wsl"),
    [
        ("6.8.0-79-generic", {}, None),
        ("4.4.0-19041-Microsoft", {}, 1),
        ("6.6.87.2-microsoft-standard-WSL2", {"/dev/dxg": "/dev/dxg"}, 2),
        ("6.1.0-own", {"/proc/sys/fs/binfmt_misc/WSLInterop": "/x"}, 2),
    ],
)
def test_wsl(release: str, links: dict[str, str | Unread], wsl: int | None) -> None:
    assert read_wsl(machine(links=links), release) == wsl


@pytest.mark.parametrize(
    ("groups", "runtime"),
    [
        ("0::/\n", None),
        ("0::/init.scope\n", None),
        ("4:memory:/docker/0123456789ab\n", "docker"),
        ("0::/system.slice/docker-0123.scope\n", "docker"),
        ("0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-01.scope", "kubernetes"),
        ("0::/machine.slice/libpod-01.scope/container\n", "podman"),
        ("0::/lxc.payload.c1\n", "lxc"),
        ("0::/user.slice/my-dockers.scope", None),
    ],
)
def test_container_by_control_group(groups: str, runtime: str | None) -> None:
    assert container_by_group(groups) == runtime


def test_container_by_variable() -> None:
    assert read_container(machine(environment={"container": "systemd-nspawn"})).value == (
        "systemd-nspawn"
    )
    assert (
        read_container(machine(environment={"APPTAINER_CONTAINER": "/x.sif"})).value == "apptainer"
    )


@given(st.text())
def test_any_os_release_is_read(text: str) -> None:
    parse_os_release(text)


def test_os_release_quotes() -> None:
    assert parse_os_release('ID="rocky"\nX=\'a b\'\n# ID=no\nBAD="x\n') == {
        "ID": "rocky",
        "X": "a b",
        "BAD": '"x',
    }


# --- tools -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("gcc (Ubuntu 13.3.0-6ubuntu2~24.04) 13.3.0\n", "13.3.0"),
        ("gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-2)\n", "11.5.0"),
        ("gcc (crosstool-NG 1.23.0) 7.3.0", "7.3.0"),
        ("Ubuntu clang version 18.1.3 (1ubuntu1)\nTarget: x86_64-pc-linux-gnu\n", "18.1.3"),
        ("cmake version 3.28.3\n", "3.28.3"),
        ("1.11.1\n", "1.11.1"),
        ("Docker version 28.3.2, build 578ccf6\n", "28.3.2"),
        ("buildah version 1.33.7 (image-spec 1.1.0-rc.5, runtime-spec 1.1.0)\n", "1.33.7"),
        ("nothing", None),
    ],
)
def test_versions(text: str, version: str | None) -> None:
    assert version_in(text) == version


def test_toolkits_in_their_order_and_once() -> None:
    found = read_toolkits(
        machine(
            programs={"nvcc": "/usr/local/cuda-12.9/bin/nvcc"},
            environment={"CUDA_HOME": "/opt/cuda"},
            folders={"/usr/local": ["bin", "cuda", "cuda-12.9", "cuda-old"]},
            links={
                "/opt/cuda/bin/nvcc": "/opt/cuda/bin/nvcc",
                "/usr/local/cuda/bin/nvcc": "/usr/local/cuda-12.9/bin/nvcc",
            },
            files={"/usr/local/cuda-12.9/version.json": '{"cuda_nvcc": {"version": "12.9.86"}}'},
            commands={"/opt/cuda/bin/nvcc --version": CommandResult(0, "release 13.0, V13.0.88\n")},
        )
    )
    assert [(tool.path, tool.version) for tool in found] == [
        ("/usr/local/cuda-12.9/bin/nvcc", "12.9.86"),
        ("/opt/cuda/bin/nvcc", "13.0.88"),
    ]


def test_version_lists_that_are_none() -> None:
    assert listed_nvcc("{}") is None
    assert listed_nvcc("not JSON") is None


def test_passthrough_with_a_broken_configuration() -> None:
    reading = read_passthrough(machine(files={"/etc/docker/daemon.json": "{"}))
    assert reading.value == []
    assert [note.what for note in reading.not_checked] == ["containers.gpu_passthrough"]


# --- Pythons ---------------------------------------------------------------------------------


def test_pythons_once_each_and_none_too_old() -> None:
    found = read_pythons(
        machine(
            pythons=[
                "/usr/bin/python3",
                "/usr/bin/python3.12",
                "/opt/p/python3.6",
                "/o/python3.11",
            ],
            links={"/usr/bin/python3": "/usr/bin/python3.12"},
            commands={
                "/opt/p/python3.6 -I -S -c "
                "'import sys; print('\"'\"'.'\"'\"'.join(map(str, sys.version_info[:3])))'": (
                    CommandResult(0, "3.6.15\n")
                ),
            },
        )
    )
    assert [(tool.path, tool.version) for tool in found] == [("/usr/bin/python3.12", "3.12.3")]


@pytest.mark.parametrize(
    ("name", "is_python"),
    [
        ("python3", True),
        ("python3.12", True),
        ("python3.13t", False),
        ("python3-config", False),
        ("python3.12-config", False),
        ("python", False),
        ("python3.", False),
    ],
)
def test_python_names(name: str, is_python: bool) -> None:
    assert is_python_name(name) is is_python


def test_pythons_in_folders(tmp_path: Path) -> None:
    good, plain = tmp_path / "python3.12", tmp_path / "python3.11"
    for path in (good, plain):
        path.write_text("")
    good.chmod(0o755)
    (tmp_path / "python3.10").mkdir()
    missing = str(tmp_path / "missing")
    assert list(pythons_in([str(tmp_path), "", missing, str(tmp_path)])) == [str(good)]


# --- NVIDIA ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version", "module"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 2024\n",
            "535.183.01",
            "proprietary",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build\n",
            "575.57.08",
            "open",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.00  x\n", "580.00", "open"),
        ("GCC version: 13.3.0\n", None, None),
        ("", None, None),
    ],
)
def test_kernel_module(text: str, version: str | None, module: str | None) -> None:
    kernel = parse_kernel(text)
    assert (kernel.version, kernel.module) == (version, module)


def test_mig_list() -> None:
    text = (
        "GPU 0: NVIDIA A30 (UUID: GPU-a)\n"
        "  MIG 1g.6gb+me   Device  0: (UUID: MIG-b)\n"
        "GPU 1: NVIDIA A30 (UUID: GPU-c)\n"
    )
    assert mig_by_gpu(text) == {"GPU-a": [MigInstance("1g.6gb+me", "MIG-b")]}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000:C1:00.0", "0000:c1:00.0"),
        ("0000000F:01:00.0", "000f:01:00.0"),
        ("10000:01:00.0", "10000:01:00.0"),
        ("0000:01:00.0", "0000:01:00.0"),
        ("nonsense", "nonsense"),
    ],
)
def test_pci_addresses(text: str, address: str) -> None:
    assert normal_address(text) == address
    assert normal_address(normal_address(text)) == normal_address(text)


PCI_IDS = (
    "# comment\n"
    "10dd  Someone\n\t2b85  Wrong\n"
    "10de  NVIDIA Corporation\n"
    "\t2684  AD102 [GeForce RTX 4090]\n\t\t10de 16f4  A board\n"
    "# comment inside\n"
    "\t2b85  GB202 [GeForce RTX 5090]\n"
    "10df  Emulex\n\tffff  Other\n"
)


def test_pci_names() -> None:
    assert name_in(PCI_IDS, "10de", "2b85") == "GB202 [GeForce RTX 5090]"
    assert name_in(PCI_IDS, "10de", "ffff") is None
    assert name_in(PCI_IDS, "1234", "2b85") is None
    assert name_in("", "10de", "2b85") is None


# --- the real machine, as far as it does not act ---------------------------------------------


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    real = RealMachine()
    missing = real.read_text(str(tmp_path / "none"))
    assert isinstance(missing, Unread)
    assert missing.missing
    folder = real.read_text(str(tmp_path))
    assert isinstance(folder, Unread)
    assert not folder.missing
    assert isinstance(real.read_text("a\0b"), Unread)
    assert isinstance(real.list_folder(str(tmp_path / "none")), Unread)
    assert isinstance(real.resolve(str(tmp_path / "none")), Unread)


def test_programs_are_refused_in_unit_tests() -> None:
    with pytest.raises(pytest.fail.Exception, match="may not start a program"):
        RealMachine().run(["true"])


def test_nvml_is_refused_in_unit_tests() -> None:
    with pytest.raises(pytest.fail.Exception, match="may not load the driver's library"):
        RealMachine().nvml()


def test_each_keeps_the_order() -> None:
    assert each(lambda n: n * n, list(range(20))) == [n * n for n in range(20)]
    assert each(str, []) == []
