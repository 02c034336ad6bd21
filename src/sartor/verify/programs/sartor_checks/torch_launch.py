"""A kernel of each of torch's libraries runs: the program of grade *launches*.

``device``: ``cuda`` or ``cpu``; ``expected``: whether the driver answers for a GPU, so that torch
must reach it. What comes out is not judged here, but for what copies, graphs and collectives carry.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from sartor_checks import Check, NothingToCheck, Result, Settings, torch_attention
from sartor_checks.torch_linalg import by_magma
from sartor_checks.torch_nccl import collective_checks
from sartor_checks.torch_numbers import reachable, to_device, where
from sartor_checks.torch_products import fp8_inputs, fp8_product, needs_fp8, sparse_product

COMPILE_SECONDS = 300.0
CORE = ["core operators"]
SORTS = ["sorting and scans"]
SPARSE = ["2:4 sparse"]
FP8_ROWS = ["FP8 row-wise scaled matrix product"]
LINALG = ["linear algebra (MAGMA)"]
Device = str


def checks(settings: Settings) -> list[Check]:
    """Those of the device."""
    device, prefix = settings["device"], where(settings["device"])
    found = [Check(prefix + "reached", "launches", partial(reached, device, settings["expected"]))]
    kernels = ON_BOTH + (ON_CUDA if device == "cuda" else ON_CPU)
    for name, run, features in kernels:
        seconds = COMPILE_SECONDS if run is compiled else 120.0
        found.append(Check(prefix + name, "launches", partial(launch, device, run), seconds))
        found[-1] = found[-1]._replace(features=features if device == "cuda" else [])
    for backend, features in torch_attention.FEATURES.items():
        if device == "cuda" or backend in torch_attention.ON_CPU:
            run = partial(attention, backend)
            check = Check(prefix + f"attention {backend}", "launches", partial(launch, device, run))
            found.append(check._replace(features=features if device == "cuda" else []))
    found += collective_checks(device, settings.get("least_gpus", 2))
    return [check._replace(package="torch") for check in found]


def reached(device: Device, expected: bool) -> Any:
    """Every GPU that there is adds one and one; of a CPU, what torch says of it."""
    if device == "cpu":
        return f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    if not expected:
        reachable(device)
    torch.cuda.init()
    said = []
    for index in range(torch.cuda.device_count()):
        _ = torch.ones(1, device=f"cuda:{index}") * 2
        torch.cuda.synchronize(index)
        major, minor = torch.cuda.get_device_capability(index)
        said.append(f"{torch.cuda.get_device_name(index)} ({major}.{minor})")
    if not said:
        return Result(False, "torch finds no GPU", hint="`nvidia-smi` tells whether there is one")
    return ", ".join(said) + "; torch is built for " + " ".join(torch.cuda.get_arch_list())


def launch(device: Device, run: Callable[[Device], Any]) -> Any:
    """Run it and wait for the GPU."""
    reachable(device)
    said = run(device)
    if device == "cuda":
        torch.cuda.synchronize()
    return said if isinstance(said, (str, Result)) else ""


def square(device: Device, dtype: Any = torch.float32, size: int = 64) -> Any:
    """Numbers from 0 to 1 in a square."""
    return (torch.arange(size * size, device=device).reshape(size, size) / size**2).to(dtype)


def pointwise(device: Device) -> None:
    """The first line that people try."""
    _ = torch.ones(1, device=device) * 2
    _ = torch.ones(33, device=device).exp().bfloat16().add(1).cpu()


def reduction(device: Device) -> None:
    """Sums, extremes, moments."""
    x = square(device)
    _ = x.sum(), x.amax(0), x.var(1), x.argmax(1), x.norm(), x.all()


def indexing(device: Device) -> None:
    """Gather, scatter, masks."""
    x, i = square(device), torch.arange(0, 64, 3, device=device)
    _ = x[i], x[x > 0.5], x.index_add(0, i, x[i]), x.nonzero(), torch.cat([x, x])


def sorting(device: Device) -> None:
    """Sorts and scans."""
    x = square(device, size=256)
    _ = x.sort(), x.flatten().sort(), x.topk(5), x.cumsum(0), torch.unique(x > 0.5)


def random(device: Device) -> None:
    """Samples."""
    x = torch.empty(1000, device=device)
    _ = x.normal_(), x.uniform_(), x.exponential_(), torch.randperm(50, device=device)
    _ = torch.multinomial(torch.ones(9, device=device), 4)


def foreach(device: Device) -> None:
    """One kernel for a list of tensors."""
    torch._foreach_add_([square(device), square(device)], 1.0)


def blas(device: Device) -> None:
    """Matrix products of each type."""
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64):
        x = square(device, dtype)
        _ = x @ x, torch.bmm(x[None], x[None]), x @ x[0]
    whole = torch.ones(32, 32, device=device, dtype=torch.int8)
    torch._int_mm(whole, whole)


def blas_lt(device: Device) -> None:
    """A product with a bias and an activation in one kernel."""
    x = square(device, torch.bfloat16)
    torch._addmm_activation(x[0], x, x, use_gelu=False)


def scaled(rows: bool, device: Device) -> None:
    """FP8, with one scale for each tensor or one for each row."""
    needs_fp8(device)
    fp8_product(to_device(fp8_inputs("launch", rows, True), device))


def convolution(device: Device) -> str:
    """cuDNN's, or oneDNN's."""
    x = square(device)[None, None]
    for dtype in (torch.float32, torch.bfloat16):
        torch.nn.functional.conv2d(x.to(dtype), x[..., :3, :3].to(dtype))
    if device == "cpu":
        return f"oneDNN {'there' if torch.backends.mkldnn.is_available() else 'not there'}"
    if not torch.backends.cudnn.is_available():
        raise NothingToCheck("this torch has no cuDNN")
    return f"cuDNN {torch.backends.cudnn.version()}"


def fourier(device: Device) -> None:
    """Of complex and of real numbers."""
    x = square(device)
    _ = torch.fft.fft(x), torch.fft.rfft2(x)


def linalg(device: Device) -> None:
    """The solvers and decompositions."""
    x = square(device) + 64 * torch.eye(64, device=device)
    call = torch.linalg
    _ = call.solve(x, x), call.cholesky(x @ x.T), call.svd(x), call.eigh(x + x.T), call.qr(x)
    _ = call.inv(x), call.eigvals(x)


def magma(device: Device) -> None:
    """Factors and solutions of many small systems, in torch's copy of MAGMA."""
    x = square(device, size=24) + 24 * torch.eye(24, device=device)
    many, call = torch.stack([x, x.T, x + 1]), torch.linalg
    with by_magma():
        _ = call.lu_factor(many), call.lu_factor(x), call.solve(many, many)
        _ = call.cholesky(many @ many.mT), call.eigvals(x), call.lstsq(many, many)
        _ = call.solve_triangular(many.triu(), many, upper=True)


