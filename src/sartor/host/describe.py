"""A machine from a description: ``--host "rtx-5090, driver=575.57, cpu=zen5, ram=64G"``.

Also from a file: a TOML or JSON table with the same keys, or a whole ``sartor.host/1`` document
such as `sartor detect --json` prints (``-`` reads one from standard input). What is not stated is
not made up: it stays None, with a note. Only what follows from the stated is filled in.
"""

from __future__ import annotations

import errno
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import HostDescriptionError, UnknownGpuError, closest
from sartor.host.model import Host
from sartor.host.names import closest_gpus, gpu_fact, why_unknown
from sartor.host.stated import KEYS, Faults, Stated, StatedGpu, host_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXAMPLE = "rtx-5090, driver=575.57, cpu=zen5, ram=64G"
NO_GPU = ("cpu-only", "no-gpu")
NEW_GPU_HINT = (
    "write the name as `nvidia-smi -L` prints it, or state the compute capability of a new GPU, "
    "for example `my-gpu:sm_120:32G`"
)
NO_GPU_HINT = "describe the machine as `cpu-only` to plan for its CPU"
GPU_KEYS = ("gpus", "gpu")
MOST_GPUS = 64
COUNT_BEFORE = re.compile(r"([0-9]{1,4})\s*x\s*(.+)", re.IGNORECASE | re.DOTALL)
COUNT_AFTER = re.compile(r"(.*?)\s*\*\s*([0-9]{1,4})", re.DOTALL)


def parse_host(text: str, read_stdin: Callable[[], str] | None = None) -> Host:
    """The machine that ``text`` describes, or that the file it names holds.

    Raises `HostDescriptionError` with every fault at once, or `UnknownGpuError` where unknown GPUs
    are the only ones.
    """
    text = text.strip()
    if text == "-":
        return from_document(
            read_safely("standard input", read_stdin or stdin_text), "standard input"
        )
    if text.startswith("{"):
        return from_document(text, "the description")
    if text.lower().endswith((".toml", ".json")):
        return from_file(text)
    faults = Faults()
    stated = stated_in_text(text, faults)
    return finish(stated, faults)


def finish(stated: Stated, faults: Faults) -> Host:
    """The host, if nothing was wrong with the description."""
    host = host_of(stated, faults)
    if not faults.lines:
        return host
    if faults.only_unknown_gpus:
        raise unknown_gpu(faults)
    raise HostDescriptionError(
        "the description of the host cannot be read",
        found=faults.lines,
        hint=f"write for example `{EXAMPLE}`; the keys are {', '.join(KEYS)}",
    )


def unknown_gpu(
    faults: Faults, new: str = NEW_GPU_HINT, none: str = NO_GPU_HINT
) -> UnknownGpuError:
    """The error for GPUs that nothing is known of, with a way out for a new one and for none."""
    hint = none if faults.strangers == len(faults.lines) else new
    return UnknownGpuError("no GPU of that name is known", found=faults.lines, hint=hint)


# --- text ------------------------------------------------------------------------------------


def stated_in_text(text: str, faults: Faults) -> Stated:
    """What the comma-separated words of ``text`` state."""
    gpus: list[StatedGpu] = []
    values: dict[str, str] = {}
    no_gpu = False
    for item in (part.strip() for part in text.split(",") if part.strip()):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals and item.lower() in NO_GPU:
            no_gpu = True
        elif not equals and (meant := without_equals(item)):
            faults.add(item, f"write `{meant}`")
        elif not equals or key.lower() in GPU_KEYS:
            gpus += gpus_in_word(value if equals else item, faults)
        else:
            add_value(values, key, value, faults)
    if not (gpus or values or no_gpu or faults.lines):
        faults.add(text, "nothing is stated")
    if gpus and no_gpu:
        faults.add(" and ".join(NO_GPU), "a GPU is stated, too")
    return Stated(gpus if gpus or no_gpu else None, values)


