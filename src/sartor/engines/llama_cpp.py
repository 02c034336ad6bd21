"""llama.cpp, through either of two Python bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.engines.launch import Command, ServeSettings, script, settings_file, visible_gpus

if TYPE_CHECKING:
    from pathlib import Path


XLLAMACPP_SEES_GPU = """
import xllamacpp
names = [device["name"] for device in xllamacpp.get_device_info()]
print(names)
raise SystemExit(not any("CUDA" in name for name in names))
"""
LLAMA_CPP_PYTHON_SEES_GPU = """
import llama_cpp
raise SystemExit(not llama_cpp.llama_supports_gpu_offload())
"""


def xllamacpp(python: Path, run: Path, settings: ServeSettings) -> Command:
    """llama.cpp's own C++ server, inside the process of the xllamacpp binding."""
    return Command(
        argv=[str(python), "-u", script("xllamacpp_server.py"), settings_file(run, settings)],
        environment=visible_gpus(settings),
    )


def llama_cpp_python(python: Path, run: Path, settings: ServeSettings) -> Command:
    """The Python server of llama-cpp-python, over a library compiled on this machine."""
    return Command(
        argv=[
            str(python),
            "-u",
            script("llama_cpp_python_server.py"),
            settings_file(run, settings),
        ],
        environment=visible_gpus(settings),
    )
