"""The CUDA driver's loading calls, by ctypes on ``libcuda.so.1``; no other package is wanted.

A result is the driver's code (0: success), which is what is checked. Signatures and codes: `cuda.h`
of the toolkit 13.0.
"""

from __future__ import annotations

import ctypes
from typing import Any, Optional, Tuple  # noqa: UP035

CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
"""Of ``CUdevice_attribute``."""
LIBRARY = "libcuda.so.1"


class NoDriver(Exception):  # noqa: N818 - its text is why nothing is checked
    """Why the driver cannot be used here."""


class Driver:
    """The driver, with a context on the first GPU of a compute capability (``9.0``)."""

    def __init__(self, capability: str) -> None:
        try:
            self._cuda = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise NoDriver(str(error)) from None
        self._must("cuInit", 0)
        self.device = self._device_of(capability)
        self._context = ctypes.c_void_p()
        self._must("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self.device)
        self._must("cuCtxSetCurrent", self._context)

    def load(self, image: bytes) -> int:
        """Load a container or a cubin as a module and let it go: the driver's code.

        It is handed over with a NUL behind it, which the driver wants behind a text.
        """
        module = ctypes.c_void_p()
        buffer = ctypes.create_string_buffer(image, len(image) + 1)
        code = self._call("cuModuleLoadData", ctypes.byref(module), buffer)
        return code or self._call("cuModuleUnload", module)

    def healthy(self) -> bool:
        """Whether the context still answers: an error may be sticky."""
        return self._call("cuCtxSynchronize") == 0

    def memory(self) -> Tuple[int, int]:  # noqa: UP006
        """Free and total bytes of the GPU's memory, whoever took the rest."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._must("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def name_of(self, code: int) -> str:
        """A code by its name: ``CUDA_ERROR_NO_BINARY_FOR_GPU (209)``."""
        text = ctypes.c_char_p()
        failed = self._call("cuGetErrorName", code, ctypes.byref(text))
        name = text.value.decode("ascii", "replace") if not failed and text.value else "error"
        return f"{name} ({code})"

    def _device_of(self, capability: str) -> ctypes.c_int:
        count = ctypes.c_int()
        self._must("cuDeviceGetCount", ctypes.byref(count))
        for ordinal in range(count.value):
            device = ctypes.c_int()
            self._must("cuDeviceGet", ctypes.byref(device), ordinal)
            numbers = [
                self._attribute(device, which) for which in (CAPABILITY_MAJOR, CAPABILITY_MINOR)
            ]
            if ".".join(map(str, numbers)) == capability:
                return device
        raise NoDriver(f"the driver shows no GPU of compute capability {capability}")

    def _attribute(self, device: ctypes.c_int, which: int) -> int:
        value = ctypes.c_int()
        self._must("cuDeviceGetAttribute", ctypes.byref(value), which, device)
        return value.value

    def _call(self, name: str, *arguments: Any) -> int:
        function: Any = getattr(self._cuda, name)
        code: int = function(*arguments)
        return code

    def _must(self, name: str, *arguments: Any) -> None:
        code = self._call(name, *arguments)
        if code:
            raise NoDriver(f"{name} gives {self.name_of(code)}")


class Files:
    """The file that was read last, kept open."""

    def __init__(self) -> None:
        self._path: Optional[str] = None  # noqa: UP045
        self._file: Any = None

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Bytes of a file; fewer where it ends."""
        if path != self._path:
            if self._file is not None:
                self._file.close()
            self._file, self._path = open(path, "rb", buffering=0), path  # noqa: PTH123, SIM115
        self._file.seek(offset)
        data: bytes = self._file.read(size)
        return data
