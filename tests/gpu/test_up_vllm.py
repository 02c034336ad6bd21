"""On a real GPU: `sartor up` installs vLLM's published wheels, serves with them, and stops.

Wants an NVIDIA GPU with its driver, a C compiler and Python's headers; neither nvcc nor a CUDA
toolkit. ``GPU_RING_VLLM`` names a build other than the one that Sartor takes by itself.
The package index need not be reached where ``UV_FIND_LINKS`` names a folder with every wheel.
"""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from on_gpu import (
    Document,
    compute_processes,
    family,
    home,
    memory_in_use,
    runs,
    sartor,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import openai

openai_client = pytest.importorskip("openai", reason="DID NOT RUN: the openai client is not here")
pytestmark = pytest.mark.skipif(
    shutil.which("nvidia-smi") is None, reason="DID NOT RUN: no NVIDIA driver on this machine"
)

KEY = "a-key-of-mine"
BUILD = os.environ.get("GPU_RING_VLLM")
AT_ONCE = 64
LEFT_BY_OTHERS = {".cache", "uv", ".nv"}
"""What uv, and the driver (an empty folder), make in the user's home folder."""


def up(*arguments: str) -> Document:
    """The endpoint of the demo model on vLLM; the key is ours."""
    build = ["--build", BUILD] if BUILD else []
    argv = ["up", "--engine", "vllm", *build, "--detach", *arguments]
    found = sartor(*argv, SARTOR_API_KEY=KEY)
    assert found["schema"] == "sartor.endpoint/1", found
    return found


def places_of_caches() -> set[Path]:
    """What is in the user's own home folder, where engines like to keep what they compile."""
    folders = [Path.home(), Path.home() / ".cache", Path.home() / ".config"]
    return {path for folder in folders if folder.is_dir() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def before() -> set[Path]:
    """The user's home folder before anything ran."""
    return places_of_caches()


@pytest.fixture(scope="module")
def endpoint(before: set[Path]) -> Iterator[Document]:
    home()
    began = time.perf_counter()
    found = up()
    found["seconds"] = time.perf_counter() - began
    try:
        yield found
    finally:
        assert sartor("stop", "--all")["schema"] == "sartor.stopped/1"


def client(endpoint: Document, key: str = KEY) -> openai.OpenAI:
    found: openai.OpenAI = openai_client.OpenAI(
        base_url=endpoint["url"], api_key=key, max_retries=0
    )
    return found


def say(api: openai.OpenAI, endpoint: Document, text: str, tokens: int) -> tuple[int, int]:
    """How many tokens went in, and how many came back."""
    reply = api.chat.completions.create(
        model=endpoint["model"], messages=[{"role": "user", "content": text}], max_tokens=tokens
    )
    assert reply.usage is not None
    assert reply.choices[0].message.content
    return reply.usage.prompt_tokens, reply.usage.completion_tokens


def test_it_answers(endpoint: Document, record_property: Callable[[str, object], None]) -> None:
    record_property("seconds of the first `sartor up`", round(endpoint["seconds"], 1))
    assert (endpoint["engine"], endpoint["demo"]) == ("vllm", True)
    assert endpoint["build"] == (BUILD or endpoint["build"])
    assert endpoint["answer"]["completion_tokens"] == 32
    with client(endpoint) as api:
        (listed,) = api.models.list().data
        asked, answered = say(api, endpoint, "Hello", 16)
    assert (listed.id, listed.owned_by) == (endpoint["model"], "vllm")
    assert asked > 0
    assert answered == 16


def test_a_wrong_key_is_refused(endpoint: Document) -> None:
    with client(endpoint, "another") as api:
        with pytest.raises(openai_client.AuthenticationError):
            say(api, endpoint, "Hello", 4)
        with pytest.raises(openai_client.AuthenticationError):
            api.models.list()


def test_the_key_is_nowhere(endpoint: Document) -> None:
    logs = [f.read_text("utf-8", "replace") for f in (home() / "logs").iterdir()]
    assert not any(KEY in text for text in logs)
    assert not any(KEY in " ".join(process.cmdline()) for process in family(endpoint["pid"]))


def test_sampling_settings(endpoint: Document) -> None:
    """What a sampler compiles is compiled when a request first asks for it."""
    with client(endpoint) as api:
        reply = api.chat.completions.create(
            model=endpoint["model"],
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=8,
            temperature=0.7,
            top_p=0.9,
            extra_body={"top_k": 20},
        )
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 8


def test_many_at_once(endpoint: Document, record_property: Callable[[str, object], None]) -> None:
    with client(endpoint) as api, ThreadPoolExecutor(AT_ONCE) as pool:
        for count in (1, AT_ONCE):
            began = time.perf_counter()
            jobs = [pool.submit(say, api, endpoint, f"Tell {i}", 128) for i in range(count)]
            assert [job.result()[1] for job in jobs] == [128] * count
            speed = round(128 * count / (time.perf_counter() - began))
            record_property(f"tokens/s of the demo model, {count} at once", speed)


def test_the_gpu_holds_it(
    endpoint: Document, record_property: Callable[[str, object], None]
) -> None:
    record_property("MiB in use on the GPU", memory_in_use())
    seen = compute_processes()
    if not seen:
        pytest.skip("DID NOT RUN: nvidia-smi lists no processes here (a container or a MicroVM)")
    ours = {process.pid for process in family(endpoint["pid"])}
    assert sum(used for pid, used in seen.items() if pid in ours) > 1024, f"{seen}; ours: {ours}"


def test_the_same_again_is_the_same_server(endpoint: Document) -> None:
    again = up()
    assert again["reused"]
    assert (again["pid"], again["url"]) == (endpoint["pid"], endpoint["url"])


def test_stop_leaves_nothing_and_the_next_start_is_warm(
    endpoint: Document, before: set[Path], record_property: Callable[[str, object], None]
) -> None:
    held, ours = memory_in_use(), family(endpoint["pid"])
    assert len(ours) > 1  # the engine's core is a process of its own
    began = time.perf_counter()
    assert sartor("stop", endpoint["id"])["stopped"] == [endpoint["id"]]
    record_property("seconds of `sartor stop`", round(time.perf_counter() - began, 1))
    assert [process for process in ours if runs(process)] == []
    assert memory_in_use() < held / 10
    assert {path.name for path in places_of_caches() - before} <= LEFT_BY_OTHERS
    began = time.perf_counter()
    second = up()
    record_property("seconds of a warm `sartor up`", round(time.perf_counter() - began, 1))
    assert second["environment"] == endpoint["environment"]
    assert second["pid"] != endpoint["pid"]
    assert second["answer"]["completion_tokens"] == 32
    assert sartor("stop")["stopped"] == [second["id"]]
