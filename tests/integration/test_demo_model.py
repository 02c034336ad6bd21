"""The demo model before independent judges: the `gguf` package, and llama.cpp itself."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest
from gguf import GGUFReader
from gguf.constants import GGML_QUANT_SIZES
from tokenizers import Tokenizer

from sartor.models.demo import demo_gguf
from sartor.models.demo_tokenizer import FILE
from sartor.models.ggml import TENSOR_TYPES
from sartor.models.gguf import Array, Value, read_gguf
from sartor.paths import Places
from sartor.reporter import Silent

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """
import json, sys, urllib.request, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.port = sys.argv[1], 2048, 0
server = xllamacpp.Server(parameters)
def ask(path, body):
    data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(server.listening_address + path, data, kind)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return json.load(opener.open(request, timeout=60))
texts = json.loads(sys.stdin.read())
messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "Hello"}]
chat = {"messages": messages, "max_tokens": 200, "temperature": 0}
ids = [ask("/tokenize", {"content": text, "parse_special": True})["tokens"] for text in texts]
print("ANSWER" + json.dumps({
    "ids": ids,
    "texts": [ask("/detokenize", {"tokens": one})["content"] for one in ids],
    "prompt": ask("/apply-template", {"messages": messages})["prompt"],
    "chats": [server.handle_chat_completions(chat) for _ in range(2)],
}))
"""


class Message(msgspec.Struct):
    content: str


class ChatChoice(msgspec.Struct):
    message: Message
    finish_reason: str


class Usage(msgspec.Struct):
    completion_tokens: int


class Chat(msgspec.Struct):
    choices: list[ChatChoice]
    usage: Usage


class Answer(msgspec.Struct):
    ids: list[list[int]]
    texts: list[str]
    prompt: str
    chats: list[Chat]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_gguf(Places(tmp_path_factory.mktemp("demo")), Silent())


def plain(value: Value) -> object:
    if not isinstance(value.data, Array):
        return value.data
    assert value.data.items is not None
    return list(value.data.items)


def test_the_gguf_package_reads_the_same_keys(demo: Path) -> None:
    header = read_gguf(demo, keep_items=1 << 20)
    judge = GGUFReader(demo)
    fields = {name: f for name, f in judge.fields.items() if not name.startswith("GGUF.")}
    assert {name: f.contents() for name, f in fields.items()} == {
        name: pytest.approx(value.data) if isinstance(value.data, float) else plain(value)
        for name, value in header.metadata.items()
    }
    assert {name: int(f.types[0]) for name, f in fields.items()} == {
        name: int(value.type) for name, value in header.metadata.items()
    }


def test_the_gguf_package_reads_the_same_tensors(demo: Path) -> None:
    header = read_gguf(demo)
    assert [
        (t.name, t.shape, t.type_number, t.size_bytes, header.data_offset + t.offset)
        for t in header.tensors
    ] == [
        (t.name, tuple(t.shape), t.tensor_type, t.n_bytes, t.data_offset)
        for t in GGUFReader(demo).tensors
    ]


def test_the_gguf_package_knows_the_same_types() -> None:
    theirs = {int(kind): (kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()}
    ours = {n: (t.name, t.block_items, t.block_bytes) for n, t in TENSOR_TYPES.items()}
    # the package still counts two f32 scales in a block that has two f16 ones
    assert theirs.pop(9) == ("Q8_1", 32, 40)
    assert ours.pop(9) == ("Q8_1", 32, 36)
    assert {n: ours.get(n) for n in theirs} == theirs


def sample_texts() -> list[str]:
    chosen = random.Random(7)  # noqa: S311 - reproducible, not secret
    ranges = [(1, 128), (128, 0x500), (0x2000, 0x3100), (0x1F300, 0x1F700), (32, 33), (10, 14)]
    texts = [
        "Hello, world",
        "  two  spaces\n\n\tTab",
        "naïve 日本語 👩‍👩‍👧🎉",
        "<|user|>don't<|eos|>",
        "\0",
    ]
    for _ in range(200):
        spans = [chosen.choice(ranges) for _ in range(chosen.randrange(1, 40))]
        texts.append("".join(chr(chosen.randrange(*span)) for span in spans))
    return texts


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with llama.cpp in it, from the configured package index."""
    folder = tmp_path_factory.mktemp("llama") / "venv"
    python = folder / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    commands = [
        [*uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [*uv, "pip", "install", "--quiet", "--python", str(python), "xllamacpp"],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"NOT CHECKED: llama.cpp could not be installed: {done.stderr[-500:]}")
    return python


@pytest.fixture(scope="module")
def answer(demo: Path, llama: Path) -> Answer:
    done = subprocess.run(
        [str(llama), "-c", SERVER, str(demo)],
        input=json.dumps(sample_texts()),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    text = done.stdout[done.stdout.index("ANSWER") + 6 :]
    return msgspec.json.decode(text.splitlines()[0], type=Answer)


def test_llama_cpp_tokenizes_as_the_tokenizer_was_trained(answer: Answer) -> None:
    judge = Tokenizer.from_file(str(FILE))
    assert answer.ids == [judge.encode(text).ids for text in sample_texts()]
    assert answer.texts == sample_texts()


def test_llama_cpp_chats(answer: Answer) -> None:
    assert answer.prompt == "<|system|>s<|eos|><|user|>Hello<|eos|><|assistant|>"
    first, second = answer.chats
    assert first.usage.completion_tokens == 200
    assert first.choices[0].finish_reason == "length"
    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.choices[0].message.content.isascii()
