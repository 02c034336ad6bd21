"""C++ names as people read them, by the C++ library of this machine; nothing is started.

Names that repeat themselves too often stay as they are, and so do the longest, which that library
gives up on (as `c++filt` does): some 5 % of vLLM's and SGLang's, all of them of CUTLASS.
"""

from __future__ import annotations

import ctypes
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Demangler = Callable[[bytes, None, None, None], int | None]

LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1")
MANGLED = re.compile(r"_Z[\w$.]{1,1022}", re.ASCII)
SUBSTITUTION = re.compile(r"S[0-9A-Z]*_|T[0-9]*_")
MOST_SUBSTITUTIONS = 24
"""Each repeats what came before, so the text can treble with every three: 1 MB at this limit, and
the memory of any machine at twice as many."""


def demangle(names: Iterable[str]) -> dict[str, str]:
    """Each name with its plain form, or itself where it has none or none can be made here."""
    function = _demangler()
    return {name: _plain(function, name) or name for name in names}


def _plain(function: Demangler | None, name: str) -> str | None:
    if function is None or not MANGLED.fullmatch(name):
        return None
    if len(SUBSTITUTION.findall(name)) > MOST_SUBSTITUTIONS:
        return None
    found = function(name.encode("ascii"), None, None, None)
    if not found:
        return None
    try:
        return ctypes.string_at(found).decode("utf-8", "replace")
    finally:
        _free()(found)


@cache
def _demangler() -> Demangler | None:
    """The function that demangles; None where this machine has none.

    It is passed on itself: asked for by name again, ctypes makes another one, whose result is an
    `int`, and half of an address.
    """
    for name in LIBRARIES:
        try:
            function = ctypes.CDLL(name)["__cxa_demangle"]
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_void_p
        function.argtypes = [ctypes.c_char_p] * 2 + [ctypes.c_void_p] * 2
        return function
    return None


@cache
def _free() -> Callable[[int], None]:
    function = ctypes.CDLL(None)["free"]
    function.argtypes = [ctypes.c_void_p]
    function.restype = None
    return function
