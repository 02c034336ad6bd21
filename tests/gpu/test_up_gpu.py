"""On a real GPU: `sartor up` compiles llama.cpp for it, serves the demo model on it, and stops.

Wants an NVIDIA GPU with its driver, nvcc and a C++ compiler. The package index need not be
reached: with ``UV_OFFLINE`` and ``UV_FIND_LINKS`` set, and the source package under
``$SARTOR_HOME/sources``, everything comes from local files.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from on_gpu import Document, compute_processes, home, sartor

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    shutil.which("nvidia-smi") is None or shutil.which("nvcc") is None,
    reason="DID NOT RUN: no NVIDIA driver, or no nvcc, on this machine",
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Document]:
    home()
    found = sartor("up", "--build", "native-cuda", "--engine", "llama.cpp", "--detach")
    assert found["schema"] == "sartor.endpoint/1", found
    try:
        yield found
    finally:
        assert sartor("stop", "--all")["schema"] == "sartor.stopped/1"


def test_it_answers(endpoint: Document) -> None:
    openai = pytest.importorskip("openai", reason="DID NOT RUN: the openai client is not here")
    with openai.OpenAI(base_url=endpoint["url"], api_key="none") as client:
        reply = client.chat.completions.create(
            model=endpoint["model"], messages=[{"role": "user", "content": "Hello"}], max_tokens=32
        )
    assert reply.usage.completion_tokens == 32
    assert endpoint["answer"]["completion_tokens"] == 32


def test_every_layer_is_on_the_gpu(endpoint: Document) -> None:
    log = Path(endpoint["log"]).read_text("utf-8")
    assert "offloaded 5/5 layers to GPU" in log or "CUDA0" in log, log[-3000:]


def test_the_driver_sees_the_process(endpoint: Document) -> None:
    seen = compute_processes()
    if not seen:
        pytest.skip("DID NOT RUN: nvidia-smi lists no processes here (a container or a MicroVM)")
    assert endpoint["pid"] in seen


def test_the_code_is_for_this_gpu_alone(endpoint: Document) -> None:
    """cuobjdump is the judge: the library that was compiled holds this GPU's architecture."""
    if shutil.which("cuobjdump") is None:
        pytest.skip("DID NOT RUN: no cuobjdump on this machine")
    capability = sartor("detect")["gpus"][0]["compute_capability"].replace(".", "")
    library = next(
        Path(endpoint["environment"]).glob("lib/python*/site-packages/llama_cpp/lib/*cuda*")
    )
    listing = subprocess.run(
        ["cuobjdump", "--list-elf", str(library)], capture_output=True, text=True, check=True
    )
    found = {line.rsplit(".", 2)[1] for line in listing.stdout.splitlines() if "sm_" in line}
    assert found == {f"sm_{capability}"}
