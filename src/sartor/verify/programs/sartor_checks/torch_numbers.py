"""How an operator of torch is held against its reference: inputs, roundoffs, bounds, digests.

Inputs are made on the CPU from whole numbers, so that every stack is given the same bits whatever
its generator. References are float64 on the CPU. A bound follows from the standard model of
floating point: ``fl(x op y) = (x op y)(1 + d)``, ``|d| <= u``, and ``gamma(n, u) = nu / (1 - nu)``
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., chapters 2 and 3).
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from sartor_checks import Check, Measure, NothingToCheck, NotMade, Result, judged, repeated

Tensor = Any
Inputs = dict[str, Any]
MOST = sys.float_info.max
"""Stands for an error that is no number: JSON has no infinity."""
STEPS = 1 << 20
"""Inputs are multiples of 1/STEPS in [-1, 1): float64 holds sums of their products exactly."""
ROUNDOFF = {
    torch.float64: 2.0**-53,
    torch.float32: 2.0**-24,
    torch.float16: 2.0**-11,
    torch.bfloat16: 2.0**-8,
    torch.complex64: 2.0**-24,
    torch.complex128: 2.0**-53,
}
CHOPPED = 2.0**-23
"""Tensor cores add in float32 by truncation (Fasi, Higham, Mikaitis, Pranesh, PeerJ CS 7:e330)."""
TF32 = 2.0**-10
"""Operands keep 11 bits; they are cut off or rounded, by the library's choice."""
NOT_OFFERED = (
    "supported only on gpus",
    "only supported on cuda devices",
    "not currently supported on your device",
    "only supports per-tensor scaling for cpu",
)
"""How torch says, before anything runs, that an operator is not for this GPU."""
RATIO = "of the componentwise bound"
EXACT = "elements that differ"


class Expected(NamedTuple):
    """``value`` in float64 (or whole numbers), ``bound`` on each element's error; None: exact."""

    value: Tensor
    bound: Tensor | None
    reference: str


class Golden(NamedTuple):
    """An operator, what it is given, and what is made of what it gives.

    ``operator`` runs on the device; ``judge`` gets the inputs and the output on the CPU.
    ``devices`` are those that have it. ``needs`` raises where this machine has it not.
    """

    name: str
    inputs: Callable[[], Inputs]
    operator: Callable[[Inputs], Tensor]
    judge: Callable[[Inputs, Tensor], Measure]
    features: list[str] = []
    devices: str = "cuda cpu"
    needs: Callable[[str], None] = lambda _device: None
    seconds: float = 120.0


def gamma(terms: float, unit: float) -> float:
    """The bound on the relative error of ``terms`` roundings of ``unit``."""
    most = terms * unit
    if most >= 1:
        raise ValueError("a bound that bounds nothing")
    return most / (1 - most)


def generator(name: str) -> Any:
    """A generator seeded by a name."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def uniform(name: str, *shape: int, dtype: Any = torch.float32, scale: float = 1.0) -> Tensor:
    """Numbers in [-scale, scale), the same ones for the same name everywhere; then rounded."""
    whole = torch.randint(-STEPS, STEPS, shape, generator=generator(name))
    return (whole.double() * (scale / STEPS)).to(dtype)


def whole(name: str, *shape: int, most: int = 2, dtype: Any = torch.float32) -> Tensor:
    """Whole numbers in [-most, most]."""
    return torch.randint(-most, most + 1, shape, generator=generator(name)).to(dtype)


def exact(tensor: Tensor) -> Tensor:
    """The tensor in float64, or complex128."""
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def digest(tensor: Tensor) -> str:
    """sha256 of a tensor's bytes."""
    plain = tensor.detach().cpu().contiguous()
    size = plain.numel() * plain.element_size()
    data = ctypes.string_at(plain.data_ptr(), size) if size else b""
    return hashlib.sha256(data).hexdigest()


def finite(number: float) -> float:
    """The number, or `MOST` for one that JSON lacks."""
    return float(number) if -MOST <= float(number) <= MOST else MOST


def measured(output: Tensor, error: float, bound: float, unit: str, reference: str) -> Measure:
    """A `Measure` of ``output``."""
    return Measure(
        finite(error),
        bound,
        unit,
        reference,
        digest(output),
        list(output.shape),
        str(output.dtype).replace("torch.", ""),
    )


def against(output: Tensor, expected: Expected) -> Measure:
    """Element by element: how much of the bound the error is, or how many elements differ."""
    value = expected.value
    if tuple(output.shape) != tuple(value.shape):
        return measured(output, MOST, 0, EXACT, expected.reference)
    if expected.bound is None:
        differ = int((output != value.to(output.dtype)).sum())
        return measured(output, differ, 0, EXACT, expected.reference)
    error = (exact(output) - value).abs()
    ratio = torch.where(error == 0, 0.0, error / expected.bound)
    worst = float(ratio.max()) if bool(torch.isfinite(ratio).all()) else MOST
    return measured(output, worst, 1.0, RATIO, expected.reference)


def compared(
    reference: Callable[[Inputs], Expected],
) -> Callable[[Inputs, Tensor], Measure]:
    """A judge by a reference."""
    return lambda inputs, output: against(output, reference(inputs))


def to_device(inputs: Inputs, device: str) -> Inputs:
    """The inputs with their tensors on a device, laid out as they are."""
    return {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}


def make(golden: Golden, device: str, operator: Any = None) -> Result:
    """Run the operator on the device and judge what it gives."""
    golden.needs(device)
    inputs = golden.inputs()

    def called() -> Tensor:
        output = (operator or golden.operator)(to_device(inputs, device))
        if device == "cuda":
            torch.cuda.synchronize()
        return output.cpu()

    return repeated(judged(golden.judge(inputs, called())), lambda: digest(called()))


def where(device: str) -> str:
    """The beginning of a check's name, and of a report's line."""
    return "torch on CUDA: " if device == "cuda" else "torch on the CPU: "


def reachable(device: str) -> None:
    """Raise `NotMade` where torch cannot compute on the device."""
    if device == "cpu":
        return
    try:
        torch.cuda.init()
    except Exception as error:
        raise NotMade("torch reaches no GPU: " + str(error).splitlines()[0]) from None


def offered(call: Callable[[], Any]) -> Any:
    """Call it; `NothingToCheck` where torch itself says that such a GPU, or CPU, has it not."""
    try:
        return call()
    except (RuntimeError, NotImplementedError) as error:
        if any(words in str(error).lower() for words in NOT_OFFERED):
            raise NothingToCheck(str(error).splitlines()[0]) from None
        raise


def golden_checks(goldens: list[Golden], device: str) -> list[Check]:
    """The checks of those that the device has."""

    def run(golden: Golden) -> Callable[[], Result]:
        def made() -> Result:
            reachable(device)
            return make(golden, device)

        return made

    prefix = where(device)
    return [
        Check(
            prefix + golden.name,
            "golden",
            run(golden),
            golden.seconds,
            "torch",
            golden.features if device == "cuda" else [],
        )
        for golden in goldens
        if device in golden.devices.split()
    ]
