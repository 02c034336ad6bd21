"""C++ names as people read them, by the C++ library of this machine.

No package does it better: the pure ones stop at names that CUTLASS makes, the others call the same
function. Nothing is started; where there is no such library, names stay as they are.
"""

from __future__ import annotations

import ctypes
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1")
MANGLED = re.compile(r"_Z[\w$.]{1,8190}", re.ASCII)
"""Longer ones stay as they are: what a name stands for can grow with its substitutions."""
MOST_SUBSTITUTIONS = 512
"""Each may repeat all that came before: the only way in which a short name becomes a long text."""
SUBSTITUTION = re.compile(r"S[0-9A-Z]*_|T[0-9]*_")


def demangle(names: Iterable[str]) -> dict[str, str]:
    """Each name with its plain form, or itself where it has none or none can be made here."""
    convert = converter()
    return {name: (convert(name) if convert else None) or name for name in names}


@cache
def converter() -> Callable[[str], str | None] | None:
    """The function that demangles; None where this machine has no C++ library."""
    for name in LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            function = library["__cxa_demangle"]
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_void_p
        function.argtypes = [ctypes.c_char_p] * 2 + [ctypes.c_void_p] * 2
        free = ctypes.CDLL(None)["free"]
        free.argtypes = [ctypes.c_void_p]
        free.restype = None

        def convert(text: str) -> str | None:
            if not MANGLED.fullmatch(text) or len(SUBSTITUTION.findall(text)) > MOST_SUBSTITUTIONS:
                return None
            found = function(text.encode("ascii"), None, None, None)
            if not found:
                return None
            try:
                return ctypes.string_at(found).decode("utf-8", "replace")
            finally:
                free(found)

        return convert
    return None
