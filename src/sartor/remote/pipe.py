"""A bounded pipe between the thread that receives and the one that reads."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NothingCame(Exception):  # noqa: N818 - said of a wait, which is no error of the pipe's
    """Nothing was put in within the time."""


class Pipe(Generic[Item]):
    """At most ``most`` items at a time; either side may end it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> bool:
        """Wait for room and put the item in; False where nobody reads any more."""
        with self._changed:
            while len(self._items) >= self._most and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, seconds: float) -> Item:
        """The next item; where there is none for so long, the pipe ends: `NothingCame`."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._items:
                left = until - time.monotonic()
                if left <= 0 or self._closed:
                    self._closed = True
                    raise NothingCame
                self._changed.wait(left)
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Nothing is read any more; whoever waits is let go."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
