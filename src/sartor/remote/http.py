"""The HTTP client: one answer as a stream, with the limits that a hostile server meets.

Each answer is received by a thread of its own into a bounded pipe, so that receiving and inflating
overlap, and so that a server that sends a byte now and then is left when its time is over: no
timeout of a socket sees that. Addresses are shown without credentials and queries, and nothing of
a library's own message is shown: these hold the whole address.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

import msgspec

from sartor.errors import IndexUnreachableError, NoSuchTargetError
from sartor.remote.address import moment, number, safe_url
from sartor.remote.faults import (
    NO_ADDRESS,
    Dropped,
    Impossible,
    Stalled,
    denied,
    fault_of,
    refused,
    unreachable,
)
from sartor.remote.pipe import NothingCame, Pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import requests

    from sartor.remote.access import Access

BLOCK = 256 << 10
PIPE_BLOCKS = 32
"""8 MiB that were received and not read yet, for each answer."""
MOST_REDIRECTS = 10
WAIT_STATUS = frozenset({429, 503})
TRY_AGAIN_STATUS = frozenset({408, 500, 502, 504})
DENIED_STATUS = frozenset({401, 403, 407})
GONE_STATUS = frozenset({404, 410})
VALIDATORS = frozenset({"If-None-Match", "If-Modified-Since"})
MOST_BACKOFF = 16.0
MOST_ASKED = 60
"""One request is made so often, to a server that asks to wait a little."""
MOST_CHALLENGES = 2
"""One request is made again so often because it was to say who asks."""


class Limits(msgspec.Struct, frozen=True):
    """In seconds: connecting, the first byte of an answer, each `BLOCK` of it, all waiting.

    ``backoff`` is what is waited first where a server does not say how long.
    ``tries``: how often a request is made that gets no answer, and how often a file may stall;
    ``drops``: how often its connection may break off.
    """

    connect: float = 15.0
    answer: float = 90.0
    block: float = 60.0
    waiting: float = 120.0
    backoff: float = 0.25
    tries: int = 4
    drops: int = 200


class Answer(msgspec.Struct, frozen=True):
    """Status and headers (names in small letters) of an answer; ``url`` is where it came from."""

    status: int
    headers: dict[str, str]
    url: str

    @property
    def length(self) -> int | None:
        """What ``Content-Length`` says, where it says a number."""
        return number(self.headers.get("content-length"))


class Asking(NamedTuple):
    """How one request is made."""

    headers: Mapping[str, str]
    limits: Limits
    form: Mapping[str, str] | None = None


class Stream:
    """One answer: `answer`, then its bytes as an iterator, undecoded. Close it.

    ``received`` counts the bytes that came, read or not.
    """

    def __init__(self, session: requests.Session, url: str, access: Access, asking: Asking) -> None:
        self._pipe: Pipe[Answer | bytes | Exception] = Pipe(PIPE_BLOCKS)
        self._session = session
        self._url = url
        self._access = access
        self._asking = asking
        self._response: requests.Response | None = None
        self.received = 0
        threading.Thread(target=self._receive, daemon=True, name="receive").start()

    def answer(self) -> Answer:
        """The head of the answer; raises `Dropped` and `Impossible`."""
        item = self._next(self._asking.limits.answer, "no answer came")
        if isinstance(item, bytes):
            raise Dropped("the answer was taken already")
        return item

    def __iter__(self) -> Iterator[bytes]:
        """The blocks of its body; raises `Dropped`."""
        while block := self._next(self._asking.limits.block, "nothing more came"):
            if isinstance(block, bytes):
                yield block

    def close(self) -> None:
        """Receive no more."""
        self._pipe.close()
        response = self._response
        if response is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
                response.raw.shutdown()  # lets go of a thread that waits for bytes

    def _next(self, seconds: float, otherwise: str) -> Answer | bytes:
        try:
            item = self._pipe.get(seconds)
        except NothingCame:
            self.close()
            raise Stalled(f"{otherwise} for {seconds:.0f} s") from None
        if isinstance(item, Exception):
            raise item
        return item

    def _receive(self) -> None:
        import requests
        import urllib3

        try:
            self._into_pipe()
        except Impossible as impossible:
            self._pipe.put(impossible)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            self._pipe.put(fault_of(error))
        except ValueError:  # a place to go to that is no address; a chunk's length that is none
            begun = self._response is not None
            fault = Dropped("what came is no HTTP") if begun else Impossible(NO_ADDRESS)
            self._pipe.put(fault)
        except Exception as defect:
            self._pipe.put(defect)

    def _into_pipe(self) -> None:
        asking = self._asking
        with _follow(self._session, self._url, self._access, asking) as response:
            self._response = response
            headers = {k.lower(): v for k, v in response.headers.items()}
            if not self._pipe.put(Answer(response.status_code, headers, str(response.url))):
                return
            while block := response.raw.read(BLOCK, decode_content=False):
                self.received += len(block)
                if not self._pipe.put(block):
                    return
            self._pipe.put(b"")


def _follow(
    session: requests.Session, url: str, access: Access, asking: Asking
) -> requests.Response:
    """The answer at the end of the redirects.

    Not left to `requests`: it reads the body of each redirect, and one may be endless. Credentials
    are those for the host of each step, so that none goes to another host.
    """
    for _ in range(MOST_REDIRECTS + 1):
        response = session.request(
            "GET" if asking.form is None else "POST",
            url,
            data=asking.form,
            headers=asking.headers,
            stream=True,
            timeout=(asking.limits.connect, asking.limits.block),
            allow_redirects=False,
            auth=access.credentials_for(url),
            verify=False if access.trusts(url) else None,
            proxies=access.proxies_for(url),
        )
        target = session.get_redirect_target(response)
        if target is None:
            return response
        response.close()
        if asking.form is not None:
            raise Impossible("what was sent to it would go on to another address")
        before, url = url, urljoin(url, target)
        if urlsplit(before).scheme == "https" and urlsplit(url).scheme == "http":
            raise Impossible("the server leads from https to http: anybody could change the bytes")
    raise Impossible(f"more than {MOST_REDIRECTS} redirects")


class Http:
    """Asks servers as the user's configuration says. Close it: what is under way is left then.

    ``on_challenge`` is told of a 401, and says whether ``access`` has something else to say now.
    ``requests`` counts those that were made, ``received`` the bytes of the bodies of answers that
    were given back. It may be used by several threads.
    """

    def __init__(
        self,
        access: Access,
        limits: Limits | None = None,
        on_challenge: Callable[[Answer], bool] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._access = access
        self._on_challenge = on_challenge
        self._made: requests.Session | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._waited = self._not_before = 0.0
        self._open: set[Stream] = set()
        self.requests = self.received = 0

    def close(self) -> None:
        """Leave whatever is under way."""
        self._ended.set()
        with self._lock:
            streams = list(self._open)
        for stream in streams:
            self.done(stream)
        if self._made is not None:
            self._made.close()

    def _session(self) -> requests.Session:
        """The session, made for the first request: its library takes as long as a short command."""
        from sartor.remote.session import make_session

        with self._lock:
            if self._made is None:
                self._made = make_session(self._access)
            return self._made

    def get(
        self, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> tuple[Answer, Stream]:
        """The answer, and its stream, which the caller gives back with `done`.

        Its status is a success, 416, or 304 where ``headers`` ask for that. A ``form`` is posted.
        Redirects are followed, servers that are busy are waited for, and broken connections are
        made again. Raises `IndexUnreachableError`, `IndexRefusedError` and `NoSuchTargetError`.
        """
        failed = challenged = 0
        asking = Asking(headers, self.limits, form)
        for attempt in range(MOST_ASKED):
            self._hold()
            stream = Stream(self._session(), url, self._access, asking)
            with self._lock:
                self._open.add(stream)
                self.requests += 1
            try:
                answer = stream.answer()
            except (Dropped, Impossible) as fault:
                self.done(stream)
                failed += 1
                if isinstance(fault, Impossible):
                    raise unreachable(url, str(fault), fault.hint) from fault
                if failed >= self.limits.tries:
                    raise unreachable(url, str(fault)) from fault
                self.pause(url, self.backoff(failed), str(fault))
                continue
            if answer.status in {200, 206, 416} or (
                answer.status == 304 and VALIDATORS & {*headers}
            ):
                return answer, stream
            self.done(stream)
            if answer.status == 401 and self._on_challenge and challenged < MOST_CHALLENGES:
                challenged += 1
                if self._on_challenge(answer):
                    continue
            failed += answer.status in TRY_AGAIN_STATUS
            self._refused(url, answer, attempt, failed)
        raise refused(url, "it is busy, and stays so")

    def done(self, stream: Stream) -> None:
        """Give a stream back."""
        with self._lock:
            if stream in self._open:
                self._open.discard(stream)
                self.received += stream.received
        stream.close()

    def _refused(self, url: str, answer: Answer, attempt: int, failed: int) -> None:
        """Wait where that may help; else raise."""
        status = answer.status
        if status in DENIED_STATUS:
            raise denied(url, status)
        if status in GONE_STATUS:
            raise NoSuchTargetError(
                f"`{safe_url(url)}` is not there: the server answered {status}",
                hint="check the address; a file that was there may have been removed",
            )
        asked = retry_after(answer.headers.get("retry-after"), time.time())
        if status in WAIT_STATUS:
            seconds = self.backoff(attempt) if asked is None else asked
            self.pause(url, seconds, f"it answered {status}")
        elif status in TRY_AGAIN_STATUS and failed < self.limits.tries:
            self.pause(url, self.backoff(failed), f"it answered {status}")
        else:
            raise refused(url, f"it answered {status}")

    def pause(self, url: str, seconds: float, why: str) -> None:
        """Let no request go out for so long; raises where that is more than is waited in all."""
        with self._lock:
            now = time.monotonic()
            until = now + seconds
            more = max(until - max(now, self._not_before), 0)
            if self._waited + more > self.limits.waiting:
                raise refused(
                    url,
                    f"{why}, and asks for {seconds:.0f} s of waiting: more than the "
                    f"{self.limits.waiting:.0f} s that are waited in all",
                )
            self._waited += more
            self._not_before = max(self._not_before, until)

    def backoff(self, attempt: int) -> float:
        """What is waited after so many attempts."""
        return min(self.limits.backoff * float(1 << attempt), MOST_BACKOFF)

    def _hold(self) -> None:
        """Wait until requests may go out again."""
        left = self._not_before - time.monotonic()
        if left > 0:
            self._ended.wait(left)
        if self._ended.is_set():
            raise IndexUnreachableError("the reading was ended", hint="start it again")


def retry_after(text: str | None, now: float) -> float | None:
    """The seconds that ``Retry-After`` asks for; None where it is not there, or says nothing."""
    seconds = number(text)
    if seconds is not None:
        return float(seconds)
    then = moment(text)
    return None if then is None else max(then - now, 0.0)
