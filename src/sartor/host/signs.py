"""Whether this machine shows any sign of an NVIDIA GPU that a driver answers for.

Looked at before anything else is: a machine without one is not asked for its GPUs at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

CONTROL_DEVICE = "/dev/nvidiactl"
VERSION_FILE: Final = "/proc/driver/nvidia/version"
TEGRA_DEVICES = ("/dev/nvgpu", "/dev/nvhost-gpu", "/dev/nvhost-ctrl-gpu")
SIGNS = (CONTROL_DEVICE, "/dev/dxg", "/dev/nvmap", *TEGRA_DEVICES, VERSION_FILE)
"""The control node on Linux, WSL's, Jetson releases', and what the module says of itself."""


def nvidia_here() -> bool:
    """Whether it is worth asking the driver."""
    return any(Path(sign).exists() for sign in SIGNS)
