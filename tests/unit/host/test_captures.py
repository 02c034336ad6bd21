"""Captured machines: raw answers in ``captures/NAME.json``, the host in ``NAME.host.json``."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sartor.host.capture import (
    Capture,
    CapturedMachine,
    Identity,
    NotInCaptureError,
    RecordingMachine,
    read_capture,
    scrub,
    write_capture,
)
from sartor.host.detect import detect
from sartor.host.model import Host
from sartor.host.summary import summary
from sartor.paths import Places

CAPTURES = Path(__file__).parent / "captures"
NAMES = sorted(p.stem for p in CAPTURES.glob("*.json") if not p.name.endswith(".host.json"))
PLACES = Places(Path("/home/user/.local/share/sartor"))


def capture_of(name: str) -> Capture:
    return read_capture((CAPTURES / f"{name}.json").read_bytes())


def host_of(name: str) -> Host:
    return detect(CapturedMachine(capture_of(name)), PLACES)


def test_there_are_captures_of_both_kinds() -> None:
    assert {capture_of(name).origin for name in NAMES} == {"captured", "constructed"}


@pytest.mark.parametrize("name", NAMES)
def test_host_is_the_expected_one(name: str) -> None:
    expected = msgspec.json.decode((CAPTURES / f"{name}.host.json").read_bytes(), type=Host)
    assert host_of(name) == expected


@pytest.mark.parametrize("name", NAMES)
def test_detection_is_the_same_whenever_it_runs(name: str) -> None:
    assert host_of(name) == host_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_unknown_has_a_reason(name: str) -> None:
    host = host_of(name)
    noted = {note.what for note in host.not_checked}
    unknown = {
        "cpu": host.cpu is None,
        "glibc": host.glibc is None,
        "memory.total_bytes": host.memory.total_bytes is None,
        "system.distribution": host.system.distribution is None,
        "driver.version": host.driver is not None and host.driver.version is None,
        "driver.cuda": host.driver is not None and host.driver.cuda is None,
    }
    for n, gpu in enumerate(host.gpus):
        for field in ("compute_capability", "memory_bytes", "index", "uuid", "pci_address"):
            unknown[f"gpus[{n}].{field}"] = getattr(gpu, field) is None
    assert {what for what, is_so in unknown.items() if is_so} <= noted
    assert all(note.why for note in host.not_checked)


@pytest.mark.parametrize("name", NAMES)
def test_recording_a_capture_gives_the_same_host(name: str) -> None:
    recording = RecordingMachine(CapturedMachine(capture_of(name)))
    host = detect(recording, PLACES)
    again = read_capture(write_capture(recording.capture("recorded anew")))
    assert not again.others_absent
    assert detect(CapturedMachine(again), PLACES) == host


def test_a_question_that_nobody_recorded_is_an_error() -> None:
    machine = CapturedMachine(capture_of("xeon-no-gpu"))
    with pytest.raises(NotInCaptureError, match="/etc/shadow"):
        machine.read_text("/etc/shadow")


SUMMARIES = {
    "a100-one-lost": "NVIDIA A100-SXM4-80GB 80 GiB · 1 more on the PCI bus, not usable here (held"
    " by nvidia) · driver 550.163.01 (CUDA 12.4) · zen3, 4 cores · 1007.1 GiB · glibc 2.35",
    "alpine-musl": "no NVIDIA GPU · zen2, 2 cores · 7.8 GiB · in podman",
    "gb10": "NVIDIA GB10 121.7 GiB shared · driver 580.95.05 (CUDA 13.0) · neoverse_v3ae, 4 cores"
    " · 121.7 GiB · glibc 2.39",
    "h100-mig": "NVIDIA H100 80GB HBM3 79.6 GiB MIG 3g.40gb + 1g.10gb, NVIDIA H100 80GB HBM3 79.6"
    " GiB · driver 570.172.08 (CUDA 12.8) · sapphirerapids, 4 cores · 2 TiB · glibc 2.34",
    "nouveau-rtx-4070": "no usable NVIDIA GPU · 1 on the PCI bus, not usable here (held by nouveau)"
    " · zen3, 3 cores · 31.2 GiB · glibc 2.39",
    "v100-driver-535": "2x Tesla V100-SXM2-32GB 32 GiB · driver 535.183.01 (CUDA 12.2) · broadwell,"
    " 4 cores · 503.5 GiB · glibc 2.31",
    "wsl2-rtx-4090": "NVIDIA GeForce RTX 4090 24 GiB · driver 576.88 (CUDA 12.9) · alderlake, 4"
    " cores · 31.2 GiB · glibc 2.39 · WSL 2",
}


@pytest.mark.parametrize(("name", "text"), SUMMARIES.items())
def test_summary(name: str, text: str) -> None:
    assert summary(host_of(name)) == text


def test_scrubbing_takes_the_owner_out_and_keeps_the_rest() -> None:
    capture = msgspec.structs.replace(
        capture_of("rtx-5090"),
        environment={"HOME": "/home/ada"},
        files={
            "/home/ada/x": "ada@tower and /home/ada/bin, not adamant or towering",
            "/proc/version": "Linux version 6.8 (ada@tower.lan) (gcc 13)",
        },
    )
    clean = scrub(capture, Identity("/home/ada", "ada", "tower"), uuids=True)
    assert clean.environment == {"HOME": "/home/user"}
    assert clean.files == {
        "/home/user/x": "user@host and /home/user/bin, not adamant or towering",
        "/proc/version": "Linux version 6.8 (builder@host) (gcc 13)",
    }
    assert "GPU-00000000-0000-0000-0000-000000000000" in write_capture(clean)
    assert scrub(clean, Identity("/home/ada", "ada", "tower"), uuids=True) == clean


def test_scrubbing_leaves_short_names_alone() -> None:
    capture = capture_of("rtx-5090")
    assert scrub(capture, Identity("/", "root", "vm")) == capture
