"""Train the demo model's tokenizer and write it into the package.

Run once, with the `tokenizers` library: ``python tools/train_demo_tokenizer.py``. The result is
committed; nobody needs to run this again unless the vocabulary is to change. The corpus is the
text of Python's own language reference as it ships in `pydoc_data.topics`, and this project's
documentation.
"""

from __future__ import annotations

import json
from pathlib import Path
from pydoc_data.topics import topics

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src/sartor/models/demo_tokenizer.json"
VOCABULARY = 2048
SPECIAL = ["<|bos|>", "<|eos|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"]


def corpus() -> list[str]:
    """The texts to learn from, in a fixed order."""
    pages = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    return [topics[key] for key in sorted(topics)] + [page.read_text("utf-8") for page in pages]


def train(texts: list[str]) -> Tokenizer:
    """A byte-level BPE as GPT-2 has it: every byte is a token, so every text can be written."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def main() -> None:
    """Train and write."""
    document = json.loads(train(corpus()).to_str())
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    TARGET.write_text(text, "utf-8")
    print(f"{TARGET}: {len(document['model']['vocab'])} tokens, {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
