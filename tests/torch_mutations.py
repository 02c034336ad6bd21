"""Every operator of `sartor_checks.torch_golden` made slightly wrong in several ways, and judged.

usage: PYTHON torch_mutations.py PROGRAMS [DEVICE]     (PYTHON has torch; PROGRAMS is on its path)

Prints a line of JSON for each operator: its name, whether it passes as it is, and of each wrong
implementation whether it was found out. They are:

``element``    one element of the output is lost (zero), one of middling size
``drop NAME``  the middling element of one input does not count
``precision``  inputs are cut to the next shorter type: float64 to float32, float32 to TF32, float16
               to bfloat16, bfloat16 to FP8's bits, FP8 to one bit less
``bias``       samples are 2 % too large
``repeated``   another seed's samples are the first's
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

PICKING = ("top", "argmax", "where")
"""These look at a part of their input: the greatest elements are in it."""
SYMMETRIC = ("eigh", "Cholesky")
"""These read the lower triangle."""
BITS = {
    torch.float64: 24,
    torch.complex128: 24,
    torch.float32: 11,
    torch.complex64: 11,
    torch.float16: 8,
    torch.bfloat16: 4,
    torch.float8_e4m3fn: 3,
}
"""Significant bits of the next shorter type."""
ORDERED = ("ends",)
"""Inputs that are not valid with one element zero: a GPU asserts, and is of no more use."""


def cut(tensor: Any) -> Any:
    """The tensor with the significant bits of the next shorter type."""
    if tensor.dtype not in BITS:
        return tensor
    if tensor.is_complex():
        return torch.complex(
            *(shortened(part, tensor.dtype) for part in (tensor.real, tensor.imag))
        )
    return shortened(tensor, tensor.dtype)


def shortened(tensor: Any, dtype: Any) -> Any:
    mantissa, exponent = torch.frexp(tensor.double())
    scale = 2.0 ** BITS[dtype]
    return torch.ldexp((mantissa * scale).round() / scale, exponent).to(tensor.dtype)


def differs(one: Any, other: Any) -> bool:
    if one.is_complex():
        return bool((one != other).any())
    return bool((one.double() != other.double()).any())


def chosen(tensor: Any, greatest: bool, lower: bool) -> int:
    """The index of the greatest element, or of that of median size (of the lower triangle)."""
    if greatest:
        return int(tensor.argmax())
    size = tensor.double().abs() if not tensor.is_complex() else tensor.abs().double()
    size = (size.tril() if lower else size).flatten()
    there = size.nonzero().flatten()
    return int(there[size[there].argsort()[len(there) // 2]])


def without_one(tensor: Any, name: str = "") -> Any:
    """The tensor with one element zero, laid out as it is; of attention's, with the last token."""
    changed = tensor.clone()
    if name.startswith("attention") and tensor.dim() == 4:
        changed[:, :, -1] = 0
        return changed
    place = chosen(tensor, name.startswith(PICKING), name.startswith(SYMMETRIC))
    index = torch.unravel_index(torch.tensor(place), tensor.shape)
    if tensor.dtype is torch.float8_e4m3fn:
        changed.view(torch.uint8)[index] = 0
    else:
        changed[index] = 0
    return changed


def mutations(golden: Any) -> dict[str, Any]:
    """Wrong implementations of the operator, by name."""
    found: dict[str, Any] = {}
    inputs, right = golden.inputs(), golden.operator

    def dropping(key: str) -> Any:
        return lambda given: right(
            {**given, key: without_one(given[key].cpu(), golden.name).to(given[key].device)}
        )

    sampler = golden.judge.__module__ == "sartor_checks.torch_random"
    if not sampler or "determines" in golden.name or "MT19937" in golden.name:
        found["element"] = lambda given: without_one(right(given).cpu())
    elif "other seeds" in golden.name:
        found["repeated"] = lambda given: right(given)[[0, 0, 2]]
    elif (
        "samples" in golden.name and "multinomial" not in golden.name
    ) or "dropout" in golden.name:
        found["bias"] = lambda given: right(given) * 1.02
    counted = {k: v for k, v in inputs.items() if isinstance(v, torch.Tensor) and v.any()}
    found.update({f"drop {key}": dropping(key) for key in counted if key not in ORDERED})
    shorter = {k: v for k, v in counted.items() if differs(cut(v), v)}
    if shorter and not sampler:
        found["precision"] = lambda given: right(
            {k: cut(v.cpu()).to(v.device) if k in shorter else v for k, v in given.items()}
        )
    return found


def main() -> None:
    sys.path.append(sys.argv[1])
    device = sys.argv[2] if len(sys.argv) > 2 else "cpu"
    from sartor_checks import NothingToCheck
    from sartor_checks.torch_golden import goldens
    from sartor_checks.torch_numbers import make

    for golden in goldens():
        if device not in golden.devices.split():
            continue
        line: dict[str, Any] = {"name": golden.name}
        try:
            line["right"] = make(golden, device).passed
            wrong = mutations(golden)
            line["found out"] = {k: not make(golden, device, f).passed for k, f in wrong.items()}
        except NothingToCheck as none:
            line["none"] = str(none)
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
