"""The `ModelShape` that a few numbers describe: ``7.6B params, 28 layers, 4 kv heads, …``."""

from __future__ import annotations

import re

from sartor.errors import UsageError, closest
from sartor.models.shape import Attention, Layer, ModelShape, Quantization

EXAMPLE = "7.6B params, 28 layers, 4 kv heads, head dim 128, hidden 3584, vocab 152064"

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_WORDS = {
    "params": "params", "parameters": "params", "layers": "layers", "kv heads": "kv heads",
    "heads": "heads", "head dim": "head dim", "hidden": "hidden", "vocab": "vocab",
    "bits": "bits", "context": "context", "window": "window",
}  # fmt: skip
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmbt]?)\b", re.IGNORECASE)
_NEEDED = ("params", "layers", "kv heads", "head dim")


def text_shape(text: str) -> ModelShape:
    """The shape in ``text``, as `EXAMPLE` has it; raises `UsageError` with every fault at once."""
    found: dict[str, float] = {}
    faults = []
    for item in (part.strip().lower() for part in text.split(",") if part.strip()):
        match = _NUMBER.search(item)
        word = " ".join(_NUMBER.sub("", item, count=1).split()) if match else item
        if match is None or word not in _WORDS:
            near = closest(word, _WORDS, most=1)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            faults.append(f"`{item}`: neither a number nor a known word{meant}")
        else:
            found[_WORDS[word]] = float(match[1]) * _UNITS[match[2].lower()]
    faults += [f"`{name}` is missing" for name in _NEEDED if not found.get(name)]
    if faults:
        raise UsageError(
            "`--shape` cannot be read", found=faults, hint=f"write for example `{EXAMPLE}`"
        )
    return _made({name: int(value) for name, value in found.items()}, found.get("bits", 16.0))


def _made(number: dict[str, int], bits: float) -> ModelShape:
    hidden, vocab = number.get("hidden", 0), number.get("vocab", 0)
    layers, items = number["layers"], number["head dim"]
    unknown = [
        f"{name}: not stated; what it decides is left out"
        for name in ("hidden", "vocab")
        if not number.get(name)
    ]
    body = max(0, number["params"] - 2 * hidden * vocab)
    shared = 2 * number["kv heads"] * items * hidden
    each = max(0, body // layers - shared)
    cache = Attention(number["kv heads"], items, items, number.get("window"))
    inner = each * 2 // (4 * hidden) if hidden else 0
    layer = Layer([cache], attention=each // 4, shared=shared, dense=each - each // 4, width=inner)
    return ModelShape(
        family="stated",
        layers=[layer] * layers,
        hidden=hidden,
        vocab=vocab,
        heads=number.get("heads", number["kv heads"]),
        max_context=number.get("context"),
        quantization=Quantization("stated", bits) if bits != 16 else None,
        format="stated",
        unknown=unknown,
    )
