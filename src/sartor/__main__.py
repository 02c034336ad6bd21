"""The entry point: ``sartor`` and ``python -m sartor``."""

from __future__ import annotations

import gc
import sys

MOST_YOUNG = 100_000
"""Objects before the collector looks for cycles: most of what a command makes lives to its end."""


def main() -> int:
    """Run the command line; returns the exit status."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from sartor import __version__

        sys.stdout.write(f"sartor {__version__}\n")
        return 0
    gc.set_threshold(MOST_YOUNG)
    _import_msgspec()
    from sartor.cli import run

    status = run(arguments)
    gc.freeze()  # What is left goes with the process, and is not looked through for cycles.
    return status


def _import_msgspec() -> None:
    """Import msgspec with Python's own `typing`, which has all that it takes from elsewhere.

    It would try `typing_extensions` first, and with that come `inspect`, `ast` and `tokenize`: a
    tenth of what a command takes to start.
    """
    name = "typing_extensions"
    if name in sys.modules:
        return
    # As the import system documents it: None is a module that cannot be had.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules[name]


if __name__ == "__main__":
    sys.exit(main())
