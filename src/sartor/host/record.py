"""Detecting this machine and keeping what was read, so that it can be replayed elsewhere."""

from __future__ import annotations

import getpass
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.host.capture import Identity, RecordingMachine, scrub, write_capture
from sartor.host.detect import detect
from sartor.paths import write_atomically

if TYPE_CHECKING:
    from sartor.host.machine import Machine
    from sartor.host.model import Host
    from sartor.paths import Places


def record(machine: Machine, places: Places, path: Path) -> Host:
    """Detect ``machine`` and write the capture to ``path``, without its owner's name in it."""
    recording = RecordingMachine(machine)
    host = detect(recording, places)
    identity = Identity(str(Path.home()), getpass.getuser(), platform.node())
    capture = scrub(recording.capture("sartor detect --capture"), identity)
    write_atomically(path, write_capture(capture))
    return host