def sparse(device: Device) -> None:
    """A sparse matrix by a dense one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a layout in beta
        x = square(device)
        _ = x.to_sparse_csr() @ x


def semi_structured(force: bool, device: Device) -> str:
    """2:4 sparse products, by cuSPARSELt or by torch's own kernels."""
    pattern = torch.tensor([0, 0, 1, 1], device=device, dtype=torch.float16).tile(128, 32)
    sparse_product(pattern, torch.ones(128, 128, device=device, dtype=torch.float16), force)
    return "torch's own" if force else f"cuSPARSELt {torch.backends.cusparselt.version()}"


def jiterator(device: Device) -> None:
    """CUDA C++ that NVRTC compiles at run time."""
    source = "template <typename T> T sartor_square(T x) { return x * x + T(1); }"
    torch.cuda.jiterator._create_jit_fn(source)(square(device))


def triton(device: Device) -> Any:
    """A kernel that Triton compiles, with its link to the driver that a C compiler makes."""
    try:
        import triton as compiler
    except ImportError as error:
        raise NothingToCheck("Triton is not installed: " + str(error)) from None
    if said := no_compiler("gcc", "clang", "cc", variable="CC"):
        return said
    with fresh_caches():
        from sartor_checks.torch_triton import add_one

        add_one(torch.zeros(1000, device=device))
        torch.cuda.synchronize()
    return f"Triton {compiler.__version__}"


def compiled(device: Device) -> Any:
    """A function under `torch.compile`: Triton on CUDA, C++ on the CPU."""
    names = ("gcc", "clang", "cc") if device == "cuda" else ("g++", "clang++", "c++")
    if said := no_compiler(*names, variable="CC" if device == "cuda" else "CXX"):
        return said
    with fresh_caches():
        torch._dynamo.reset()
        call = torch.compile(lambda x: torch.relu(x * 2 + 1), fullgraph=True)
        call(square(device))
    return ""


