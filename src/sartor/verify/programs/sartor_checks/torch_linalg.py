"""Fourier transforms by definition, and linear algebra by its backward error.

A transform is a product of factors F_p for the primes p of n: each is off by at most
``sqrt(2) sqrt(p) g(p + 4)`` in the 2-norm (Higham 24.2, for p = 2). Solvers are judged by what
their solutions solve exactly: ``|b - Ax| <= g(3n) |L||U||x|`` (Higham 9.4), ``|A - LL'| <=
g(n + 1) |L||L'|`` (10.3); decompositions by LAPACK's own test, 30 n eps (LAPACK Working Note 41).
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from sartor_checks import Measure, NothingToCheck
from sartor_checks.torch_numbers import (
    ROUNDOFF,
    Golden,
    Inputs,
    Tensor,
    exact,
    finite,
    gamma,
    measured,
    uniform,
)
from sartor_checks.torch_products import name_of, strict

LINALG = ["linear algebra (MAGMA)"]
LAPACK = 30
REALS = (torch.float32, torch.float64)


def goldens() -> list[Golden]:
    """Every check of this module."""
    found = [transform(n, torch.complex64) for n in (1024, 1000, 1001)]
    found += [transform(1024, torch.complex128), real_transform(), plane_transform()]
    for dtype in REALS:
        found += [solve(dtype), cholesky(dtype), decomposition("svd", dtype)]
        found += [decomposition("eigh", dtype), decomposition("qr", dtype)]
    return [*found, triangular(), magma()]


def primes(n: int) -> list[int]:
    """The prime factors of n."""
    found, p = [], 2
    while n > 1:
        while n % p == 0:
            found.append(p)
            n //= p
        p += 1
    return found


def fourier(n: int) -> Tensor:
    """The matrix of the transform, each angle reduced to one turn before it is rounded."""
    index = torch.arange(n)
    turns = (index[:, None] * index[None, :] % n).double() / n
    return torch.polar(torch.ones(n, n, dtype=torch.float64), -2 * math.pi * turns)


def fourier_bound(n: int, dtype: Any) -> float:
    """The relative error of a transform of n points in the 2-norm.

    A length with large primes may be Bluestein's: three transforms of twice the next power of two.
    """
    unit = ROUNDOFF[dtype]
    mixed = sum(math.sqrt(2 * p) * gamma(p + 4, unit) for p in primes(n))
    power = 2 ** (math.ceil(math.log2(n)) + 1)
    chirp = 3 * sum(2 * gamma(6, unit) for _ in primes(power)) + gamma(12, unit)
    return max(mixed, chirp) if max(primes(n)) > 7 else mixed


def normwise(output: Tensor, value: Tensor, relative: float) -> Measure:
    """The 2-norm of the error over that of the value."""
    error = float((exact(output) - value).norm() / value.norm())
    text = f"the definition's sums in complex128 on the CPU; bound {relative:.3g} ||y||"
    return measured(output, finite(error), relative, "of the 2-norm", text)


def halves(name: str, *shape: int, dtype: Any) -> Tensor:
    """Complex numbers of either precision."""
    real = torch.float64 if dtype is torch.complex128 else torch.float32
    return torch.complex(*(uniform(name + part, *shape, dtype=real) for part in "ri"))


def transform(n: int, dtype: Any) -> Golden:
    """Some transforms of n points at once."""
    name = f"FFT of {n}, {name_of(dtype)}"

    def judge(given: Inputs, output: Tensor) -> Measure:
        # The reference's sums have an error of their own, which complex128 lets be seen.
        own = 4 * gamma(n, 2.0**-53) if dtype is torch.complex128 else 0.0
        return normwise(output, exact(given["x"]) @ fourier(n), fourier_bound(n, dtype) + own)

    return Golden(
        name, lambda: {"x": halves(name, 3, n, dtype=dtype)}, lambda x: torch.fft.fft(x["x"]), judge
    )


def real_transform() -> Golden:
    """Of real numbers, and back again."""
    name, n = "real FFT of 960", 960

    def judge(given: Inputs, output: Tensor) -> Measure:
        value = (exact(given["x"]).to(torch.complex128) @ fourier(n))[:, : n // 2 + 1]
        # Half of the norm is kept, all of the error may be in it; packing is one more pass.
        bound = 2 * fourier_bound(n, torch.complex64) + gamma(8, 2.0**-24)
        return normwise(output, value, bound)

    return Golden(name, lambda: {"x": uniform(name, 4, n)}, lambda x: torch.fft.rfft(x["x"]), judge)


def plane_transform() -> Golden:
    """Two dimensions, and the inverse."""
    name, sizes = "inverse FFT of 48x64", (48, 64)

    def judge(given: Inputs, output: Tensor) -> Measure:
        first, second = (fourier(n).conj() / n for n in sizes)
        bound = sum(fourier_bound(n, torch.complex64) for n in sizes) + gamma(2, 2.0**-24)
        return normwise(output, first @ exact(given["x"]) @ second, bound)

    return Golden(
        name,
        lambda: {"x": halves(name, *sizes, dtype=torch.complex64)},
        lambda x: torch.fft.ifft2(x["x"]),
        judge,
    )


def dominant(name: str, n: int, dtype: Any) -> Tensor:
    """A matrix whose columns' diagonal outweighs the rest: its LU exchanges no rows."""
    matrix = uniform(name, n, n).double()
    outweighing = matrix.abs().sum(0) + 1
    return (matrix + torch.diag(outweighing)).to(dtype)


