"""Whether this machine shows any sign of an NVIDIA GPU that a driver answers for.

Looked at before anything else is: a machine without one is not asked for its GPUs at all.
"""

from __future__ import annotations

from pathlib import Path

SIGNS = ("/dev/nvidiactl", "/dev/dxg", "/dev/nvmap", "/proc/driver/nvidia/version")
"""The control node on Linux, WSL's, Jetson's, and what the kernel module says of itself."""


def nvidia_here() -> bool:
    """Whether it is worth asking the driver."""
    return any(Path(sign).exists() for sign in SIGNS)
