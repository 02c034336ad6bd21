"""What the driver takes to compile PTX, of texts of known size: `python ptx_times.py WHEEL …`
with `PYTHONPATH=tests`.

The times are those of `benchmarks/results/gpu/*/entries-*.jsonl.xz`, one call of the driver each;
the sizes are read again in the wheels that held the texts. What it prints stands in
`src/sartor/facts/run.toml`, `[[driver_compile]]`.
"""

from __future__ import annotations

import json
import lzma
import statistics
import sys
import tempfile
import zipfile
from pathlib import Path

from gpu.images.fatbins import library_containers

ROOT = Path(__file__).parents[3]
LEAST = 100_000
"""Bytes of a text; of shorter ones the call itself is measured."""


def measured() -> dict[tuple[str, int], float]:
    """Seconds by library and offset, of PTX that was compiled alone."""
    found = {}
    for file in sorted((ROOT / "benchmarks/results/gpu").glob("*/entries-*.jsonl.xz")):
        for line in lzma.decompress(file.read_bytes()).splitlines():
            row = json.loads(line)
            if len(row["images"]) == 1 and row["images"][0][0] == 1 and row.get("code") == 0:
                found[row["library"], row["offset"]] = row["ms"] / 1000
    return found


def main(wheels: list[Path]) -> None:
    """Print every text, then seconds for each MB."""
    times, rows = measured(), []
    for wheel in wheels:
        name = "-".join(wheel.name.split("-")[:2])
        members = {k.removeprefix(f"{name}/") for k, _ in times if k.startswith(f"{name}/")}
        for member in sorted(members):
            with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
                library = Path(archive.extract(member, folder))
                for container, _ in library_containers(library):
                    for entry in container.entries:
                        seconds = times.get((f"{name}/{member}", entry.offset))
                        if seconds is not None and entry.ptx_isa:
                            rows.append((entry.plain, seconds, f"{name}/{member}"))
    for plain, seconds, where in sorted(rows):
        rate = 1e6 * seconds / plain
        say(f"{plain:>12,} bytes {seconds:>8.2f} s  {rate:6.2f} s/MB  {where}")
    rates = sorted(1e6 * seconds / plain for plain, seconds, _ in rows if plain >= LEAST)
    cuts = statistics.quantiles(rates, n=20)
    say(f"{len(rates)} texts: median {statistics.median(rates):.2f} s/MB, 5 % {cuts[0]:.2f},")
    say(f"95 % {cuts[-1]:.2f}, least {rates[0]:.2f}, most {rates[-1]:.2f}")


def say(line: str) -> None:
    """One line."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
