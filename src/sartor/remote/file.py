"""One file on a server, read by range where the server gives ranges, forward where it does not.

A connection that breaks off is taken up where it broke (`Range`, and `If-Range` with what the
server says of the file's identity). Whatever contradicts what was said before is refused.
"""

from __future__ import annotations

import re
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Literal

from sartor.remote.address import safe_url
from sartor.remote.faults import Dropped, Stalled, refused, unreachable, untrusted
from sartor.remote.hasher import Hasher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.errors import UntrustedBytesError
    from sartor.remote.http import Answer, Http, Stream

TAIL = 1 << 20
"""Fetched first, and kept: the directory of a large wheel, and its metadata, lie in it."""
SHORT_TAIL = 64 << 10
"""The directory of most wheels, and their metadata."""
KEPT = 16 << 20
"""What is kept of the end of a file that only comes as a whole."""
WHOLE = 32 << 20
"""A file up to this size is fetched once, and kept."""
MOST_FILE = 64 << 30
"""An answer without a length is left there."""
MOST_OFTEN, SPARE = 24, 64 << 20
"""The file may be fetched so many times over, and some more: a hostile one would be for ever."""
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)

Ranges = Literal["given", "not given"]


class RemoteFile:
    """A file on a server. `look` first; then ``size``, ``ranges`` and `stream` hold.

    ``size`` and ``sha256`` are what an index says of it. ``fetched`` counts the bytes that came.
    ``addressed``: what names it is the digest of its bytes, which the reader checks. Then it needs
    no `look`, and a server without ranges may begin from the first byte each time.
    ``in_parts``, to be set first: little of it is wanted. Its tail is a short one (`SHORT_TAIL`),
    and where the server gives no ranges it is refused rather than fetched.
    ``read_again``: parts were read once more after its bytes were hashed.
    It may be used by several threads.
    """

    def __init__(
        self,
        http: Http,
        url: str,
        name: str,
        size: int | None = None,
        sha256: str | None = None,
        *,
        addressed: bool = False,
    ) -> None:
        self.name = name
        self.stated_sha256 = sha256
        self.sha256: str | None = None
        self.fetched = 0
        self.ranges: Ranges = "given"
        self.whole: bytes | None = None
        self.read_again = False
        self.tail = b""
        self.on_bytes: Callable[[int], None] = lambda _: None
        self._size = size
        self._http = http
        self._url = url
        self._addressed = addressed
        self.in_parts = False
        self._identity: tuple[str | None, str | None] = (None, None)
        self._drops = self._stalls = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """In bytes; known once `look` is done."""
        return self._size or 0

    @property
    def _tail(self) -> int:
        return SHORT_TAIL if self.in_parts else TAIL

    @property
    def address(self) -> str:
        """As it may be shown."""
        return safe_url(self._url)

    def look(self) -> None:
        """Learn size and identity, and keep the tail.

        A server without ranges sends the whole file here, which is hashed on the way: the ZIP
        directory is at its end. What is not kept (`WHOLE`, `KEPT`) is fetched again when it is
        read, so that such a file costs twice its size, and again whatever is read again.
        """
        answer, stream = self._http.get(self._url, {"Range": f"bytes=-{self._tail}"})
        with self._giving_back(stream):
            if answer.status == 206:
                self._take_tail(answer, stream)
                return
        length = answer.length
        if answer.status == 200 and answer.headers.get("accept-ranges") == "bytes" and length:
            self._ask_for_tail(length)  # some give no ranges that count from the end
        else:
            self._take_whole()

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from ``start`` to ``end``, taken up where the connection breaks off.

        Raises the errors of `Http.get`, and `UntrustedBytesError`.
        """
        at, without_one = start, 0
        while at < end:
            answer, stream = self._open(at, end)
            skip = at if answer.status == 200 else 0
            came = at
            try:
                for block in stream:
                    self._count(len(block))
                    piece = block[skip:] if skip < len(block) else b""
                    skip -= min(skip, len(block))
                    self._check_not_more(answer, end - at - len(piece))
                    piece = piece[: end - at]
                    at += len(piece)
                    if piece:
                        yield piece
                    if at >= end:
                        return
                fault = Dropped("it ended early")
            except Dropped as dropped:
                fault = dropped
            finally:
                self._http.done(stream)
            without_one = without_one + 1 if at == came else 0
            self._dropped(fault, without_one)

    def leave(self) -> None:
        """Let go of all that is under way, here and in other threads."""
        self._http.close()

    def untrusted(self, why: str) -> UntrustedBytesError:
        """The error for a server that contradicts itself, or the index."""
        return untrusted(self._url, why)

    def _open(self, start: int, end: int) -> tuple[Answer, Stream]:
        if self.ranges == "not given":
            answer, stream = self._http.get(self._url, {})
            with self._closing_on_error(stream):
                self._check_plain(answer)
                if answer.status != 200 or answer.length not in {None, self._size}:
                    raise self.untrusted("it is not the file that was served before")
                self._check_identity(answer)
            return answer, stream
        headers = {"Range": f"bytes={start}-{end - 1}"}
        if condition := self._condition():
            headers["If-Range"] = condition
        answer, stream = self._http.get(self._url, headers)
        with self._closing_on_error(stream):
            if answer.status == 200 and self._addressed:
                self._check_whole(answer)
                self.ranges = "not given"
                return answer, stream
            if answer.status != 206:
                why = "changed while it was read, or is served without ranges now"
                raise self.untrusted(f"it {why} (it answered {answer.status})")
            self._check_part(answer, start, end)
        return answer, stream

    def _take_tail(self, answer: Answer, stream: Stream) -> None:
        first, last, total = self._content_range(answer)
        if self._size is not None and total != self._size:
            raise self.untrusted(f"it has {total} bytes, and the index says {self._size}")
        shown = f"{first}-{last}/{total}"
        if last != total - 1 or first != max(total - self._tail, 0):
            raise self.untrusted(f"asked for the last {self._tail} bytes it sent {shown}")
        self._check_plain(answer)
        if answer.length not in {None, total - first}:
            raise self.untrusted(f"it says that {total - first} bytes are {answer.length}")
        self._size = total
        self._identity = _identity(answer)
        found = bytearray()
        try:
            for block in stream:
                self._count(len(block))
                found += block
                if len(found) > total - first:
                    raise self.untrusted("it sent more bytes than it said")
        except Dropped as fault:
            self._dropped(fault, 0)
        for block in self.stream(first + len(found), total):
            found += block
        self.tail = bytes(found)

    def _ask_for_tail(self, length: int) -> None:
        first = max(length - self._tail, 0)
        answer, stream = self._http.get(self._url, {"Range": f"bytes={first}-{length - 1}"})
        with self._giving_back(stream):
            if answer.status == 206:
                self._take_tail(answer, stream)
                return
        self._take_whole()

    def _take_whole(self) -> None:
        self.ranges = "not given"
        if self.in_parts:
            raise refused(self._url, "its server gives no ranges, and all of it is not fetched")
        for attempt in range(self._http.limits.tries):
            answer, stream = self._http.get(self._url, {})
            try:
                with self._giving_back(stream), closing(Hasher()) as hasher:
                    self._receive_whole(answer, stream, hasher)
                    self.found_sha256(hasher.hexdigest())
            except Dropped as fault:
                self._dropped(fault, attempt)
                continue
            self._identity = _identity(answer)
            return
        raise unreachable(self._url, "it broke off, and is served from its beginning only")

    def _receive_whole(self, answer: Answer, stream: Stream, hasher: Hasher) -> None:
        if answer.status != 200:
            raise self.untrusted(f"it answered {answer.status} to a plain request")
        self._check_plain(answer)
        stated = self._size if self._size is not None else answer.length
        if answer.length not in {None, stated}:
            raise self.untrusted(f"it has {answer.length} bytes, and the index says {stated}")
        kept, seen, most = bytearray(), 0, MOST_FILE if stated is None else stated
        for block in stream:
            self._count(len(block))
            seen += len(block)
            if seen > most:
                raise self.untrusted(f"it sent more than {most} bytes")
            hasher.update(block)
            kept += block
            if seen > WHOLE and len(kept) > KEPT + TAIL:
                del kept[: len(kept) - KEPT]
        if stated is not None and seen < stated:
            raise self.untrusted(f"it ended after {seen} bytes of {stated}")
        self._size = seen
        self.tail = bytes(kept)
        self.whole = self.tail if seen == len(kept) else None

    def found_sha256(self, found: str) -> None:
        """Note the hash of all bytes; raises `UntrustedBytesError` where it is another one."""
        stated = self.stated_sha256
        if stated is not None and found != stated:
            raise self.untrusted(f"its sha256 is {found}, and the index says {stated}")
        if self.sha256 not in {None, found}:
            raise self.untrusted("it changed between two readings")
        self.sha256 = found

    def _check_whole(self, answer: Answer) -> None:
        if answer.length not in {None, self._size}:
            raise self.untrusted(f"it has {answer.length} bytes, and is to have {self._size}")
        self._check_plain(answer)

    def _check_not_more(self, answer: Answer, left: int) -> None:
        if left < 0 and answer.status == 206:
            raise self.untrusted("it sent more bytes than were asked for")

    def _content_range(self, answer: Answer) -> tuple[int, int, int]:
        text = answer.headers.get("content-range", "")
        match = CONTENT_RANGE.fullmatch(text.strip())
        if match is None:
            raise self.untrusted("it sent a part and does not say which")
        return int(match[1]), int(match[2]), int(match[3])

    def _check_part(self, answer: Answer, start: int, end: int) -> None:
        found = self._content_range(answer)
        if found != (start, end - 1, self.size):
            shown = "{}-{}/{}".format(*found)
            raise self.untrusted(f"asked for {start}-{end - 1}/{self.size} it sent {shown}")
        if answer.length not in {None, end - start}:
            raise self.untrusted(f"it says that {end - start} bytes are {answer.length}")
        self._check_plain(answer)
        self._check_identity(answer)

    def _check_plain(self, answer: Answer) -> None:
        coding = answer.headers.get("content-encoding", "identity").strip().lower()
        if coding not in {"", "identity"}:
            raise self.untrusted(
                "it was encoded on the way (Content-Encoding), so that no length or range holds"
            )

    def _check_identity(self, answer: Answer) -> None:
        for before, now in zip(self._identity, _identity(answer), strict=True):
            if before and now and before != now:
                raise self.untrusted("it changed while it was read")

    def _condition(self) -> str | None:
        """What `If-Range` may say: a strong validator."""
        etag, modified = self._identity
        return etag or modified

    def _dropped(self, fault: Dropped, in_a_row: int) -> None:
        """Count it; raises where the connection broke off, or stalled, too often."""
        limits = self._http.limits
        with self._lock:
            self._drops += 1
            self._stalls += isinstance(fault, Stalled)
            drops, stalls = self._drops, self._stalls
        if max(in_a_row, stalls) >= limits.tries or drops > limits.drops:
            raise unreachable(self._url, f"{fault}, {drops} times")
        if in_a_row:
            self._http.pause(self._url, self._http.backoff(in_a_row), str(fault))

    def _count(self, size: int) -> None:
        with self._lock:
            self.fetched += size
            fetched = self.fetched
        if fetched > MOST_OFTEN * max(self.size, 1) + SPARE and self._size is not None:
            raise self.untrusted(
                f"reading it has taken {fetched} bytes already, of a file of {self.size}"
            )
        self.on_bytes(fetched)

    @contextmanager
    def _giving_back(self, stream: Stream) -> Iterator[None]:
        try:
            yield
        finally:
            self._http.done(stream)

    @contextmanager
    def _closing_on_error(self, stream: Stream) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._http.done(stream)
            raise


def _identity(answer: Answer) -> tuple[str | None, str | None]:
    """A strong ``ETag``, and ``Last-Modified``."""
    etag = answer.headers.get("etag", "").strip()
    modified = answer.headers.get("last-modified", "").strip()
    strong = len(etag) >= 2 and etag[0] == etag[-1] == '"' and etag.isascii()
    return etag if strong and len(etag) <= 200 else None, modified[:100] or None
