from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sartor.errors import HostDescriptionError, SartorError, UnknownGpuError
from sartor.host.describe import parse_host
from sartor.host.model import Driver, Host, MigInstance, NotChecked
from sartor.host.stated import KEYS, NOT_STATED

GIB = 2**30
CAPTURES = Path(__file__).parent / "captures"


def gpu_names(text: str) -> list[str]:
    return [gpu.name for gpu in parse_host(text).gpus]


def unstated(host: Host) -> set[str]:
    return {note.what for note in host.not_checked}


def faults(text: str) -> list[str]:
    with pytest.raises(HostDescriptionError) as caught:
        parse_host(text)
    return caught.value.found


def test_whole_description() -> None:
    host = parse_host(
        "rtx-5090, driver=575.57, cpu=zen5, cores=16, ram=64G, python=3.12+3.13.1, glibc=2.39,"
        " disk=200G, nvcc=12.9, gcc=13.2, wsl=2, container=docker, distribution=Ubuntu-24.04"
    )
    assert host.described
    assert host.gpus[0].name == "NVIDIA GeForce RTX 5090"
    assert host.gpus[0].compute_capability == "12.0"
    assert host.gpus[0].memory_bytes == 32 * GIB
    assert host.driver == Driver("575.57", "12.9", "described", "facts")
    assert host.cpu is not None
    assert (host.cpu.name, host.cpu.generic, host.cpu.cores) == ("zen5", "x86_64_v4", 16)
    assert "avx512_vnni" in host.cpu.features
    assert host.architecture == "x86_64"
    assert host.memory.total_bytes == 64 * GIB
    assert [(tool.name, tool.version) for tool in host.pythons] == [
        ("python3.12", "3.12"),
        ("python3.13", "3.13.1"),
    ]
    assert host.glibc == "2.39"
    assert {disk.purpose: disk.free_bytes for disk in host.disks} == {
        "data": 200 * GIB,
        "cache": 200 * GIB,
    }
    assert [tool.version for tool in host.cuda_toolkits] == ["12.9"]
    assert [(tool.name, tool.version) for tool in host.compilers] == [("gcc", "13.2")]
    assert (host.system.wsl, host.system.distribution) == (2, "ubuntu 24.04")
    assert host.containers.inside == "docker"
    assert unstated(host) == {"memory.available_bytes", "containers", "libraries"}


@pytest.mark.parametrize(
    "text",
    ["NVIDIA GeForce RTX 5090", "5090", "rtx5090", "RTX_5090", "rtx-5090", "geforce rtx 5090"],
)
def test_every_spelling_of_a_name(text: str) -> None:
    assert gpu_names(text) == ["NVIDIA GeForce RTX 5090"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("2x rtx-5090, rtx-3090", ["NVIDIA GeForce RTX 5090"] * 2 + ["NVIDIA GeForce RTX 3090"]),
        ("rtx-5090*2", ["NVIDIA GeForce RTX 5090"] * 2),
        ("2x5090", ["NVIDIA GeForce RTX 5090"] * 2),
        ("gpu=l4", ["NVIDIA L4"]),
        ("cpu-only", []),
        ("no-gpu", []),
        ("v100:32G", ["Tesla V100-SXM2-32GB"]),
        ("v100", ["Tesla V100-SXM2-16GB"]),
    ],
)
def test_how_many_of_which(text: str, names: list[str]) -> None:
    host = parse_host(text)
    assert [gpu.name for gpu in host.gpus] == names
    assert [gpu.index for gpu in host.gpus] == list(range(len(names)))


def test_parts_of_a_gpu_word() -> None:
    gpu = parse_host("h100:mig-1g.10gb+1g.10gb+me+3g.40gb:79.5GiB").gpus[0]
    assert gpu.memory_bytes == math.floor(79.5 * GIB)
    assert gpu.mig == [
        MigInstance("1g.10gb", memory_bytes=10 * 10**9),
        MigInstance("1g.10gb+me", memory_bytes=10 * 10**9),
        MigInstance("3g.40gb", memory_bytes=40 * 10**9),
    ]


