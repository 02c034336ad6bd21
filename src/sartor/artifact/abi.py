"""What a library's dynamic symbols and needs say: PyTorch's ABI, Python's, compilers it calls.

Pure, and by names alone. C++ names are those of the Itanium ABI
(https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling); no name is demangled in full.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sartor.artifact.model import TorchAbi

OF_TORCH = re.compile(
    r"_Z"
    r"(?:T[ISVTHW]|G[VR]|Th[n\d]\d*_|Tv[n\d]\d*_[n\d]\d*_|Tc(?:h[n\d]\d*_|v[n\d]\d*_[n\d]\d*_){2})?"
    r"Z*NH?[rVK]*[RO]?"
    r"(?:2at|3c10|5torch|6caffe2)"
)
"""A name in ``at``, ``c10``, ``torch`` or ``caffe2``, or what is made for one: its table of virtual
functions, type, guard, thunk, and what is local to a function of theirs."""
C_SHIM = re.compile(r"aoti_torch_\w+")
"""``torch/csrc/inductor/aoti_torch/c/shim.h``: a name that nobody else has."""
C_SHIM_OR_ANOTHER = re.compile(r"torch_[a-z]\w+")
"""``torch/csrc/stable/c/shim.h`` since PyTorch 2.9; the prefix alone is no proof."""
PYTHON_BINDING = re.compile(r"THP[A-Z]\w+")
"""libtorch_python.so's own C names (``THPVariableClass``); nothing promises that they stay."""
TORCH_LIBRARY = re.compile(r"lib(?:torch|c10)(?:_\w+)?\.so")

NEW_STRING = re.compile(r"St7__cxx1112basic_string|B5cxx11")
TOKEN = re.compile(
    r"(?P<length>[1-9]\d{0,6})|S[0-9A-Z]*_|T[0-9A-Z]*_|A\d*_|L[a-z]n?\d+E|S[a-z]|.", re.DOTALL
)
"""One step through a mangled name: an identifier's length, an abbreviation, a number, a letter."""
OLD_STRING = "Ss"
MOST_OLD = 1000
"""Names are walked letter by letter: half a second for the worst. One honest name is enough."""
MOST_NAME = 1000
SPECIAL_NUMBERS = re.compile(r"_ZT(?:h[n\d]\d*_|v[n\d]\d*_[n\d]\d*_)")

OF_INTERPRETER = re.compile(
    r"\.(?:cpython-(?P<cp>\d{2,4}t?)|pypy(?P<pp>\d{2,4})|(?P<abi3>abi3t?))[.-]"
)
OF_LIBPYTHON = re.compile(r"libpython(\d)\.(\d{1,3}t?)[a-z]?\.so(?:\..*)?")

CALLS = {
    "nvrtc": re.compile(r"nvrtcCompileProgram"),
    "nvjitlink": re.compile(r"(?:__)?nvJitLinkCreate\w*"),
}
"""Without these functions nothing is compiled; `nvJitLink.h` adds a version to the second name."""


def torch_abi(undefined: Iterable[str], needed: Sequence[str]) -> tuple[TorchAbi | None, list[str]]:
    """Which ABI of PyTorch a library was built for, and the mangled names that it wants of it.

    ``undefined`` are the names that other libraries must define, ``needed`` the sonames.
    ``stable``: PyTorch's C shim alone; ``c``: C names alone, some of them not the shim's. A user of
    its C++ names is ``cxx11`` or ``pre-cxx11`` by the ``std::string`` in those names, or where they
    hold none, in its other undefined names; where no name holds one the ABI is None: such a library
    finds its names in both kinds of PyTorch. ``(None, [])`` where it uses none.
    """
    names = list(undefined)
    cpp = list(filter(OF_TORCH.match, names))
    shim = list(filter(C_SHIM.fullmatch, names))
    binding = list(filter(PYTHON_BINDING.fullmatch, names))
    if cpp or shim or any(map(TORCH_LIBRARY.fullmatch, needed)):
        shim += filter(C_SHIM_OR_ANOTHER.fullmatch, names)
    symbols = sorted({*cpp, *shim, *binding})
    if cpp:
        return string_abi(cpp) or string_abi(names), symbols
    if binding:
        return "c", symbols
    return ("stable" if shim else None), symbols


def string_abi(names: Iterable[str]) -> TorchAbi | None:
    """Which ``std::string`` mangled names mention: GCC's since 5, the one before, or none.

    The one before is looked for in at most `MOST_OLD` names of at most `MOST_NAME` characters.
    """
    candidates = []
    for name in names:
        if NEW_STRING.search(name):
            return "cxx11"
        if OLD_STRING in name and len(name) <= MOST_NAME:
            candidates.append(name)
    return "pre-cxx11" if any(map(mentions_old_string, candidates[:MOST_OLD])) else None


def mentions_old_string(name: str) -> bool:
    """Whether a mangled name holds the abbreviation ``Ss``, not an identifier with these letters.

    The number of an enumeration's literal (``LN1a1bE3E``) is taken for the length of an identifier:
    what comes right behind one can be misread.
    """
    if not name.startswith("_Z"):
        return False
    special = SPECIAL_NUMBERS.match(name)
    at = special.end() if special else 2
    while at < len(name):
        token = TOKEN.match(name, at)
        if token is None:
            return False
        if token[0] == OLD_STRING:
            return True
        at = token.end() + int(token["length"] or 0)
    return False


def python_tag(path: str, needed: Iterable[str]) -> str | None:
    """The interpreter that an extension module is for: ``cp312``, ``cp313t``, ``pp310``, ``abi3``.

    By the suffix of its file name (PEP 3149, PEP 384), else by the ``libpython`` it is linked with;
    None where neither says one: a module named ``_C.so`` may be for any.
    """
    if match := OF_INTERPRETER.search(path.rpartition("/")[2]):
        if match["abi3"]:
            return match["abi3"]
        return f"cp{match['cp']}" if match["cp"] else f"pp{match['pp']}"
    linked = (OF_LIBPYTHON.fullmatch(soname) for soname in needed)
    return next((f"cp{match[1]}{match[2]}" for match in linked if match), None)


def called_compilers(undefined: Iterable[str]) -> list[str]:
    """The compilers whose functions a library calls: ``nvrtc``, ``nvjitlink``.

    Not by its needs: what is linked with PyTorch's CMake package needs libnvrtc.so, used or not.
    """
    names = list(undefined)
    return [compiler for compiler, call in CALLS.items() if any(map(call.fullmatch, names))]
