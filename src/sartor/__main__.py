"""The entry point: ``sartor`` and ``python -m sartor``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; returns the exit status."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from sartor import __version__

        sys.stdout.write(f"sartor {__version__}\n")
        return 0
    from sartor.cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