def add_value(values: dict[str, str], key: str, value: str, faults: Faults) -> None:
    """Put one ``key=value`` under its usual key, or say what is wrong with it."""
    item = f"{key}={value}"
    usual = usual_key(key)
    if usual is None:
        faults.add(item, f"there is no key `{key}`{suggest(closest(key, KEYS))}")
    elif usual in values:
        faults.add(item, f"`{usual}` is stated twice")
    elif not value:
        faults.add(item, "the value is missing")
    else:
        values[usual] = value


def without_equals(item: str) -> str | None:
    """``driver=570.86`` for ``driver 570.86``; None for what does not begin with a key."""
    key, _, value = item.partition(" ")
    usual = usual_key(key)
    return f"{usual}={value.strip()}" if usual and value.strip() else None


def usual_key(key: str) -> str | None:
    """The key as `KEYS` has it, from any of the ways to write it; None for an unknown one."""
    low = key.lower().replace("-", "_")
    return next(
        (usual for usual, key_form in KEYS.items() if low in {usual, *key_form.synonyms}), None
    )


def suggest(names: list[str]) -> str:
    """``; did you mean …?``, or nothing."""
    return f"; did you mean {' or '.join(f'`{name}`' for name in names)}?" if names else ""


def gpus_in_word(word: str, faults: Faults) -> list[StatedGpu]:
    """The GPUs that one word states: ``2x rtx-5090``, ``rtx-5090:32G*2``, ``h100:mig-1g.10gb``."""
    count, rest = count_in(word)
    if not 1 <= count <= MOST_GPUS:
        faults.add(word, f"the number of GPUs must be from 1 to {MOST_GPUS}")
        return []
    name, *parts = (part.strip() for part in rest.split(":"))
    gpu = StatedGpu(word, name)
    for part in parts:
        gpu = with_part(gpu, part, faults)
    return [gpu] * count if is_known(gpu, faults) else []


def count_in(word: str) -> tuple[int, str]:
    """How many GPUs a word states, and the word without that."""
    if before := COUNT_BEFORE.fullmatch(word):
        return int(before[1]), before[2]
    if after := COUNT_AFTER.fullmatch(word):
        return int(after[2]), after[1]
    return 1, word


def with_part(gpu: StatedGpu, part: str, faults: Faults) -> StatedGpu:
    """The GPU with one ``:part`` of its word: a memory size, a MIG profile, or ``sm_120``."""
    low = part.lower()
    if mig := re.fullmatch(r"mig-(.+)", low):
        return msgspec.structs.replace(gpu, mig=[*(gpu.mig or []), *profiles(mig[1])])
    if sm := re.fullmatch(r"sm_?([0-9]{1,2})([0-9])[af]?", low):
        return msgspec.structs.replace(gpu, compute_capability=f"{sm[1]}.{sm[2]}")
    if re.match(r"[0-9]", low):
        return msgspec.structs.replace(gpu, memory=part)
    faults.add(gpu.where, f"`{part}` is neither a memory size, nor `mig-…`, nor `sm_…`")
    return gpu


def profiles(text: str) -> list[str]:
    """``1g.10gb+3g.40gb`` as two profiles; in ``1g.10gb+me`` the plus belongs to the name."""
    return [name.strip() for name in re.split(r"\+\s*(?=[0-9])", text)]


def is_known(gpu: StatedGpu, faults: Faults) -> bool:
    """Whether the facts know the GPU, or its compute capability is stated; else a fault."""
    if gpu.name and (gpu.compute_capability or gpu_fact(gpu.name)):
        return True
    reason = why_unknown(gpu.name)
    remark = f": {reason}{faults.without_gpu}" if reason else suggest(closest_gpus(gpu.name))
    what = f"no GPU called `{gpu.name}`{remark}"
    faults.add_unknown_gpu(gpu.where, what, is_stranger=reason is not None)
    return False


# --- files -----------------------------------------------------------------------------------


def from_file(path: str) -> Host:
    """The machine in a TOML or JSON file."""
    text = read_safely(f"`{path}`", lambda: Path(path).expanduser().read_text("utf-8"))
    if path.lower().endswith(".json"):
        return from_document(text, f"`{path}`")
    try:
        table: dict[str, object] = tomllib.loads(text, parse_float=str)
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise cannot_read(f"`{path}`", f"not TOML: {error}") from error
    return from_table(table, f"`{path}`")


