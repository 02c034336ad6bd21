"""Samples against their distributions, at a stated significance and from fixed seeds.

A right sampler fails one of these with probability `SIGNIFICANCE` per choice of seed. Of continuous
samples it is the greatest distance of distribution functions (Dvoretzky, Kiefer, Wolfowitz with
Massart's constant: no more than sqrt(ln(2 / s) / 2N)), of discrete ones Pearson's chi-square
(its quantile by Wilson and Hilferty).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import torch

from sartor_checks import Measure
from sartor_checks.torch_elements import normal_below
from sartor_checks.torch_numbers import (
    EXACT,
    Expected,
    Golden,
    Inputs,
    Tensor,
    compared,
    measured,
    uniform,
)

SIGNIFICANCE = 1e-7
COUNT = 1 << 20
SEED = 20240229
CORE = ["core operators"]
BELOW: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": lambda x: x.clamp(0, 1),
    "exponential": lambda x: 1 - torch.exp(-x.clamp(min=0)),
    "normal": normal_below,
}


def goldens() -> list[Golden]:
    """Every check of this module."""
    found = [continuous(which) for which in BELOW]
    found += [multinomial(True), multinomial(False), gumbel(), dropout()]
    return [*found, same_seed(), other_seed(), twister()]


def seeded(inputs: Inputs, seed: int = SEED) -> Any:
    """A generator on the inputs' device."""
    device = next(v.device for v in inputs.values() if isinstance(v, torch.Tensor))
    return torch.Generator(device=device).manual_seed(seed)


def empty() -> Inputs:
    """Where samples are put."""
    return {"x": torch.zeros(COUNT)}