def factors(matrix: Tensor) -> Tensor:
    """|L||U| by elimination, in float64."""
    upper, lower = matrix.clone(), torch.eye(len(matrix), dtype=torch.float64)
    for k in range(len(matrix) - 1):
        lower[k + 1 :, k] = upper[k + 1 :, k] / upper[k, k]
        upper[k + 1 :] -= lower[k + 1 :, k : k + 1] * upper[k]
    return lower.abs() @ upper.triu().abs()


def residual(output: Tensor, error: Tensor, bound: Tensor, text: str) -> Measure:
    """The greatest part of its bound that an element of a residual takes."""
    worst = float((error.abs() / bound).max())
    return measured(output, finite(worst), 1.0, "of the componentwise bound", text)


def solve(dtype: Any) -> Golden:
    """Linear equations."""
    name, n = f"solve {name_of(dtype)}", 72

    def judge(given: Inputs, output: Tensor) -> Measure:
        a, b, x = exact(given["a"]), exact(given["b"]), exact(output)
        bound = gamma(3 * n, ROUNDOFF[dtype]) * (factors(a) @ x.abs())
        bound += gamma(n + 2, 2.0**-53) * (a.abs() @ x.abs() + b.abs())
        text = "b - Ax in float64 on the CPU; bound g(3n) |L||U||x|"
        return residual(output, b - a @ x, bound, text)

    return Golden(
        name,
        lambda: {"a": dominant(name, n, dtype), "b": uniform("b" + name, n, 5, dtype=dtype)},
        lambda x: strict(lambda: torch.linalg.solve(x["a"], x["b"])),
        judge,
    )


@contextlib.contextmanager
def by_magma() -> Iterator[None]:
    """Let torch take MAGMA where it has the choice; `NothingToCheck` where it has none."""
    if not torch.cuda.has_magma:
        raise NothingToCheck("this torch is built without MAGMA")
    prefer = torch.backends.cuda.preferred_linalg_library
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is an experimental choice
        before = prefer()
        prefer("magma")
        try:
            yield
        finally:
            prefer(before)


def magma() -> Golden:
    """Many small systems at once."""
    name, n, dtype = "solve float32, a batch, by MAGMA", 30, torch.float32

    def operator(given: Inputs) -> Tensor:
        with by_magma():
            return strict(lambda: torch.linalg.solve(given["a"], given["b"]))

    def judge(given: Inputs, output: Tensor) -> Measure:
        a, b, x = exact(given["a"]), exact(given["b"]), exact(output)
        sizes = torch.stack([factors(matrix) for matrix in a])
        bound = gamma(3 * n, ROUNDOFF[dtype]) * (sizes @ x.abs())
        return residual(output, b - a @ x, bound, "b - Ax in float64; bound g(3n) |L||U||x|")

    def inputs() -> Inputs:
        each = [dominant(f"{name} {i}", n, dtype) for i in range(5)]
        return {"a": torch.stack(each), "b": uniform("b" + name, 5, n, 3)}

    return Golden(name, inputs, operator, judge, features=LINALG, devices="cuda")


