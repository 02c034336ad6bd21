"""A position in a GGUF header that cannot be led past the file's end or past its budgets."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

from sartor.models.sniff import FETCH_AGAIN, invalid
from sartor.paths import human_bytes

if TYPE_CHECKING:
    from sartor.errors import ModelInvalidError

MAX_KEPT_BYTES = 1 << 26
MAX_TEXTS_WALKED = 1 << 22
_WINDOW_BYTES = 1 << 20

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class Cursor:
    """Reads ``stream`` from its start, in bytes; ``file`` is its name in errors.

    ``keep_items`` is the longest array that is kept. Every method that reads raises
    `ModelInvalidError` where the file is too short or a budget of the header is spent.
    """

    def __init__(self, stream: BinaryIO, file: str, keep_items: int) -> None:
        self.stream = stream
        self.file = file
        self.keep_items = keep_items
        self.size = stream.seek(0, 2)
        self.offset = stream.seek(0)
        self.kept_bytes = 0
        self.texts_walked = 0

    @property
    def left(self) -> int:
        """Bytes from here to the end."""
        return self.size - self.offset

    def fault(self, reason: str, hint: str = FETCH_AGAIN) -> ModelInvalidError:
        """The error for something wrong at this position."""
        return invalid(self.file, self.offset, reason, hint)

    def need(self, count: int) -> None:
        """Raise unless ``count`` bytes are left."""
        if count > self.left:
            raise self.fault(
                f"it is truncated: it has {self.size} bytes and ends inside its header, which "
                f"demands at least {self.offset + count}"
            )

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        self.need(count)
        data = self.stream.read(count)
        if len(data) != count:
            raise self.fault("it became shorter while it was read")
        self.offset += count
        return data

    def peek(self, most: int) -> bytes:
        """Up to ``most`` bytes from here, without moving."""
        data = self.stream.read(min(most, self.left))
        self.stream.seek(self.offset)
        return data

    def skip(self, count: int) -> None:
        """Pass ``count`` bytes."""
        self.need(count)
        self.offset = self.stream.seek(self.offset + count)

    def u32(self) -> int:
        """The next four bytes as a number."""
        number: int = _U32.unpack(self.take(4))[0]
        return number

    def u64(self) -> int:
        """The next eight bytes as a number."""
        number: int = _U64.unpack(self.take(8))[0]
        return number

    def text(self, limit: int) -> str:
        """The next text, of up to ``limit`` bytes; what is not UTF-8 in it is replaced."""
        length = self.u64()
        if length > limit:
            raise self.fault(f"a text claims to be {length} bytes long; {limit} is the most")
        self.kept_bytes += length
        if self.kept_bytes > MAX_KEPT_BYTES:
            raise self.fault(f"its header holds more than {human_bytes(MAX_KEPT_BYTES)} of text")
        return self.take(length).decode("utf-8", "replace")

    def count_texts(self, count: int) -> None:
        """Charge an array of ``count`` texts to the budget, before any of them is read."""
        self.need(8 * count)
        self.texts_walked += count
        if self.texts_walked > MAX_TEXTS_WALKED:
            raise self.fault(f"its header holds more than {MAX_TEXTS_WALKED} texts in arrays")

    def skip_texts(self, count: int) -> None:
        """Pass ``count`` texts: a vocabulary has hundreds of thousands, so in windows."""
        while count:
            walked, length = _walk_texts(self.peek(_WINDOW_BYTES), count)
            if walked:
                self.skip(length)
            else:
                self.skip(self.u64())
                walked = 1
            count -= walked


def _walk_texts(window: bytes, most: int) -> tuple[int, int]:
    """How many texts, up to ``most``, lie whole at the start of ``window``, and their bytes."""
    unpack, size = _U64.unpack_from, len(window)
    walked = at = 0
    while walked < most and at + 8 <= size:
        end = at + 8 + unpack(window, at)[0]
        if end > size:
            break
        at = end
        walked += 1
    return walked, at