def distribution(samples: Tensor, below: Callable[[Tensor], Tensor]) -> Measure:
    """The greatest distance between the samples' distribution function and the real one."""
    data, at = samples.double().sort().values, 64
    places = torch.arange(1, at * 64, dtype=torch.int64) * (COUNT // (at * 64))
    real, share = below(data[places]), places.double() / COUNT
    # Equal samples (a uniform float32 has 2^24 values) and the step itself: one part in 2^23.
    distance = (real - share).abs().max() - 1 / COUNT - 2.0**-23
    bound = math.sqrt(math.log(2 / SIGNIFICANCE) / (2 * COUNT))
    text = f"the distribution itself; significance {SIGNIFICANCE:g}, {COUNT} samples"
    return measured(samples, float(distance), bound, "of probability (Kolmogorov's D)", text)


def continuous(which: str) -> Golden:
    """Samples of one distribution."""

    def operator(given: Inputs) -> Tensor:
        return getattr(given["x"], which + "_")(generator=seeded(given))

    if which == "normal":
        operator = normals
    return Golden(
        f"{which} samples",
        empty,
        operator,
        lambda _given, output: distribution(output, BELOW[which]),
        features=CORE,
    )


def normals(given: Inputs) -> Tensor:
    """Normal samples."""
    return given["x"].normal_(generator=seeded(given))


def chi_square(output: Tensor, chosen: Tensor, shares: Tensor) -> Measure:
    """Pearson's statistic of choices against their probabilities."""
    counts = torch.bincount(chosen.flatten(), minlength=len(shares)).double()
    wanted = shares.double() / shares.double().sum() * chosen.numel()
    statistic = (
        float(((counts - wanted) ** 2 / wanted).sum()) if len(counts) == len(wanted) else math.inf
    )
    freedom = len(shares) - 1
    z = NormalDist().inv_cdf(1 - SIGNIFICANCE)
    quantile = freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3
    text = f"the probabilities; significance {SIGNIFICANCE:g}, {chosen.numel()} samples"
    return measured(output, statistic, quantile, f"chi-square of {freedom} degrees", text)


def shares_of(name: str) -> Tensor:
    """64 probabilities, the greatest nine times the least."""
    return uniform(name, 64) * 0.8 + 1.0


def multinomial(replacement: bool) -> Golden:
    """Choices by weight; without replacement the first of eight is one by weight."""
    name = "multinomial samples" + ", without replacement" * (not replacement)

    def operator(given: Inputs) -> Tensor:
        if replacement:
            return torch.multinomial(given["p"], COUNT, True, generator=seeded(given))
        rows = given["p"].expand(COUNT // 8, 64)
        return torch.multinomial(rows, 8, False, generator=seeded(given))

    def judge(given: Inputs, output: Tensor) -> Measure:
        if not replacement and int((output.sort(-1).values.diff() == 0).sum()):
            return measured(output, 1, 0, "rows with one choice twice", "no replacement")
        return chi_square(output, output if replacement else output[:, 0], given["p"])

    return Golden(name, lambda: {"p": shares_of(name)}, operator, judge, features=CORE)


def gumbel() -> Golden:
    """A token for each row of logits, as engines sample: the greatest of p / exponential noise."""
    name = "tokens sampled by exponential noise"

    def operator(given: Inputs) -> Tensor:
        rows = torch.softmax(given["x"].expand(COUNT // 8, 64), -1)
        return (rows / torch.empty_like(rows).exponential_(generator=seeded(given))).argmax(-1)

    def judge(given: Inputs, output: Tensor) -> Measure:
        return chi_square(output, output, torch.softmax(given["x"].double(), -1))

    return Golden(name, lambda: {"x": uniform(name, 64)}, operator, judge, features=CORE)


def dropout() -> Golden:
    """Kept with probability 3/4, and scaled by 4/3."""
    name = "dropout"

    def operator(given: Inputs) -> Tensor:
        torch.manual_seed(SEED)
        return torch.nn.functional.dropout(given["x"] + 1, 0.25)

    def judge(_given: Inputs, output: Tensor) -> Measure:
        kept = torch.tensor(4 / 3, dtype=torch.float32)
        odd = int(((output != 0) & ((output - kept).abs() > 2.0**-22)).sum())
        if odd:
            return measured(output, odd, 0, "elements neither 0 nor 4/3", "by definition")
        return chi_square(output, (output != 0).long(), torch.tensor([0.25, 0.75]))

    return Golden(name, empty, operator, judge, features=CORE)


def same_seed() -> Golden:
    """A seed gives the same bits again."""

    def operator(given: Inputs) -> Tensor:
        draws = [torch.empty_like(given["x"]).normal_(generator=seeded(given)) for _ in range(2)]
        return torch.stack(draws)

    def judge(_given: Inputs, output: Tensor) -> Measure:
        differ = int((output[0] != output[1]).sum())
        return measured(output, differ, 0, EXACT, "the same generator with the same seed")

    return Golden("a seed determines its samples", empty, operator, judge, features=CORE)


def other_seed() -> Golden:
    """Another seed, and the same generator's next samples, are others."""

    def operator(given: Inputs) -> Tensor:
        first, x = seeded(given), given["x"]
        draws = [torch.empty_like(x).uniform_(generator=first) for _ in range(2)]
        other = seeded(given, SEED + 1)
        return torch.stack([*draws, torch.empty_like(x).uniform_(generator=other)])

    def judge(_given: Inputs, output: Tensor) -> Measure:
        a, b, c = output.double() - 0.5
        # Independent uniforms: 12 sum(xy) / sqrt(N) is standard normal; three pairs are tried.
        most = max(abs(float((x * y).sum())) for x, y in ((a, b), (a, c), (b, c)))
        bound = NormalDist().inv_cdf(1 - SIGNIFICANCE / 6)
        text = f"independence; significance {SIGNIFICANCE:g}"
        return measured(output, 12 * most / math.sqrt(COUNT), bound, "standard deviations", text)

    return Golden("other seeds give other samples", empty, operator, judge, features=CORE)


def twister() -> Golden:
    """The CPU's generator is MT19937: bit for bit Python's, which is seeded alike by its state."""

    def operator(given: Inputs) -> Tensor:
        out = torch.empty(2000, dtype=torch.int32, device=given["x"].device)
        return out.random_(generator=seeded(given, 5489))

    def reference(_given: Inputs) -> Expected:
        state = [5489]
        for i in range(1, 624):
            state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & 0xFFFFFFFF)
        peer = random.Random()  # noqa: S311
        peer.setstate((3, (*state, 624), None))
        value = [peer.getrandbits(32) % 2**31 for _ in range(2000)]
        return Expected(torch.tensor(value), None, "exact: Python's MT19937")

    return Golden(
        "random whole numbers are MT19937's", empty, operator, compared(reference), devices="cpu"
    )
