"""An engine's log-probabilities on a generated model, held against those of `reference`.

The bound is measured, not guessed: `SLACK` times what the very same model moves by when the result
of each step is rounded to the engine's type (`reference.ROUNDINGS`). An engine rounds at other
places, and no more often. Type and depth are in it, and so is what this model makes of errors.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, List, NamedTuple  # noqa: UP035 - Python 3.9

import numpy as np

from sartor_checks import Measure, NotMade, Result, reference

SLACK = 3.0
PROMPTS = (7, 33, 100, 200)
"""Lengths: within a block of the KV cache and over many; together more than one step takes."""
NEW_TOKENS = 12
MODES = {
    "bfloat16": "bfloat16",
    "float16": "float16",
    "tf32": "float16",
    "float32": "float32",
    "q8_0": "float16, products of int8",
}
"""What rounding stands for a mode of computing: TF32 has the fraction of float16."""


class Answer(NamedTuple):
    """What an engine said of one prompt.

    ``tokens`` are those of the prompt and those that the engine chose; ``rows`` the natural
    log-probabilities of each after the first: ``[len(tokens) - 1, vocabulary]``.
    """

    tokens: List[int]  # noqa: UP006
    rows: Any
    prompt: int


def prompts(vocabulary: int, lengths: Any = PROMPTS) -> List[List[int]]:  # noqa: UP006
    """Random tokens, the special ones apart; the same everywhere."""
    made = []
    for length in lengths:
        digest = hashlib.shake_128(f"prompt {length}".encode()).digest(4 * length)
        made.append([int(n) for n in 3 + np.frombuffer(digest, "<u4") % (vocabulary - 3)])
    return made


def keep(folder: str, name: str, answers: List[Answer]) -> None:  # noqa: UP006
    """Write what an engine said, for the comparison, which another process may make."""
    arrays = {}
    for number, answer in enumerate(answers):
        arrays[f"tokens{number}"] = np.asarray(answer.tokens)
        arrays[f"rows{number}"] = np.asarray(answer.rows, np.float32)
        arrays[f"prompt{number}"] = np.asarray(answer.prompt)
    saved: Any = np.savez
    with _path(folder, name).open("wb") as file:
        saved(file, **arrays)


def kept(folder: str, name: str) -> List[Answer]:  # noqa: UP006
    """What `keep` wrote. `NotMade` where the engine did not come so far."""
    path = _path(folder, name)
    if not path.exists():
        raise NotMade("the engine gave no answer to compare: see the check of `launches`")
    with np.load(path) as file:
        count = sum(key.startswith("rows") for key in file)
        return [
            Answer(file[f"tokens{n}"].tolist(), file[f"rows{n}"], int(file[f"prompt{n}"]))
            for n in range(count)
        ]


def _path(folder: str, name: str) -> Path:
    return Path(folder, hashlib.sha256(name.encode()).hexdigest()[:16] + ".npz")


def held_against(model: str, answers: List[Answer], mode: str) -> Result:  # noqa: UP006
    """Compare with the reference on the same tokens; ``mode`` is one of `MODES`."""
    config, tensors = reference.read_model(model)
    sequences = [answer.tokens[:-1] for answer in answers]
    exact, moved = reference.exact_and_deviation(config, tensors, sequences, MODES[mode])
    bound = SLACK * moved * (math.sqrt(config["hidden_size"]) if mode == "float32" else 1)
    error, undecided, wrong = 0.0, 0, 0
    for answer, expected in zip(answers, exact):
        # a NaN stays one: Python's max would lose it
        error = float(np.max([error, np.abs(answer.rows - expected[-len(answer.rows) :]).max()]))
        for place in range(answer.prompt, len(answer.tokens)):
            row = expected[place - 1]
            second, first = np.partition(row, -2)[-2:]
            undecided += first - second <= 2 * bound
            own = answer.rows[place - len(answer.tokens)]
            chosen = answer.tokens[place]
            wrong += row[chosen] < first - 2 * bound or own[chosen] < own.max()
    count = sum(len(answer.rows) for answer in answers)
    inside = ", times the root of the width for the sums in it" * (mode == "float32")
    measure = Measure(
        error,
        bound,
        "log-probability",
        f"numpy, float64; the bound is {SLACK:g} times what rounding each step to {MODES[mode]} "
        f"moves it{inside}",
        digest(answers),
        [count, int(answers[0].rows.shape[-1])],
        mode,
    )
    made = sum(len(answer.tokens) - answer.prompt for answer in answers)
    detail = (
        f"{count} positions; of {made} chosen tokens {wrong} are not the best, "
        f"{undecided} were too near to tell"
    )
    return Result(measure.holds and not wrong, detail, measure)


def digest(answers: List[Answer]) -> str:  # noqa: UP006
    """The sha256 of every log-probability and token, in order."""
    whole = hashlib.sha256()
    for answer in answers:
        whole.update(np.ascontiguousarray(answer.rows, "<f4").tobytes())
        whole.update(np.asarray(answer.tokens, "<i4").tobytes())
    return whole.hexdigest()