def test_a_gpu_newer_than_the_facts() -> None:
    gpu = parse_host("rtx-7090:sm_130:48G").gpus[0]
    assert (gpu.name, gpu.compute_capability, gpu.memory_bytes) == ("rtx-7090", "13.0", 48 * GIB)


def test_shared_memory_is_the_stated_memory() -> None:
    gpu = parse_host("gb10, ram=120G").gpus[0]
    assert (gpu.unified_memory, gpu.memory_bytes) == (True, 120 * GIB)
    assert parse_host("gb10").gpus[0].memory_bytes == 128 * 10**9


@pytest.mark.parametrize(
    ("text", "architecture"),
    [
        ("gb10", "aarch64"),
        ("gh200", "aarch64"),
        ("jetson-agx-orin", "aarch64"),
        ("thor", "aarch64"),
        ("cpu=neoverse-v2", "aarch64"),
        ("cpu=x86-64-v3", "x86_64"),
        ("arch=arm64", "aarch64"),
        ("rtx-5090", None),
        ("rtx-5090, arch=aarch64", "aarch64"),
    ],
)
def test_architecture_follows(text: str, architecture: str | None) -> None:
    assert parse_host(text).architecture == architecture


def test_what_is_not_stated_is_not_made_up() -> None:
    host = parse_host("rtx-5090")
    assert (host.driver, host.cpu, host.glibc, host.memory.total_bytes) == (None, None, None, None)
    assert {"driver", "cpu", "architecture", "glibc", "pythons"} <= unstated(host)
    assert all(note == NotChecked(note.what, NOT_STATED) for note in host.not_checked)


def test_without_a_gpu_no_driver_is_missed() -> None:
    assert not {"gpus", "driver"} & unstated(parse_host("cpu-only, cpu=zen4"))
    assert {"gpus", "driver"} <= unstated(parse_host("cpu=zen4"))


def test_stated_cuda_wins_over_the_facts() -> None:
    assert parse_host("l4, driver=580.1, cuda=12.8").driver == Driver(
        "580.1", "12.8", "described", "described"
    )
    assert "driver.version" in unstated(parse_host("l4, cuda=12.8"))


def test_all_faults_at_once() -> None:
    found = faults("drvier=575, rtx-5990, cpu=zen55, ram=lots, driver=1, driver=2, disk=")
    assert [line.split("`")[1] for line in found] == [
        "drvier=575",
        "rtx-5990",
        "driver=2",
        "disk=",
        "ram=lots",
        "driver=1",
        "cpu=zen55",
    ]
    assert "did you mean `driver`?" in found[0]
    assert "`rtx-5090`" in found[1]
    assert "`zen5`" in found[-1]


def test_a_gpu_of_another_maker_is_said() -> None:
    with pytest.raises(UnknownGpuError) as caught:
        parse_host("rx 7900 xtx")
    assert "NVIDIA GPUs only" in caught.value.found[0]
    assert "did you mean" not in caught.value.found[0]
    assert "`cpu-only`" in (caught.value.hint or "")
    assert "sm_120" not in (caught.value.hint or "")


def test_unknown_gpus_alone_have_their_own_error() -> None:
    with pytest.raises(UnknownGpuError) as caught:
        parse_host("rtx-5990, l4, ram=64G")
    assert len(caught.value.found) == 1
    assert "`rtx-5090`" in caught.value.found[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing is stated"),
        (" , ,", "nothing is stated"),
        ("cpu-only, l4", "a GPU is stated, too"),
        ("100x l4", "from 1 to 64"),
        ("l4:lots", "neither a memory size"),
        ("l4:24X", "not a size"),
        ("l4:mig-big", "not a MIG profile"),
        ("cpu=zen5, arch=aarch64", "the processor `zen5` is x86_64"),
        ("memory=64G, ram=32G", "`ram` is stated twice"),
        ("python=2.7", "python=3.12+3.13"),
        ("l4, driver 570.86", "`driver 570.86`: write `driver=570.86`"),
        ("nowhere.toml", "No such file"),
        ("nowhere.json", "No such file"),
        ("{", "not JSON"),
        ('{"schema": "sartor.host/9"}', "sartor.host/9"),
        ('{"schema": "sartor.host/1", "gpus": 3}', "$.gpus"),
        ('{"gpus": [3]}', "gpus[0]"),
        ('{"gpus": [{"name": "l4", "memroy": "24G"}]}', "did you mean `memory`?"),
        ('{"gpus": [{"name": "l4", "count": 0}]}', "from 1 to 64"),
        ('{"ram": {}}', "a dict is not a value"),
        ("{}", "nothing is stated"),
    ],
)
def test_faults(text: str, words: str) -> None:
    assert words in "\n".join(faults(text))


