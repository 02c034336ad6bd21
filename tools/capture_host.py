"""Record this machine's answers for `tests/unit/host/captures`, without its owner's names.

    python tools/capture_host.py "where the machine comes from" > tests/unit/host/captures/NAME.json

Read the file before you commit it.
"""

from __future__ import annotations

import getpass
import socket
import sys
from pathlib import Path

from sartor.host.capture import Identity, RecordingMachine, scrub, write_capture
from sartor.host.detect import detect
from sartor.host.machine import RealMachine
from sartor.paths import Places


def main() -> int:
    """Print the capture; 2 where the note is missing."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    machine = RecordingMachine(RealMachine())
    detect(machine, Places(Path.home() / ".local/share/sartor"))
    identity = Identity(str(Path.home()), getpass.getuser(), socket.gethostname())
    print(write_capture(scrub(machine.capture(sys.argv[1]), identity, uuids=True)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