def triangular() -> Golden:
    """Triangular systems by cuBLAS."""
    name, n, dtype = "triangular solve float32", 80, torch.float32

    def operator(given: Inputs) -> Tensor:
        return torch.linalg.solve_triangular(given["a"], given["b"], upper=True)

    def judge(given: Inputs, output: Tensor) -> Measure:
        a, b, x = exact(given["a"]), exact(given["b"]), exact(output)
        bound = gamma(3 * n, ROUNDOFF[dtype]) * (a.abs() @ x.abs())
        return residual(output, b - a @ x, bound, "b - Ax in float64; bound g(3n) |A||x|")

    return Golden(
        name,
        lambda: {
            "a": dominant(name, n, dtype).triu(),
            "b": uniform("b" + name, n, 5, dtype=dtype),
        },
        lambda x: strict(lambda: operator(x)),
        judge,
    )


def symmetric(name: str, n: int, dtype: Any) -> Tensor:
    """A positive definite matrix."""
    matrix = uniform(name, n, n).double()
    return ((matrix + matrix.T) / 2 + n * torch.eye(n)).to(dtype)


def cholesky(dtype: Any) -> Golden:
    """A = LL'."""
    name, n = f"Cholesky {name_of(dtype)}", 90

    def judge(given: Inputs, output: Tensor) -> Measure:
        a, factor = exact(given["a"]), exact(output)
        bound = gamma(n + 1, ROUNDOFF[dtype]) * (factor.abs() @ factor.abs().T)
        bound += gamma(n + 1, 2.0**-53) * (factor.abs() @ factor.abs().T)
        text = "A - LL' in float64 on the CPU; bound g(n + 1) |L||L'|"
        error = torch.where(factor.triu(1) == 0, a - factor @ factor.T, math.inf)
        return residual(output, error, bound, text)

    return Golden(
        name,
        lambda: {"a": symmetric(name, n, dtype)},
        lambda x: strict(lambda: torch.linalg.cholesky(x["a"])),
        judge,
    )


def packed(parts: Any) -> Tensor:
    """The parts of a decomposition in one tensor: it is judged as a whole."""
    return torch.cat([part.flatten() for part in parts])


DECOMPOSITIONS: dict[str, Callable[[Tensor], Any]] = {
    "svd": lambda a: torch.linalg.svd(a, full_matrices=False),
    "eigh": torch.linalg.eigh,
    "qr": torch.linalg.qr,
}


def decomposition(which: str, dtype: Any) -> Golden:
    """What its parts make together, and how orthogonal they are."""
    name, n = f"{which} {name_of(dtype)}", 24
    m = 24 if which == "eigh" else 32

    def inputs() -> Inputs:
        a = symmetric(name, n, dtype) if which == "eigh" else uniform(name, m, n, dtype=dtype)
        return {"a": a}

    def judge(given: Inputs, output: Tensor) -> Measure:
        a, out = exact(given["a"]), exact(output)
        sizes = {"svd": (m * n, n, n * n), "eigh": (n, n * n), "qr": (m * n, n * n)}[which]
        parts = out.split(sizes)
        whole, bases, tidy = assembled(which, parts, m, n)
        one = torch.eye(n, dtype=torch.float64)
        errors = [float((a - whole).norm() / a.norm()), *(float((b - one).norm()) for b in bases)]
        bound = LAPACK * max(m, n) * 2 * ROUNDOFF[dtype]
        worst = max(errors) if tidy and all(map(math.isfinite, errors)) else math.inf
        text = "the parts' product, and Q'Q, in float64 on the CPU; bound 30 n eps"
        return measured(output, finite(worst), bound, "of the Frobenius norm", text)

    return Golden(
        name,
        inputs,
        lambda x: strict(lambda: packed(DECOMPOSITIONS[which](x["a"]))),
        judge,
    )


def assembled(which: str, parts: Any, m: int, n: int) -> tuple[Tensor, list[Tensor], bool]:
    """The product, Q'Q of each orthogonal part, and whether the rest is in its form."""
    if which == "svd":
        u, s, v = parts[0].reshape(m, n), parts[1], parts[2].reshape(n, n)
        return u * s @ v, [u.T @ u, v @ v.T], bool((s.diff() <= 0).all() and (s >= 0).all())
    if which == "eigh":
        values, q = parts[0], parts[1].reshape(n, n)
        return q * values @ q.T, [q.T @ q], bool((values.diff() >= 0).all())
    q, r = parts[0].reshape(m, n), parts[1].reshape(n, n)
    return q @ r, [q.T @ q], bool((r.tril(-1) == 0).all())