def read_safely(name: str, read: Callable[[], str]) -> str:
    """What ``read`` gives; raises `HostDescriptionError` where it cannot."""
    try:
        return read()
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise cannot_read(name, reason or str(error)) from error


def stdin_text() -> str:
    """All of standard input, which a program may be started without. Raises an `OSError` then."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.read()


def cannot_read(name: str, reason: str) -> HostDescriptionError:
    """The error for a file that holds no host."""
    return HostDescriptionError(
        f"{name} cannot be read as a host",
        found=[reason],
        hint="give the output of `sartor detect --json`, or a table with keys such as "
        '`gpus = ["rtx-5090"]` and `driver = "575.57"`',
    )


def from_document(text: str, name: str) -> Host:
    """The machine in a JSON document."""
    try:
        table = json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise cannot_read(name, f"not JSON: {error}") from error
    if not isinstance(table, dict):
        raise cannot_read(name, "not a JSON object")
    return from_table(table, name)


def from_table(table: Mapping[str, object], name: str) -> Host:
    """The machine in a table: a document where it has a schema, else the description's keys."""
    if "schema" not in table:
        faults = Faults()
        return finish(stated_in_table(table, faults), faults)
    try:
        host = msgspec.convert(table, Host)
    except msgspec.ValidationError as error:
        raise cannot_read(name, str(error)) from error
    return msgspec.structs.replace(host, described=True)


def stated_in_table(table: Mapping[str, object], faults: Faults) -> Stated:
    """What a flat table states."""
    gpus: list[StatedGpu] | None = None
    values: dict[str, str] = {}
    for key, value in table.items():
        if key.lower() in GPU_KEYS:
            gpus = gpus_in_value(value, faults)
        elif (text := as_text(value)) is not None:
            add_value(values, key, text, faults)
        else:
            faults.add(key, f"a {type(value).__name__} is not a value for it")
    if not table:
        faults.add("", "nothing is stated")
    return Stated(gpus, values)


def as_text(value: object) -> str | None:
    """A scalar as text, a list of scalars joined by ``+``; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, list):
        parts = [as_text(part) for part in value if not isinstance(part, list)]
        texts = [part for part in parts if part is not None]
        return "+".join(texts) if len(texts) == len(value) else None
    return None


def gpus_in_value(value: object, faults: Faults) -> list[StatedGpu]:
    """The GPUs in the table's ``gpus``: words, or tables with a name."""
    entries = value if isinstance(value, list) else [value]
    gpus = []
    for number, entry in enumerate(entries):
        if isinstance(entry, str):
            gpus += [] if entry.lower() in NO_GPU else gpus_in_word(entry, faults)
        elif isinstance(entry, dict):
            gpus += gpus_in_entry(f"gpus[{number}]", entry, faults)
        else:
            faults.add(f"gpus[{number}]", "neither a name nor a table with a name")
    return gpus


ENTRY_KEYS = ("name", "memory", "count", "mig", "compute_capability")


def gpus_in_entry(where: str, entry: Mapping[str, object], faults: Faults) -> list[StatedGpu]:
    """The GPUs that one table states: ``{name = "rtx-5090", memory = "32G", count = 2}``."""
    for key in entry:
        if key not in ENTRY_KEYS:
            faults.add(f"{where}.{key}", f"no such key{suggest(closest(key, ENTRY_KEYS))}")
    texts = {key: as_text(entry[key]) for key in ENTRY_KEYS if key in entry}
    mig = texts.get("mig")
    gpu = StatedGpu(
        where,
        name=texts.get("name") or "",
        memory=texts.get("memory"),
        compute_capability=texts.get("compute_capability"),
        mig=profiles(mig) if mig else [] if "mig" in entry else None,
    )
    count = texts.get("count") or "1"
    if not count.isdecimal() or not 1 <= int(count[:4]) <= MOST_GPUS:
        faults.add(f"{where}.count", f"the number of GPUs must be from 1 to {MOST_GPUS}")
        return []
    return [gpu] * int(count[:4]) if is_known(gpu, faults) else []
