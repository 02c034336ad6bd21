"""`sartor fit` against what vLLM measured: `judge.py FIT.jsonl` (see measure.py).

Prints a row for each shape and ends with 1 where a capacity is more than 3 % off, lies outside of
the stated bound, or a verdict is wrong: said to fit and without memory left, or the other way
round. A shape that did not start for another reason was not measured, and judges nothing.
Runs anywhere with Sartor; the GPU is described as `h200` unless `--host` says otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sartor.fitting import FitRequest, fit_model
from sartor.paths import default_places
from sartor.reporter import Silent

DATA = Path(__file__).resolve().parents[2] / "data" / "shapes"
MOST_OFF = 0.03


def judged(row: dict[str, Any], host: str) -> tuple[str, bool | None]:
    """One line, and whether the row agrees; None where vLLM did not say."""
    fraction, context, batched, sequences = row["settings"]
    found = fit_model(
        FitRequest(
            str(DATA / f"{row['shape']}.json"),
            host=host,
            engine="vllm",
            context=context,
            fraction=fraction,
            batched=batched,
            sequences=sequences,
        ),
        default_places(),
        Silent(),
    )
    started = row.get("tokens") is not None
    said = found.verdict
    if not started and ("nothing_left" in row or "needs" in row):
        agrees = said in {"does not fit", "may fit"}
        return f"{row['shape']:22} {said:13} no memory was left for the cache", agrees
    if not started:
        return f"{row['shape']:22} {said:13} did not start, and memory is not the reason", None
    tokens = found.chosen.tokens if found.chosen else None
    if tokens is None or said == "does not fit":
        return f"{row['shape']:22} {said:13} started with {int(row['tokens'])} tokens", False
    off = tokens.likely / row["tokens"] - 1
    inside = tokens.least <= row["tokens"] <= tokens.most
    parts = found.chosen.shares[0].parts if found.chosen else []
    sizes = ", ".join(f"{p.name} {p.bytes.likely / 2**30:.2f}" for p in parts)
    text = (
        f"{row['shape']:22} {said:13} {tokens.likely:>9} said, {int(row['tokens']):>9} measured: "
        f"{off:+.1%}{'' if inside else ' OUTSIDE'} | {sizes} | vLLM: weights "
        f"{row.get('weights_gib')}, cache {row.get('available_gib')}, graphs "
        f"{row.get('graphs_gib')}"
    )
    return text, abs(off) <= MOST_OFF and inside


def main() -> int:
    """Print and judge."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file")
    options.add_argument("--host", default="h200")
    asked = options.parse_args()
    rows = [json.loads(line) for line in Path(asked.file).read_text().splitlines() if line]
    results = [judged(row, asked.host) for row in rows]
    marks = {True: "ok ", False: "NO ", None: "?  "}
    for text, agrees in results:
        print(f"{marks[agrees]} {text}")
    known = [agrees for _, agrees in results if agrees is not None]
    print(f"{sum(known)} of {len(known)} agree; {len(results) - len(known)} were not measured")
    return 0 if known and all(known) else 1


if __name__ == "__main__":
    sys.exit(main())
