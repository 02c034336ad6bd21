"""Facts that several readers want first at the same time, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

SEVERAL = """
import sys, threading
sys.setswitchinterval(1e-6)
from sartor.facts.linking import policies
from sartor.facts.packages import package_facts
begin = threading.Barrier(8)
found = []
def ask():
    begin.wait()
    found.append((len(package_facts()), len(policies())))
threads = [threading.Thread(target=ask) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
assert len(found) == 8 and len(set(found)) == 1, found
"""


def test_readers_may_all_be_first() -> None:
    for _ in range(20):
        done = subprocess.run([sys.executable, "-c", SEVERAL], capture_output=True, check=False)
        assert done.returncode == 0, done