def test_toml_file(tmp_path: Path) -> None:
    file = tmp_path / "host.toml"
    file.write_text(
        'gpus = ["rtx-5090", {name = "h100", memory = "80G", count = 2, mig = ["1g.10gb"]}]\n'
        "driver = 575.57\ncuda = 12.10\npython = [3.10, 3.12]\ncores = 16\n"
    )
    host = parse_host(str(file))
    assert [gpu.name for gpu in host.gpus] == [
        "NVIDIA GeForce RTX 5090",
        "NVIDIA H100 80GB HBM3",
        "NVIDIA H100 80GB HBM3",
    ]
    assert host.gpus[1].mig == [MigInstance("1g.10gb", memory_bytes=10 * 10**9)]
    assert host.driver == Driver("575.57", "12.10", "described", "described")
    assert [tool.version for tool in host.pythons] == ["3.10", "3.12"]


def test_toml_document(tmp_path: Path) -> None:
    file = tmp_path / "host.toml"
    file.write_text('schema = "sartor.host/1"\nglibc = "2.39"\n[[gpus]]\nname = "NVIDIA L4"\n')
    host = parse_host(str(file))
    assert (host.described, host.glibc, host.gpus[0].name) == (True, "2.39", "NVIDIA L4")


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.host.json")), ids=lambda p: p.name)
def test_detected_document_comes_back_as_it_was(path: Path) -> None:
    text = path.read_text("utf-8")
    detected = msgspec.json.decode(text, type=Host)
    expected = msgspec.structs.replace(detected, described=True)
    assert parse_host(str(path)) == expected
    assert parse_host("-", lambda: text) == expected
    assert parse_host(text) == expected


def test_standard_input_that_cannot_be_read() -> None:
    def broken() -> str:
        raise OSError(5, "Input/output error")

    with pytest.raises(HostDescriptionError) as caught:
        parse_host("-", broken)
    assert caught.value.found == ["Input/output error"]


def test_closed_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert faults("-") == ["it is closed"]


WORDS = st.sampled_from(
    ["l4", "2x", "rtx-5090", ":", "*", "mig-", "sm_", "32G", "=", ",", "+", "{", "}", "[", '"', "1"]
    + [f"{key}=" for key in KEYS]
)


@given(st.one_of(st.text(), st.lists(WORDS).map("".join), st.text().map(lambda t: f"{t}.toml")))
@example("\0.json")
@example("٣x l4")
@example("l4*٣")
@example("ram=٣G")
@example("{" * 5000)
@example("a" * 5000 + ".toml")
@example("~nobody/x.toml")
@example('{"gpus": [{"name": "l4", "count": "٣"}]}')
@example('{"ram": "1e400G", "cores": 1e400, "gpus": null}')
def test_any_text_is_a_host_or_an_expected_error(text: str) -> None:
    try:
        host = parse_host(text, lambda: "not a document")
    except SartorError:
        return
    assert host.described


@given(st.from_regex(r"[a-z0-9 _.-]{1,20}", fullmatch=True))
def test_a_description_is_read_the_same_twice(text: str) -> None:
    try:
        assert parse_host(text) == parse_host(text)
    except SartorError as error:
        with pytest.raises(type(error)):
            parse_host(text)
