"""The CUDA driver's loading calls, by ctypes on ``libcuda.so.1``; wants nothing else.

A result is the driver's code (0: success); codes are never turned into exceptions, for they are
what is measured.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Api = Literal["module", "fatbinary", "wrapper", "library"]
APIS: tuple[Api, ...] = ("module", "fatbinary", "library")
NOTHING_STORED = -1


class Wrapper(ctypes.Structure):
    """What nvcc puts into ``.nvFatBinSegment`` for each container."""

    _fields_ = (
        ("magic", ctypes.c_uint32),
        ("version", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("unused", ctypes.c_void_p),
    )


class Driver:
    """One process's driver with the first GPU's primary context."""

    def __init__(self) -> None:
        self._cuda = ctypes.CDLL("libcuda.so.1")
        self._context = ctypes.c_void_p()
        device = ctypes.c_int()
        self.must("cuInit", 0)
        self.must("cuDeviceGet", ctypes.byref(device), 0)
        self.must("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.must("cuCtxSetCurrent", self._context)
        self._cell = ctypes.c_uint64()
        self.must("cuMemAlloc_v2", ctypes.byref(self._cell), ctypes.c_size_t(4))

    def call(self, name: str, *arguments: object) -> int:
        """One call; its code."""
        function: Callable[..., int] = getattr(self._cuda, name)
        return function(*arguments)

    def must(self, name: str, *arguments: object) -> None:
        """One call that is no part of what is measured; raises `RuntimeError`."""
        code = self.call(name, *arguments)
        if code:
            raise RuntimeError(f"{name} gave {code}")

    def cuda_version(self) -> str:
        """The CUDA version that the driver supports, as ``13.0``."""
        found = ctypes.c_int()
        self.must("cuDriverGetVersion", ctypes.byref(found))
        return f"{found.value // 1000}.{found.value % 1000 // 10}"

    def load(self, image: bytes, api: Api = "module") -> tuple[int, ctypes.c_void_p]:
        """Load an image or container by one of the driver's ways; the code and the handle."""
        handle = ctypes.c_void_p()
        buffer = ctypes.create_string_buffer(image, len(image))
        data: ctypes.Array[ctypes.c_char] | Wrapper = buffer
        if api == "wrapper":
            data = Wrapper(0x466243B1, 1, ctypes.addressof(buffer), None)
        at = ctypes.byref(data)
        if api == "library":
            nothing = (None, None, 0, None, None, 0)
            code = self.call("cuLibraryLoadData", ctypes.byref(handle), at, *nothing)
        else:
            name = "cuModuleLoadData" if api == "module" else "cuModuleLoadFatBinary"
            code = self.call(name, ctypes.byref(handle), at)
        self._kept = data, buffer  # a library may read its image later than the load
        return code, handle

    def unload(self, handle: ctypes.c_void_p, api: Api = "module") -> int:
        """Unload; the code."""
        return self.call("cuLibraryUnload" if api == "library" else "cuModuleUnload", handle)

    def functions(self, handle: ctypes.c_void_p) -> int:
        """How many kernels a module holds; minus the code where the driver does not say."""
        count = ctypes.c_uint()
        code = self.call("cuModuleGetFunctionCount", ctypes.byref(count), handle)
        return -code if code else count.value

    def run(self, handle: ctypes.c_void_p, api: Api) -> tuple[int, int]:
        """Launch kernel ``k`` with one thread: the first code that is not 0, and what it stored."""
        function = ctypes.c_void_p()
        first, second = ctypes.byref(function), b"k"
        if api == "library":
            code = self.call("cuLibraryGetKernel", first, handle, second)
            code = code or self.call("cuKernelGetFunction", first, function)
        else:
            code = self.call("cuModuleGetFunction", first, handle, second)
        value = ctypes.c_int(NOTHING_STORED)
        self.must("cuMemcpyHtoD_v2", self._cell, ctypes.byref(value), ctypes.c_size_t(4))
        cells = (ctypes.c_void_p * 1)(ctypes.addressof(self._cell))
        code = code or self.call("cuLaunchKernel", function, 1, 1, 1, 1, 1, 1, 0, None, cells, None)
        code = code or self.call("cuCtxSynchronize")
        if not code:
            self.must("cuMemcpyDtoH_v2", ctypes.byref(value), self._cell, ctypes.c_size_t(4))
        return code, value.value

    def try_out(self, image: bytes, api: Api) -> tuple[int, int]:
        """Load, run kernel ``k``, unload: the first code that is not 0, and what it stored."""
        code, handle = self.load(image, api)
        if code:
            return code, NOTHING_STORED
        code, value = self.run(handle, api)
        self.unload(handle, api)
        return code, value

    def healthy(self) -> bool:
        """Whether the context still answers: an error may be sticky."""
        return self.call("cuCtxSynchronize") == 0