def no_compiler(*names: str, variable: str) -> Any:
    """A failure with its way out where no compiler is found; else None."""
    own = os.environ.get(variable)
    if any(map(shutil.which, [own] if own else names)):
        return None
    kind = "C++" if variable == "CXX" else "C"
    text = f"no {kind} compiler: {own or ', '.join(names)} not found"
    hint = f"install a {kind} compiler ({names[0]}), or name one in `{variable}`"
    return Result(False, text, hint=hint)


@contextlib.contextmanager
def fresh_caches() -> Iterator[None]:
    """A folder for what is compiled, so that it is compiled here and now, and nothing is left."""
    names = ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no processes of its own
    before = {name: os.environ.get(name) for name in names}
    path = tempfile.mkdtemp(prefix="sartor-")
    os.environ.update(dict.fromkeys(names, path))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(path, ignore_errors=True)


def attention(backend: str, device: Device) -> None:
    """One backend, and no other."""
    torch_attention.needs(backend, device)
    x = square(device, torch.bfloat16).reshape(1, 2, 32, 64)
    with torch_attention.forced(backend):
        torch.nn.functional.scaled_dot_product_attention(x, x, x)


def graph(device: Device) -> Result:
    """What is captured gives, when it is replayed on other numbers, what it gives eagerly."""

    def work(x: Any) -> Any:
        return torch.softmax(x @ x + x.cumsum(0), -1).sort(-1).values

    x = square(device)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work(x)
    torch.cuda.current_stream().wait_stream(side)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        out = work(x)
    differ = 0
    for shift in (0.25, 0.5):
        x.add_(shift)
        recorded.replay()
        differ += int((out != work(x)).sum())
    return Result(not differ, f"{differ} elements differ from eager ones" if differ else "")


def streams(device: Device) -> Result:
    """Work on another stream is waited for by an event, and timed by two."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    side, x = torch.cuda.Stream(), torch.zeros(1 << 20, device=device)
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        begin.record()
        for _ in range(50):
            x += 1
        end.record()
    torch.cuda.current_stream().wait_event(end)
    late = int((x != 50).sum())
    x.record_stream(side)
    end.synchronize()
    return Result(not late, f"{begin.elapsed_time(end):.3f} ms" if not late else "not waited for")


def pinned(device: Device) -> Result:
    """There and back from page-locked memory, without the host waiting."""
    there = torch.arange(1 << 20).pin_memory()
    on_gpu = there.to(device, non_blocking=True)
    back = torch.empty_like(there).pin_memory()
    back.copy_(on_gpu, non_blocking=True)
    torch.cuda.synchronize()
    return Result(bool(torch.equal(there, back)), "page-locked memory, both ways")


def peers(device: Device) -> Result:
    """Copies between every two GPUs, and whether they reach each other's memory."""
    count = torch.cuda.device_count()
    if count < 2:
        raise NothingToCheck("one GPU")
    x, direct, wrong = torch.arange(1 << 20, device=device), 0, []
    for i in range(count):
        for j in range(count):
            if i != j:
                direct += torch.cuda.can_device_access_peer(i, j)
                if not torch.equal(x.to(i).to(j).cpu(), x.cpu()):
                    wrong.append(f"{i} to {j}")
    pairs = count * (count - 1)
    detail = f"{direct} of {pairs} pairs reach each other's memory"
    return Result(not wrong, "wrong copies: " + ", ".join(wrong) if wrong else detail)


ON_BOTH: list[Any] = [
    ("pointwise", pointwise, CORE),
    ("reduction", reduction, CORE),
    ("indexing", indexing, [*CORE, *SORTS]),
    ("sorts and scans", sorting, [*CORE, *SORTS]),
    ("random", random, CORE),
    ("foreach", foreach, CORE),
    ("matrix products", blas, []),
    ("fused matrix product", blas_lt, []),
    ("convolution", convolution, []),
    ("Fourier transforms", fourier, []),
    ("linear algebra", linalg, []),
    ("sparse matrix product", sparse, []),
    ("torch.compile", compiled, []),
]
ON_CUDA: list[Any] = [
    ("FP8 matrix product", partial(scaled, False), []),
    ("FP8 matrix product, row-wise", partial(scaled, True), FP8_ROWS),
    ("linear algebra by MAGMA", magma, LINALG),
    ("2:4 sparse product, cuSPARSELt", partial(semi_structured, False), []),
    ("2:4 sparse product", partial(semi_structured, True), SPARSE),
    ("kernel compiled by NVRTC", jiterator, []),
    ("kernel compiled by Triton", triton, []),
    ("CUDA graph", graph, []),
    ("streams and events", streams, []),
    ("page-locked memory", pinned, []),
    ("copies between GPUs", peers, []),
]
ON_CPU: list[Any] = []
