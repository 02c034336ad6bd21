"""C++ names as people read them, by the C++ library of this machine.

No package does it better: the pure ones stop at names that CUTLASS makes, the others call the same
function. Nothing is started; where there is no such library, names stay as they are.
"""

from __future__ import annotations

import ctypes
import re
from functools import cache, partial
from typing import TYPE_CHECKING

from sartor.artifact.demangled_size import demangled_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1")
MANGLED = re.compile(r"_Z[\w$.]{1,8190}", re.ASCII)
"""Longer ones stay as they are."""
REPETITION = re.compile(r"S[0-9A-Z]*_|T[0-9]*_")
HARMLESS = 16
"""Repetitions: of so many, none in a pack, the worst make a name 350 times as long."""
MOST_SHOWN = 1 << 20
"""Characters of one plain name; some 5,000 are the most seen."""
MOST_SHOWN_IN_ALL = 64 << 20


def demangle(names: Iterable[str]) -> dict[str, str]:
    """Each name with its plain form, or itself where it has none or none can be made here.

    A name stays as it is where its plain form could be longer than `MOST_SHOWN`, or where those
    before it took more than `MOST_SHOWN_IN_ALL`.
    """
    convert, left, found = converter(), MOST_SHOWN_IN_ALL, dict[str, str]()
    for name in names:
        plain = convert(name) if convert and left > 0 else None
        left -= len(plain or "")
        found[name] = plain or name
    return found


def is_bounded(text: str) -> bool:
    """Whether the plain form of a mangled name is surely no longer than `MOST_SHOWN`, or so."""
    if len(REPETITION.findall(text)) <= HARMLESS and "Dp" not in text:
        return True
    size = demangled_size(text)
    return size is not None and size <= MOST_SHOWN


@cache
def converter() -> Callable[[str], str | None] | None:
    """The function that demangles; None where this machine has no C++ library."""
    for name in LIBRARIES:
        try:
            function = ctypes.CDLL(name)["__cxa_demangle"]
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_void_p
        function.argtypes = [ctypes.c_char_p] * 2 + [ctypes.c_void_p] * 2
        return partial(_convert, function)
    return None


def _convert(function: Callable[..., int | None], text: str) -> str | None:
    if not MANGLED.fullmatch(text) or not is_bounded(text):
        return None
    found = function(text.encode("ascii"), None, None, None)
    if not found:
        return None
    try:
        return ctypes.string_at(found).decode("utf-8", "replace")
    finally:
        _c_library().free(found)


@cache
def _c_library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.free.argtypes = [ctypes.c_void_p]
    library.free.restype = None
    return library
