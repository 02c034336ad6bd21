"""The demo model's tokenizer: byte-level BPE, trained once by ``tools/train_demo_tokenizer.py``.

``demo_tokenizer.json`` is the one source; what GGUF and a safetensors folder need of it is derived.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("demo_tokenizer.json")
BEGIN, END, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{{ '<|assistant|>' }}"
    "{%- elif message['role'] == 'user' -%}{{ '<|user|>' }}"
    "{%- else -%}{{ '<|system|>' }}{%- endif -%}"
    "{{ message['content'] + '<|eos|>' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)


class _Added(msgspec.Struct, frozen=True):
    id: int
    content: str


class _Bpe(msgspec.Struct, frozen=True):
    vocab: dict[str, int]
    merges: list[tuple[str, str]]


class _Document(msgspec.Struct, frozen=True):
    added_tokens: list[_Added]
    model: _Bpe


class DemoTokenizer(msgspec.Struct, frozen=True):
    """``tokens`` by id, ``merges`` in order of preference, ``special`` ids by token."""

    tokens: list[str]
    merges: list[tuple[str, str]]
    special: dict[str, int]

    def speakable(self) -> list[bool]:
        """For each token whether it is text that any terminal can show: printable ASCII, \\n."""
        seen = {chr(b) for b in range(0x21, 0x7F)} | {_letter(b) for b in b" \n"}
        return [token not in self.special and seen.issuperset(token) for token in self.tokens]


@cache
def demo_tokenizer() -> DemoTokenizer:
    """The tokenizer that ships with Sartor."""
    document = msgspec.json.decode(FILE.read_bytes(), type=_Document)
    vocabulary = document.model.vocab
    return DemoTokenizer(
        tokens=sorted(vocabulary, key=vocabulary.__getitem__),
        merges=document.model.merges,
        special={token.content: token.id for token in document.added_tokens},
    )


def _letter(byte: int) -> str:
    """The letter that stands for an ASCII control or space ``byte`` in byte-level vocabularies."""
    return chr(0x100 + byte)
