"""The texts in a slimmed wheel that are not its source's: ``RECORD``, ``WHEEL``, ``variant.json``.

What is not said anew stays as it is, byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.metadata import recorded_path
from sartor.artifact.record import digest_text
from sartor.facts.variants import variant_format
from sartor.slim.wheel.name import gpu_words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sartor.slim.choice import Wanted

MOST_LABEL = 16
"""Letters of a variant's label (PEP 825)."""
BUILD = re.compile(rb"^Build:[^\r\n]*", re.MULTILINE)
TAG = re.compile(rb"^(Tag:.*?)(\r?\n|\Z)", re.MULTILINE)


class Stored(msgspec.Struct, frozen=True):
    """What RECORD says of a file: its sha256 (bytes) and its size."""

    sha256: bytes
    size: int

    @property
    def row(self) -> str:
        """The last two cells of its row."""
        return f"sha256={digest_text(self.sha256)},{self.size}"


def stored(data: bytes) -> Stored:
    """What RECORD says of a file with these bytes."""
    return Stored(hashlib.sha256(data).digest(), len(data))


def new_record(
    record: bytes, own: str, files: Mapping[str, Stored], gone: Collection[str] = ()
) -> bytes:
    """The RECORD with other rows for ``files``; those that it lacks stand before its ``own``.

    Those that are ``gone`` have none.
    """
    lines = record.decode().splitlines(keepends=True)
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += ending
    left, listed = dict(files), {recorded_path(line) for line in lines}
    found: list[str] = []
    for line in lines:
        path = recorded_path(line)
        if path in gone:
            continue
        if path == own:
            lacking = {name: what for name, what in left.items() if name not in listed}
            found += [_row(name, what, ending) for name, what in lacking.items()]
            left = {name: what for name, what in left.items() if name in listed}
        changed = left.pop(path, None)
        found.append(line if changed is None else _row(path, changed, ending))
    found += [_row(name, what, ending) for name, what in left.items()]
    return "".join(found).encode()


def _row(path: str, what: Stored, ending: str) -> str:
    quoted = '"' + path.replace('"', '""') + '"' if set(path) & {",", '"'} else path
    return f"{quoted},{what.row}{ending}"


def new_wheel(wheel: bytes, build: str) -> bytes:
    """The WHEEL file with the build tag, after its other tags."""
    line = b"Build: " + build.encode()
    if BUILD.search(wheel):
        return BUILD.sub(line, wheel, count=1)
    tags = list(TAG.finditer(wheel))
    if not tags:
        return wheel.rstrip(b"\r\n") + b"\n" + line + b"\n"
    last = tags[-1]
    ending = last[2] or b"\n"
    return wheel[: last.end(1)] + ending + line + ending + wheel[last.end() :]


def variant_label(wanted: Wanted) -> str:
    """The label of the variant (PEP 825): at most 16 of ``0-9a-z_.``, one for each set of GPUs."""
    label = ".".join(gpu_words(wanted))
    if len(label) <= MOST_LABEL:
        return label
    return f"sm{hashlib.sha256(label.encode()).hexdigest()[: MOST_LABEL - 2]}"


def variant_json(wanted: Wanted) -> bytes:
    """The variant's metadata (PEP 825): which GPUs it is for, as their provider names them."""
    form = variant_format()
    values = [form.value.format(number=target.gpu.partition("_")[2]) for target in wanted.targets]
    properties = {form.namespace: {form.feature: values}}
    document = {
        "$schema": form.schema_url,
        "default-priorities": {"namespace": [form.namespace]},
        "variants": {variant_label(wanted): properties},
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
