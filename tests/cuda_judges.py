"""NVIDIA's `cuobjdump`, asked about device code, and its answers as values.

It comes with the requirements for checking (`nvidia-cuda-cuobjdump`); where it is not there, tests
that ask it fail. Nothing of the project's readers is used here.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from importlib.metadata import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = {"elf": "cubin", "ptx": "ptx", "nvvm": "ltoir"}
PREFIXES = {"cubin": "sm_", "ptx": "compute_", "ltoir": "lto_"}
HEADING = re.compile(r"^Fatbin (\w+) code:$", re.MULTILINE)
FIELD = re.compile(r"^(arch|code version|ptxasOptions|nvvmOptions) = ?(.*)$", re.MULTILINE)
COMPRESSED = re.compile(r"^compressed$", re.MULTILINE)
LISTED = re.compile(r"^(?:ELF|PTX) file +\d+: .*\.\d+\.(sm_\d+[af]?)\.(cubin|ptx)$", re.MULTILINE)
ENTRY_SYMBOL = re.compile(r"^FUNC +\w+ +\w+ +ENTRY +(\S+)$", re.MULTILINE)
ENTRY_DIRECTIVE = re.compile(r"^(?:\.visible |\.weak )?\.entry ([\w$]+)", re.MULTILINE)


class RefusedError(Exception):
    """The judge itself cannot read a file."""


class Shown(NamedTuple):
    """What an image's header says, by `cuobjdump`; ``options`` with single spaces."""

    kind: str
    arch: str
    ptx_isa: str | None
    compressed: bool
    options: str | None


def cuobjdump(*arguments: str | Path) -> str:
    """What it prints. Raises `AssertionError` where it is not installed or says it failed."""
    located = [file for file in files("nvidia-cuda-cuobjdump") or [] if file.name == "cuobjdump"]
    assert located, "nvidia-cuda-cuobjdump is a requirement for checking and is not installed"
    program = str(located[0].locate())
    argv = [program, *(str(argument) for argument in arguments)]
    done = subprocess.run(argv, capture_output=True, check=False)
    message = done.stderr.decode("utf-8", "replace")
    if "Invalid ELF" in message:
        raise RefusedError(message)
    assert done.returncode == 0 or "does not contain device code" in message, message
    return done.stdout.decode("utf-8", "replace")


def listed(path: Path) -> Counter[tuple[str, str]]:
    """So many images of each kind and architecture, as its lists of ELF and PTX files say."""
    text = cuobjdump("--all-fatbin", "--list-elf", "--list-ptx", path)
    return Counter(
        (kind, arch if kind == "cubin" else arch.replace("sm_", "compute_"))
        for arch, kind in LISTED.findall(text)
    )


def shown(path: Path) -> Counter[Shown]:
    """So many images of each header."""
    return Counter(header for header, _ in _images(cuobjdump("--all-fatbin", path)))


def kernels(path: Path) -> list[tuple[Shown, set[str]]]:
    """Each cubin and PTX text of a file, with the names of its kernels."""
    text = cuobjdump("--all-fatbin", "--dump-elf-symbols", "--dump-ptx", path)
    return [
        (header, set((ENTRY_SYMBOL if header.kind == "cubin" else ENTRY_DIRECTIVE).findall(rest)))
        for header, rest in _images(text)
    ]


def _images(text: str) -> Iterator[tuple[Shown, str]]:
    _, *parts = HEADING.split(text)
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        kind = KINDS[title]
        fields = {name: value.strip() for name, value in FIELD.findall(body)}
        isa = ".".join(fields["code version"].strip("[]").split(","))
        options = fields.get("ptxasOptions", fields.get("nvvmOptions", ""))
        header = Shown(
            kind,
            fields["arch"].replace("sm_", PREFIXES[kind]),
            isa if kind == "ptx" else None,
            COMPRESSED.search(body) is not None,
            " ".join(options.split()) or None,
        )
        yield header, body
