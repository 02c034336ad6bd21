"""The smallest possible device code of a library for some GPUs; shares no code with Sartor.

usage: python tests/heavy/judges/smallest.py LIBRARY GPU… [--against SLIMMED]

Containers are found by their magic in the whole file and walked by the few fields that NVIDIA's
`cuobjdump` shows too. Of each the image is counted that the GPU takes: its own `a` code, its
family's, the newest plain code of its major version that is not newer than it, else the newest PTX.
Linked code that fits makes relocatable code unnecessary. With `--against`, what another file holds
is counted as well: all of its images.
"""

from __future__ import annotations

import json
import mmap
import struct
import sys
from pathlib import Path
from typing import NamedTuple

MAGIC = struct.pack("<IHH", 0xBA55ED50, 1, 16)
FAMILIES = {100: 100, 103: 100, 120: 120, 121: 120}
PTX, CUBIN = 1, 2


class Image(NamedTuple):
    """One entry: its kind, its number (`90`), its suffix, and the bytes that count of it."""

    kind: int
    number: int
    suffix: str
    size: int


def containers(data: mmap.mmap) -> list[tuple[int, list[Image]]]:
    """Each container of the file: where, and its images."""
    found, at = [], data.find(MAGIC)
    while at >= 0:
        (size,) = struct.unpack_from("<Q", data, at + 8)
        images, entry, end = [], at + 16, at + 16 + size
        while entry < end:
            kind, _, header, payload, stored = struct.unpack_from("<HHIQI", data, entry)
            (number,) = struct.unpack_from("<I", data, entry + 28)
            (flags,) = struct.unpack_from("<Q", data, entry + 40)
            suffix = "a" if flags >> 20 & 1 else "f" if flags >> 21 & 1 else ""
            images.append(Image(kind, number, suffix, stored or payload))
            entry += header + payload
        found.append((at, images))
        at = data.find(MAGIC, end)
    return found


def section(data: mmap.mmap, wanted: bytes) -> tuple[int, int]:
    """Where a section begins and ends; (0, 0) without it."""
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<HH", data, 60)
    rows = [struct.unpack_from("<IIQQQQ", data, table + 64 * i) for i in range(count)]
    for row in rows:
        start = rows[names][4] + row[0]
        if data[start : data.find(b"\0", start)] == wanted:
            return row[4], row[4] + row[5]
    return 0, 0


def rank(image: Image, gpu: int) -> tuple[int, ...] | None:
    """How good an image is for a GPU; None where it is not for it."""
    exact, older = image.number == gpu, image.number <= gpu
    if image.suffix == "a":
        fits = exact
    elif image.suffix == "f":
        family = FAMILIES.get(image.number)
        fits = older and family is not None and family == FAMILIES.get(gpu)
    elif image.kind == CUBIN:
        fits = older and image.number // 10 == gpu // 10
    else:
        fits = image.kind == PTX and older
    if not fits or image.kind not in {PTX, CUBIN}:
        return None
    return image.kind, image.number, "af".find(image.suffix) + 1 if image.suffix != "a" else 9


def taken(images: list[Image], gpu: int) -> int | None:
    """Which image a GPU takes."""
    ranks = [(rank(image, gpu), -i) for i, image in enumerate(images)]
    fitting = [(key, place) for key, place in ranks if key is not None]
    if not fitting:
        return None
    key, place = max(fitting)
    if key[0] == PTX and images[-place].number == gpu and not images[-place].suffix:
        return max(-place for other, place in fitting if other == key)
    return -place


def smallest(path: Path, gpus: list[int]) -> tuple[int, int]:
    """The bytes of all images, and of those that some of the GPUs take."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start, end = section(data, b"__nv_relfatbin")
        held = containers(data)
        units = [images for at, images in held if not start <= at < end]
        relocatable = [images for at, images in held if start <= at < end]
    least = 0
    native = bool(units)
    for images in units:
        places = {taken(images, gpu) for gpu in gpus}
        least += sum(images[place].size for place in places if place is not None)
        native &= all(place is not None and images[place].kind == CUBIN for place in places)
    if not native:
        least += sum(image.size for images in relocatable for image in images)
    return sum(image.size for _, images in held for image in images), least


def main(argv: list[str]) -> int:
    """See the module's docstring."""
    against = Path(argv[argv.index("--against") + 1]) if "--against" in argv else None
    words = argv[: argv.index("--against")] if against else argv
    gpus = [int(word.removeprefix("sm_").replace(".", "")) for word in words[1:]]
    total, least = smallest(Path(words[0]), gpus)
    result: dict[str, object] = {"gpus": gpus, "device_bytes": total, "smallest": least}
    if against is not None:
        kept, _ = smallest(against, gpus)
        result |= {"kept": kept, "ratio": round(kept / least, 4) if least else None}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
