"""Changed wheels before `sartor.slim.wheel.reduce`: a named error, or a wheel that others read.

usage: python tests/heavy/fuzz_slim_wheel.py COUNT [SEED]
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from sartor.errors import ArtifactUnreadableError, NotSlimmableError
from sartor.slim.choice import Wanted
from sartor.slim.wheel.reduce import WheelRequest, slim_wheel
from sartor.verdict.model import Target
from slim_wheels import NAME, read_wheel, write_wheel

WANTED = Wanted((Target("sm_90", "9.0"),))
HEADERS = 600
"""Bytes at both ends that are changed oftener than others: headers, and the directory."""


def changed(data: bytes, chance: random.Random) -> bytes:
    """The bytes with up to five changes."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        size = len(out)
        places = range(size), range(size - HEADERS, size), range(HEADERS)
        at = chance.choice(chance.choice(places))
        if chance.random() < 0.1:
            del out[at : at + chance.randrange(1, 40)]
        else:
            out[at % len(out)] = chance.choice((0, 255, chance.randrange(256)))
    return bytes(out)


def main(count: int, seed: int) -> int:
    """Print how each ended; any other exception ends it, and names the round."""
    chance, ends = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        path = write_wheel(Path(name) / NAME)
        good, out = path.read_bytes(), Path(name) / "out"
        for number in range(count):
            path.write_bytes(changed(good, chance))
            try:
                result = slim_wheel(WheelRequest(path, WANTED, out))
                if result.output is not None:
                    read_wheel(Path(result.output))
                    Path(result.output).unlink()
                ends["whole"] += 1
            except (ArtifactUnreadableError, NotSlimmableError) as error:
                ends[type(error).__name__] += 1
            except BaseException:
                print(f"round {number} of seed {seed}")
                raise
            if out.exists() and [*out.iterdir()]:
                print(f"round {number} of seed {seed} left a file")
                return 1
    print(dict(ends))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
