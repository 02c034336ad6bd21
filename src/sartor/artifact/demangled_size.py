"""How long a C++ name becomes in plain form, without making it.

A name of 300 characters can stand for gigabytes: ``S1_`` repeats what an earlier part stood for,
which may repeat another; so may a parameter pack in a pack. The C++ library makes all of it, and is
therefore asked only where this module's bound is small. After the chapter on mangling of the
Itanium C++ ABI; expressions are not followed.
"""

from __future__ import annotations

import re

BUILTIN = 20
"""``unsigned long long`` and a blank."""
JOINT = 8
"""What stands between parts: ``::``, ``, ``, `` const``, ``(*)()``."""
LIBRARY_TYPE = 80
"""The longest of `Sa` to `Sd`, ``std::basic_string<char, …>``."""
MOST_DEPTH = 150
"""Of types in types. The deepest kernel of the wheels that were looked at has some 20."""
NUMBER = re.compile(r"[0-9]{1,4}")
SEQUENCE = re.compile(r"S([0-9A-Z]{0,4})_")
PARAMETER = re.compile(r"T([0-9]{0,4})_")
VALUE = re.compile(r"n?[0-9a-f]{0,64}E")
END = re.compile("E")
BUILTINS = re.compile(r"[abcdefghijlmnostvwxyz]|D(?:[acdefhinsu]|F16[_b])")
LAMBDA_END = re.compile(r"E[0-9]{0,4}_")
UNNAMED = re.compile(r"Ut[0-9]{0,4}_")
OPERATOR = re.compile(r"[a-z][a-zA-Z]|[CD][0-5]")


class _NotFollowed(Exception):  # noqa: N818 - no fault: the name may be a good one
    """Something stands there that is not followed."""


def demangled_size(name: str) -> int | None:
    """No fewer characters than the plain form of a mangled name has; None where it is not known."""
    if not name.startswith("_Z"):
        return None
    try:
        return _Sizes(name.partition(".")[0]).encoding() + len(name)
    except _NotFollowed:
        return None


class _Sizes:
    """Reads a name from left to right, and keeps of each part only how long it becomes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 2
        self._depth = 0
        self._parts: list[int] = []
        self._argument = 0
        self._count = 1

    def encoding(self) -> int:
        """A function's or variable's name and the types behind it."""
        size = self._name()
        while self._at < len(self._text):
            size += self._type() + JOINT
        return size

    def _peek(self, length: int = 1) -> str:
        return self._text[self._at : self._at + length]

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _NotFollowed
        self._at = found.end()
        return found

    def _add(self, size: int) -> int:
        self._parts.append(size)
        return size

    def _name(self) -> int:
        if self._peek() == "N":
            return self._nested()
        if self._peek() == "S" and self._peek(2) != "St":
            return self._substitution() + self._arguments()
        size = self._unqualified()
        return self._add(size) + self._arguments() if self._peek() == "I" else size

    def _unqualified(self) -> int:
        size = JOINT
        if self._peek(2) == "St":
            self._at += 2
        if self._peek() == "L":
            self._at += 1
        if self._peek(2) == "Ul":
            self._at += 2
            while self._peek() != "E":
                size += self._type() + JOINT
            self._take(LAMBDA_END)
            return size + 2 * BUILTIN
        if self._peek(2) == "Ut":
            self._take(UNNAMED)
            return size + 2 * BUILTIN
        if not self._peek().isdecimal():
            self._take(OPERATOR)
            return size + BUILTIN
        return size + self._source_name()

    def _source_name(self) -> int:
        length = int(self._take(NUMBER)[0])
        self._at += length
        if self._at > len(self._text):
            raise _NotFollowed
        while self._peek() == "B":
            self._at += 1
            length += self._source_name() + JOINT
        return length + BUILTIN  # an anonymous namespace is `_GLOBAL__N_1`

    def _nested(self) -> int:
        self._at += 1
        while self._peek() in {"r", "V", "K", "R", "O"}:
            self._at += 1
        size, known = 0, True
        while self._peek() != "E":
            if not known:
                self._add(size)
            known = False
            match self._peek():
                case "I":
                    size += self._arguments()
                case "S" if self._peek(2) == "St" and not size:
                    self._at += 2
                    size, known = JOINT, True
                case "S" if not size:
                    size, known = self._substitution(), True
                case "T" if not size:
                    size = self._parameter()
                case _:
                    # A constructor repeats the name of its class.
                    size += self._unqualified() + (size if self._peek(-1) in {"C", "D"} else 0)
        self._at += 1
        return size

    def _arguments(self) -> int:
        if self._peek() != "I":
            return 0
        size, count = JOINT, 0
        self._at += 1
        while self._peek() != "E":
            argument = self._one_argument() + JOINT
            self._argument = max(self._argument, argument)
            size, count = size + argument, count + 1
        self._at += 1
        self._count = max(self._count, count)
        return size

    def _one_argument(self) -> int:
        match self._peek():
            case "J":
                self._text = f"{self._text[: self._at]}I{self._text[self._at + 1 :]}"
                return self._arguments()
            case "L":
                self._at += 1
                size = self._type() + JOINT
                return size + len(self._take(VALUE)[0])
            case "X":
                self._at += 1
                size = self._parameter()
                self._take(END)
                return size
            case _:
                return self._type()

    def _type(self) -> int:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise _NotFollowed
        size = self._one_type()
        self._depth -= 1
        return size

    def _one_type(self) -> int:
        match self._peek():
            case "r" | "V" | "K" | "P" | "R" | "O":
                return self._qualified()
            case "F":
                return self._function()
            case "M":
                self._at += 1
                return self._add(self._type() + self._type() + 2 * JOINT)
            case "T" | "S" if self._peek(2) != "St":
                return self._repeated()
            case "N" | "S" | "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9":
                return self._add(self._name())
        return self._pack() if self._peek(2) == "Dp" else self._builtin()

    def _builtin(self) -> int:
        self._take(BUILTINS)
        return BUILTIN

    def _pack(self) -> int:
        self._at += 2
        return self._add((self._type() + JOINT) * self._count)

    def _qualified(self) -> int:
        """Qualifiers are one part together; pointers and references are one each."""
        if self._peek() in {"P", "R", "O"}:
            self._at += 1
        else:
            while self._peek() in {"r", "V", "K"}:
                self._at += 1
        return self._add(self._type() + 3 * JOINT)

    def _repeated(self) -> int:
        """A parameter, which is a part, or a substitution, which was one; with arguments, both."""
        is_parameter = self._peek() == "T"
        size = self._add(self._parameter()) if is_parameter else self._substitution()
        return self._add(size + self._arguments()) if self._peek() == "I" else size

    def _function(self) -> int:
        size = JOINT
        self._at += 1
        while self._peek() != "E":
            size += self._type() + JOINT
        self._at += 1
        return self._add(size)

    def _parameter(self) -> int:
        self._take(PARAMETER)
        return self._argument + BUILTIN

    def _substitution(self) -> int:
        if self._peek(2) in {"Sa", "Sb", "Ss", "Si", "So", "Sd"}:
            self._at += 2
            return LIBRARY_TYPE
        digits = self._take(SEQUENCE)[1]
        index = int(digits, 36) + 1 if digits else 0
        if index >= len(self._parts):
            raise _NotFollowed
        return self._parts[index]
