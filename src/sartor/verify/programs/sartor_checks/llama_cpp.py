"""llama.cpp through one of its Python bindings: a GGUF model runs, and its logits are right.

The same weights in F32, F16 and Q8_0, which all hold them exactly; the reference reads them from a
safetensors folder, so that GGUF's order of rows is proved too.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any, List  # noqa: UP035 - Python 3.9

from sartor_checks import Check, NotMade, Settings, asked_for

try:
    import numpy as np

    from sartor_checks import logits, reference
except ImportError:
    np = None  # type: ignore[assignment]

MODES = {"F32": "float16", "F16": "float16", "Q8_0": "q8_0"}
"""How a product is computed: the KV cache is float16 whatever the weights are."""
WITHOUT = "NumPy, which the reference is computed with, is not here and could not be fetched"
CONTEXT = 512
ALL_LAYERS = 99


def checks(settings: Settings) -> list[Check]:
    """``binding``: the project's name; ``models``: a GGUF file for each of `MODES`; ``reference``:
    the safetensors folder; ``folder``: for answers; ``device``: cpu or cuda."""
    found = []
    for grade, words, run in (("launches", "runs", launched), ("golden", "logits", compared)):
        for kind in settings["models"]:
            name = f"{settings['binding']} {words}, {kind}"
            made = partial(run, kind, settings)
            found.append(Check(name, grade, made, 300.0, settings["binding"]))
    return asked_for(found, settings)


def launched(kind: str, settings: Settings) -> str:
    """Load the model, ask it, keep what it said."""
    if np is None:
        raise NotMade(WITHOUT)
    asked = {"xllamacpp": by_xllamacpp, "llama-cpp-python": by_llama_cpp_python}
    vocabulary = reference.vocabulary(settings["reference"])
    answers = asked[settings["binding"]](
        settings["models"][kind], ALL_LAYERS if settings["device"] == "cuda" else 0, vocabulary
    )
    logits.keep(settings["folder"], settings["binding"] + kind, answers)
    count = sum(len(answer.rows) for answer in answers)
    if not all(np.isfinite(answer.rows).all() for answer in answers):
        raise RuntimeError("it answered with something that is no number")
    return f"{count} positions"


def compared(kind: str, settings: Settings) -> Any:
    """The answer that `launched` kept, against the reference."""
    if np is None:
        raise NotMade(WITHOUT)
    answers = logits.kept(settings["folder"], settings["binding"] + kind)
    return logits.held_against(settings["reference"], answers, MODES[kind])


def by_xllamacpp(path: str, layers: int, vocabulary: int) -> List[Any]:  # noqa: UP006
    """Its server's completions, with the log-probability of every token of each that it chose."""
    binding = importlib.import_module("xllamacpp")
    params = binding.CommonParams()
    params.model.path = path
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.n_gpu_layers = layers
    params.ui = False
    server = binding.Server(params)
    answers = []
    for prompt in logits.prompts(vocabulary):
        said = server.handle_completions(
            {
                "prompt": prompt,
                "max_tokens": logits.NEW_TOKENS,
                "temperature": 0.0,
                "logprobs": vocabulary,
                "ignore_eos": True,
                "cache_prompt": False,
            }
        )
        try:
            chosen = said["choices"][0]["logprobs"]["content"]
        except (KeyError, TypeError):
            raise NotMade("this version tells no log-probabilities: " + str(said)[:300]) from None
        rows = np.full((len(chosen), vocabulary), np.nan)
        for row, one in zip(rows, chosen):
            for other in one["top_logprobs"]:
                row[other["id"]] = other["logprob"]
        answers.append(logits.Answer(prompt + [one["id"] for one in chosen], rows, len(prompt)))
    return answers


def by_llama_cpp_python(path: str, layers: int, vocabulary: int) -> List[Any]:  # noqa: UP006
    """Its logits at every position."""
    binding = importlib.import_module("llama_cpp")
    model = binding.Llama(path, n_ctx=CONTEXT, n_gpu_layers=layers, logits_all=True, verbose=False)
    answers = []
    for prompt in logits.prompts(vocabulary):
        tokens = list(prompt)
        model.reset()
        model.eval(tokens)
        for _ in range(logits.NEW_TOKENS):
            tokens.append(int(np.argmax(model.scores[len(tokens) - 1])))
            model.eval(tokens[-1:])
        said = np.array(model.scores[: len(tokens) - 1], np.float64)
        said -= said.max(-1, keepdims=True)
        rows = said - np.log(np.exp(said).sum(-1, keepdims=True))
        answers.append(logits.Answer(tokens, rows, len(prompt)))
    return answers
