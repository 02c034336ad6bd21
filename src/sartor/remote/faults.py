"""What may go wrong on the way to a server, as an outcome of one request and as an error.

Nothing of a library's own message is shown, for these hold the whole address.
"""

from __future__ import annotations

from sartor.errors import IndexRefusedError, IndexUnreachableError, UntrustedBytesError
from sartor.remote.address import safe_url

NO_ADDRESS = "the answer leads to an address that is none"
TRUST_HINT = (
    "a private authority is named by pip's `cert`, or by SSL_CERT_FILE (SSL_CERT_DIR) or "
    "REQUESTS_CA_BUNDLE, as a PEM file: `SSL_CERT_FILE=/path/to/ca.pem sartor ...`; pip's "
    "`trusted-host` takes any certificate of a host"
)
TLS_HINT = (
    "is it an https server? One that wants to know who asks is shown the certificate that pip's "
    "`client-cert`, or SSL_CLIENT_CERT, names"
)


class Dropped(Exception):  # noqa: N818 - what a connection did; whether it is an error is decided later
    """The connection broke off, or nothing came: the same may work when it is tried again."""


class Stalled(Dropped):
    """Nothing came for as long as is waited."""


class Impossible(Exception):  # noqa: N818 - as above
    """The request cannot be made so: trying again changes nothing. ``hint`` is the way out."""

    def __init__(self, why: str, hint: str | None = None) -> None:
        super().__init__(why)
        self.hint = hint


def fault_of(error: Exception) -> Exception:
    """What a fault of the libraries means, in words without the address."""
    import requests
    import urllib3

    if isinstance(error, requests.exceptions.SSLError):
        return tls_fault(error)
    impossible = {
        requests.exceptions.InvalidSchema: "it is not reached by http or https",
        requests.exceptions.InvalidURL: "the address is none",
        urllib3.exceptions.LocationParseError: NO_ADDRESS,
    }
    for kind, words in impossible.items():
        if isinstance(error, kind):
            return Impossible(words)
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
        return Stalled("nothing came in time")
    if isinstance(error, requests.exceptions.ProxyError):
        return Dropped("the proxy could not be reached, or refused")
    return Dropped("no connection, or it broke off")


def tls_fault(error: Exception) -> Exception:
    """Why no TLS connection came about, as the TLS library says it below those above it."""
    import ssl

    below: object = error
    for _ in range(8):
        if isinstance(below, ssl.SSLError):
            break
        below = getattr(below, "reason", None) or next(iter(getattr(below, "args", ())), None)
    if isinstance(below, ssl.SSLCertVerificationError):
        return Impossible(
            f"the server's certificate is not trusted: {below.verify_message}", TRUST_HINT
        )
    if isinstance(below, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Dropped("the connection broke off while TLS began")
    reason = str(getattr(below, "reason", None) or "").replace("_", " ").lower()
    return Impossible(f"TLS fails: {reason or 'no reason is given'}", TLS_HINT)


def unreachable(url: str, why: str, hint: str | None = None) -> IndexUnreachableError:
    """No answer, or none that goes on."""
    return IndexUnreachableError(
        f"`{safe_url(url)}` could not be read: {why}",
        hint=hint
        or "check the network, the proxy (HTTPS_PROXY) and the index in your pip or uv "
        "configuration (UV_DEFAULT_INDEX); nothing was kept, so the command can be run again",
    )


def untrusted(url: str, why: str) -> UntrustedBytesError:
    """A server that contradicts itself, or the index."""
    return UntrustedBytesError(
        f"`{safe_url(url)}` is refused: {why}",
        hint="the server, or a proxy on the way, serves other bytes than it says; try again, "
        "or name another index in your pip or uv configuration",
    )


def refused(url: str, why: str) -> IndexRefusedError:
    """An answer that is no help."""
    return IndexRefusedError(
        f"`{safe_url(url)}` could not be read: {why}",
        hint="try again later, or name another index or mirror in your pip or uv configuration",
    )


class DeniedError(IndexRefusedError):
    """The server wants to know who asks, or does not let that one in."""


def denied(url: str, status: int) -> DeniedError:
    """The server wants to know who asks."""
    return DeniedError(
        f"`{safe_url(url)}` may not be read: the server answered {status}",
        hint="credentials are taken from pip's and uv's configuration (in the index's address), "
        "from `~/.netrc`, and from the program `keyring`; a proxy's from its address",
    )
