"""One process of several: collectives on whole numbers, whose sums must be exactly right.

usage: python -I torch_rank.py JOB       (by `sartor_checks.torch_nccl`)

JOB is a JSON object: ``device``, ``rank``, ``count``, and a ``folder`` to meet in. The last line
printed is ``RANK`` and an object: what was tried, and of each what was wrong, or nothing.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from typing import Any

import torch
from torch import distributed

SIZES = {"cuda": (1, 1027, 1 << 18, 1 << 24), "cpu": (1, 1027, 1 << 18)}
"""Elements for each of NCCL's protocols: LL, LL128, Simple."""
DTYPES = (torch.float32, torch.bfloat16, torch.int64)
PERIOD = 13
"""Values stay below 2^8 for 18 ranks, which bfloat16 holds exactly."""


class Rank:
    """This process among the others."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.rank, self.count = job["rank"], job["count"]
        self.cuda = job["device"] == "cuda"
        self.device = f"cuda:{self.rank}" if self.cuda else "cpu"
        self.sizes = SIZES[job["device"]]
        self.faults: dict[str, str] = {}

    def values(self, size: int, dtype: Any, rank: int) -> Any:
        """What a rank gives: small whole numbers that tell whose and where they are."""
        index = torch.arange(size, device=self.device)
        return ((index % PERIOD) + rank).to(dtype)

    def total(self, size: int, dtype: Any) -> Any:
        """The sum of what all ranks give."""
        index = torch.arange(size, device=self.device)
        return ((index % PERIOD) * self.count + sum(range(self.count))).to(dtype)

    def compare(self, name: str, out: Any, wanted: Any) -> None:
        """Note the first fault of a collective."""
        self.faults.setdefault(name, "")
        differ = int((out != wanted).sum())
        if differ and not self.faults[name]:
            text = f"{differ} of {out.numel()} elements of {out.dtype} are wrong"
            self.faults[name] = text

    def run(self) -> None:
        """Every collective, in each size and type."""
        for dtype in DTYPES:
            for size in self.sizes:
                self.reduce(size, dtype)
                self.gather(size, dtype)
                self.pass_on(size, dtype)
        if self.cuda:
            self.graph()
        distributed.barrier()

    def reduce(self, size: int, dtype: Any) -> None:
        """all_reduce (sum, max) and reduce_scatter."""
        x = self.values(size, dtype, self.rank)
        distributed.all_reduce(x)
        self.compare("all_reduce", x, self.total(size, dtype))
        x = self.values(size, dtype, self.rank)
        distributed.all_reduce(x, op=distributed.ReduceOp.MAX)
        self.compare("all_reduce of maxima", x, self.values(size, dtype, self.count - 1))
        whole = self.values(size * self.count, dtype, self.rank)
        out = torch.empty(size, dtype=dtype, device=self.device)
        distributed.reduce_scatter_tensor(out, whole)
        wanted = self.total(size * self.count, dtype)[self.rank * size :][:size]
        self.compare("reduce_scatter", out, wanted)

    def gather(self, size: int, dtype: Any) -> None:
        """all_gather and all_to_all."""
        x = self.values(size, dtype, self.rank)
        out = torch.empty(size * self.count, dtype=dtype, device=self.device)
        distributed.all_gather_into_tensor(out, x)
        parts = [self.values(size, dtype, rank) for rank in range(self.count)]
        self.compare("all_gather", out, torch.cat(parts))
        whole = self.values(size * self.count, dtype, self.rank)
        distributed.all_to_all_single(out, whole)
        span = slice(self.rank * size, (self.rank + 1) * size)
        each = [self.values(size * self.count, dtype, r)[span] for r in range(self.count)]
        self.compare("all_to_all", out, torch.cat(each))

    def pass_on(self, size: int, dtype: Any) -> None:
        """Broadcast from each, and a ring of sends."""
        for source in range(self.count):
            x = self.values(size, dtype, self.rank)
            distributed.broadcast(x, source)
            self.compare("broadcast", x, self.values(size, dtype, source))
        if self.count == 1:
            return
        after, before = (self.rank + 1) % self.count, (self.rank - 1) % self.count
        x, got = self.values(size, dtype, self.rank), None
        got = torch.empty_like(x)
        steps = [
            distributed.P2POp(distributed.isend, x, after),
            distributed.P2POp(distributed.irecv, got, before),
        ]
        for work in distributed.batch_isend_irecv(steps):
            work.wait()
        self.compare("send and receive", got, self.values(size, dtype, before))

    def graph(self) -> None:
        """A sum that is captured in a CUDA graph, as engines do."""
        size = 1 << 16
        x = self.values(size, torch.float32, self.rank)
        distributed.all_reduce(x.clone())
        torch.cuda.synchronize()
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded, capture_error_mode="thread_local"):
            out = x.clone()
            distributed.all_reduce(out)
        for _ in range(2):
            recorded.replay()
        torch.cuda.synchronize()
        self.compare("all_reduce in a CUDA graph", out, self.total(size, torch.float32))


def main() -> None:
    """Meet, run, say."""
    job = json.loads(sys.argv[1])
    rank = Rank(job)
    if rank.cuda:
        torch.cuda.set_device(rank.rank)
    distributed.init_process_group(
        "nccl" if rank.cuda else "gloo",
        init_method="file://" + os.path.join(job["folder"], "meet"),  # noqa: PTH118
        rank=rank.rank,
        world_size=rank.count,
        timeout=datetime.timedelta(seconds=120),
    )
    rank.run()
    if rank.cuda:
        torch.cuda.synchronize()
    sys.stdout.write("\nRANK " + json.dumps(rank.faults) + "\n")
    sys.stdout.flush()
    distributed.barrier()
    os._exit(0)  # taking communicators down may hang, which proves nothing


if __name__ == "__main__":
    main()
