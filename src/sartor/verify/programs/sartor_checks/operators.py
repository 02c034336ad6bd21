"""Operators held against the same sums in double precision on the CPU: run first, then compared.

An operator is a function of a `Bench` that returns `Compared`. It becomes two checks: *launches*
(it ran, and what it wrote is numbers) and *golden* (each element is within what is allowed).
"""

from __future__ import annotations

import hashlib
import inspect
from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple  # noqa: UP035 - Python 3.9

import torch

from sartor_checks import (
    Check,
    Measure,
    NothingToCheck,
    NotMade,
    Result,
    Settings,
    asked_for,
    repeated,
)

UNIT = {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
"""The unit roundoff of each type: the most that rounding to it moves a number, relative to it."""
SUM = UNIT[torch.float32]


class Compared(NamedTuple):
    """``output`` of any type, and in double precision on the CPU what was ``expected``.

    ``allowed`` is how far each element may be from it, ``why`` how that comes about.
    """

    output: Any
    expected: Any
    allowed: Any
    why: str


class Bench:
    """Where an operator runs: ``device`` (cpu or cuda) and ``dtype``, the usual type there."""

    def __init__(self, device: str, dtype: Any = None) -> None:
        self.device = torch.device(device)
        self.dtype = dtype or usual_type(device)
        self.unit = UNIT[self.dtype]
        self._generator = torch.Generator().manual_seed(17)

    def normal(self, *shape: int, dtype: Any = None) -> Any:
        """Normally distributed numbers on the device."""
        found = torch.randn(*shape, generator=self._generator)
        return found.to(dtype or self.dtype).to(self.device)

    def integers(self, low: int, high: int, *shape: int, dtype: Any = torch.int64) -> Any:
        """Whole numbers from ``low`` to below ``high``, on the device."""
        found = torch.randint(low, high, shape, generator=self._generator)
        return found.to(dtype).to(self.device)

    def order(self, count: int) -> Any:
        """A random order of ``count`` things, on the device."""
        return torch.randperm(count, generator=self._generator).to(self.device)

    def put(self, values: Any, dtype: Any = None) -> Any:
        """A tensor, or a list of numbers, on the device."""
        return torch.as_tensor(values, dtype=dtype).to(self.device)

    def empty(self, *shape: int, dtype: Any = None) -> Any:
        """Zeros for an operator to write over."""
        return torch.zeros(*shape, dtype=dtype or self.dtype, device=self.device)


class Operator(NamedTuple):
    """``run`` takes a `Bench`; the operator is of ``features`` of its package."""

    name: str
    run: Callable[[Bench], Compared]
    features: List[str] = []  # noqa: UP006
    seconds: float = 120.0


def usual_type(device: str) -> Any:
    """bfloat16, or float16 on a GPU that has none."""
    if device == "cuda" and torch.cuda.get_device_capability()[0] < 8:
        return torch.float16
    return torch.bfloat16


def exact(tensor: Any) -> Any:
    """A copy in double precision on the CPU."""
    return tensor.detach().cpu().to(torch.float64)


def pairs(operators: List[Operator], settings: Settings, prefix: str) -> List[Check]:  # noqa: UP006
    """The two checks of each operator, named ``<prefix> <operator>`` and ``… runs``.

    ``settings``: ``package``, its name; ``device``, cpu or cuda; ``gpus``, how many are there;
    ``unserved``, of each feature that the package does not offer on this GPU why.
    """
    made: Dict[str, Any] = {}  # noqa: UP006
    package, operators = settings["package"], [bounded(one, settings) for one in operators]
    device = settings["device"]
    ways = ((" runs", "launches", launched), ("", "golden", compared))
    found = [
        Check(
            f"{prefix} {one.name}{what}",
            grade,
            partial(run, one, device, made),
            one.seconds,
            package,
            one.features,
        )
        for what, grade, run in ways
        for one in operators
    ]
    return asked_for(found, settings)


def bounded(operator: Operator, settings: Settings) -> Operator:
    """The operator, not made where there is no GPU, and nothing where the package offers none."""

    def run(bench: Bench) -> Compared:
        unserved = [settings["unserved"].get(name) for name in operator.features]
        if unserved and all(unserved):
            raise NothingToCheck(str(unserved[0]))
        return operator.run(bench)

    return operator._replace(run=run)


def launched(operator: Operator, device: str, made: Dict[str, Any]) -> str:  # noqa: UP006
    """Run an operator, and see that it was waited for and wrote numbers."""
    made.pop(operator.name, None)
    if device == "cuda" and not torch.cuda.is_available():
        raise NotMade("torch sees no GPU")
    found = operator.run(Bench(device))
    if device == "cuda":
        torch.cuda.synchronize()
    made[operator.name] = found
    if not bool(torch.isfinite(exact(found.output)).all()):
        raise RuntimeError("it wrote something that is no number")
    return f"{list(found.output.shape)}, {str(found.output.dtype).replace('torch.', '')}"


def compared(operator: Operator, device: str, made: Dict[str, Any]) -> Result:  # noqa: UP006
    """Compare what an operator wrote; one that another process ran is run again."""
    if operator.name not in made:
        try:
            launched(operator, device, made)
        except (NothingToCheck, NotMade):
            raise
        except Exception as error:
            raise NotMade(f"it does not run: {str(error)[:300]}") from None
    return repeated(judge(made[operator.name]), lambda: digest(operator.run(Bench(device)).output))


def judge(found: Compared) -> Result:
    """The largest error, in units of what is allowed there."""
    output = exact(found.output)
    if output.shape != found.expected.shape:
        shapes = f"its shape is {list(output.shape)}, not {list(found.expected.shape)}"
        return Result(False, shapes)
    apart = (output - found.expected).abs()
    allowed = torch.as_tensor(found.allowed, dtype=torch.float64).expand_as(apart)
    ratio = torch.where(apart == 0, apart, apart / allowed)  # nothing apart: none need be allowed
    error = float(ratio.max())
    measure = Measure(
        error,
        1.0,
        "times what is allowed: " + found.why,
        "torch, float64 on the CPU",
        digest(found.output),
        list(output.shape),
        str(found.output.dtype).replace("torch.", ""),
    )
    return Result(measure.holds, f"the largest difference is {float(apart.max()):.3g}", measure)


def digest(tensor: Any) -> str:
    """The sha256 of a tensor's bytes."""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy().tobytes()).hexdigest()


def fitting(function: Callable[..., Any], **arguments: Any) -> Any:
    """Call with those of ``arguments`` that this version takes.

    `NothingToCheck` where it wants others: that is another interface, not a broken one.
    """
    try:
        wanted = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function(**arguments)
    given = {name: value for name, value in arguments.items() if name in wanted}
    missing = [
        name
        for name, one in wanted.items()
        if one.default is one.empty and name not in given and one.kind is not one.VAR_KEYWORD
    ]
    if missing:
        raise NothingToCheck("in this version it takes other arguments: " + ", ".join(missing))
    return function(**given)
