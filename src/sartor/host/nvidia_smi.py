"""``nvidia-smi`` as a source: run, and its tables and lists read."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from sartor.host import pci
from sartor.host.machine import CommandResult, Unread
from sartor.host.model import Gpu, MigInstance
from sartor.host.nvidia_answer import Answer

if TYPE_CHECKING:
    from sartor.host.machine import Machine

PLACES = ("/usr/lib/wsl/lib/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi")
FIELDS = "index,name,uuid,memory.total,pci.bus_id,driver_version"
NEWER_FIELDS = "compute_cap,mig.mode.current"


def ask_smi(machine: Machine) -> Answer | Unread:
    """What ``nvidia-smi`` says; `Unread` where it is not installed or fails."""
    program = find_smi(machine)
    if program is None:
        return Unread("not installed", missing=True)
    rows = query_smi(machine, program)
    if isinstance(rows, Unread):
        return rows
    header = machine.run([program])
    listing = machine.run([program, "-L"]) if any(row[-1] == "Enabled" for row in rows) else None
    return from_smi(rows, text_of(header), text_of(listing))


def find_smi(machine: Machine) -> str | None:
    """``nvidia-smi`` on PATH, or where WSL and GKE keep it."""
    found = machine.which("nvidia-smi")
    if found:
        return found
    return next((p for p in PLACES if not isinstance(machine.resolve(p), Unread)), None)


def query_smi(machine: Machine, program: str) -> list[list[str]] | Unread:
    """One row for each GPU, with the columns of `FIELDS` and `NEWER_FIELDS`.

    Drivers from before 510 do not know the newer columns; they are asked again without, and the
    columns are then empty.
    """
    answer = run_query(machine, program, f"{FIELDS},{NEWER_FIELDS}")
    if isinstance(answer, Unread) and "not a valid field" in answer.why:
        older = run_query(machine, program, FIELDS)
        return older if isinstance(older, Unread) else [[*row, "", ""] for row in older]
    return answer


def run_query(machine: Machine, program: str, fields: str) -> list[list[str]] | Unread:
    """The rows of one ``--query-gpu``; a row of the wrong length makes the answer unreadable."""
    result = machine.run([program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"])
    if isinstance(result, Unread):
        return result
    if result.returncode != 0:
        return Unread(one_line(result.stderr or result.stdout) or f"status {result.returncode}")
    rows = [[cell.strip() for cell in row] for row in csv.reader(result.stdout.splitlines()) if row]
    if any(len(row) != fields.count(",") + 1 for row in rows):
        return Unread(f"unexpected output: {one_line(result.stdout)}")
    return rows


def one_line(text: str) -> str:
    """``text`` on one line, for a reason."""
    return " ".join(text.split())


def text_of(result: CommandResult | Unread | None) -> str:
    """What a program printed; empty where it did not run or failed."""
    return result.stdout if isinstance(result, CommandResult) and result.returncode == 0 else ""


def from_smi(rows: list[list[str]], header: str, listing: str) -> Answer:
    """The answer in the query's rows, the plain table and the ``-L`` list."""
    cuda = re.search(r"CUDA(?: \w+)? Version\s*:\s*(\d+\.\d+)", header)
    instances = mig_by_gpu(listing)
    return Answer(
        source="nvidia-smi",
        version=known(rows[0][5]) if rows else None,
        cuda=cuda[1] if cuda else None,
        gpus=[gpu_of_smi(row, instances) for row in rows],
        refused={
            f"gpus[{n}].{field}": f"nvidia-smi: {row[column] or 'it does not know this field'}"
            for n, row in enumerate(rows)
            for field, column in (("memory_bytes", 3), ("compute_capability", 6))
        },
    )


def gpu_of_smi(row: list[str], instances: dict[str, list[MigInstance]]) -> Gpu:
    """One GPU from its row of the query."""
    index, name, uuid, mebibytes, address, _, capability, mig = row
    size = known(mebibytes)
    return Gpu(
        name=name,
        compute_capability=known(capability),
        memory_bytes=int(size) * 2**20 if size and size.isdecimal() else None,
        index=int(index) if index.isdecimal() else None,
        uuid=known(uuid),
        pci_address=pci.normal_address(address) if known(address) else None,
        mig=instances.get(uuid, []) if mig == "Enabled" else None,
    )


def known(cell: str) -> str | None:
    """A cell's text; None for an empty one and for ``[N/A]``, ``[Not Supported]`` and the like."""
    return None if not cell or cell.startswith("[") or cell == "N/A" else cell


def mig_by_gpu(listing: str) -> dict[str, list[MigInstance]]:
    """The MIG instances in the output of ``nvidia-smi -L``, by the UUID of their GPU."""
    found: dict[str, list[MigInstance]] = {}
    parent = ""
    for line in listing.splitlines():
        if gpu := re.match(r"GPU \d+: .*\(UUID: (GPU-[^)]+)\)", line):
            parent = gpu[1]
        elif mig := re.match(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: ([^)]+)\)", line):
            found.setdefault(parent, []).append(MigInstance(mig[1], mig[2]))
    return found
