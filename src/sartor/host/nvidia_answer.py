"""What a source says about the NVIDIA driver, or why it says nothing."""

from __future__ import annotations

import msgspec

from sartor.host.machine import Unread
from sartor.host.model import Gpu


class Answer(msgspec.Struct, frozen=True):
    """What one source says about the driver and the GPUs it answers for.

    ``refused`` maps a path (``gpus[0].memory_bytes``) to the source's reason for not giving it.
    """

    source: str
    version: str | None = None
    cuda: str | None = None
    gpus: list[Gpu] = []
    refused: dict[str, str] = {}


class Refusals(msgspec.Struct, frozen=True):
    """Why NVML and ``nvidia-smi`` gave no answer; None for one that did, or was not needed."""

    nvml: Unread | None = None
    smi: Unread | None = None

    def text(self) -> str:
        """Both reasons in one line."""
        named = (("NVML", self.nvml), ("nvidia-smi", self.smi))
        return "; ".join(f"{name}: {refusal.why}" for name, refusal in named if refusal)

    @property
    def failed(self) -> bool:
        """Whether something of the driver is installed and does not work."""
        return any(refusal and not refusal.missing for refusal in (self.nvml, self.smi))

    @property
    def mismatch(self) -> bool:
        """Whether a source says that the loaded module and the installed library differ.

        NVML itself words it ``Driver/library version mismatch``, `pynvml` ``NVML/RM version
        mismatch``.
        """
        return "version mismatch" in self.text()
