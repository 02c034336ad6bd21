"""The session of `requests` that Sartor uses: whom it trusts, and what it never keeps."""

from __future__ import annotations

import ssl
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from sartor.errors import UsageError
from sartor.index.trust import Trust, loose_certificates

if TYPE_CHECKING:
    from sartor.remote.access import Access

CONNECTIONS = 16


def make_session(access: Access) -> requests.Session:
    """A session without cookies, that trusts whom ``access`` says."""
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers["Accept-Encoding"] = "identity"
    session.cert = access.trust.client_certificate
    adapter = Adapter(access.trust)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user's `trusted-host`
    return session


class Adapter(BaseAdapter):
    """Sends by TLS under one context, which is made once it is needed.

    Left to itself `requests` trusts one file: one variable's, else its own.
    """

    def __init__(self, trust: Trust) -> None:
        super().__init__()
        self._trust = trust
        self._plain = HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=0)
        self._verified: TlsAdapter | None = None

    def send(self, request: Any, *arguments: Any, **settings: Any) -> requests.Response:
        """Send it, verified but for the user's `trusted-host`. Raises `UsageError`."""
        hops = [request.url, *(settings.get("proxies") or {}).values()]
        if settings.get("verify") is False or not any(map(is_https, hops)):
            return self._plain.send(request, *arguments, **settings)
        if self._verified is None:
            self._verified = TlsAdapter(tls_context(self._trust))
        return self._verified.send(request, *arguments, **{**settings, "verify": True})

    def close(self) -> None:
        """Leave all connections."""
        self._plain.close()
        if self._verified is not None:
            self._verified.close()


class TlsAdapter(HTTPAdapter):
    """Connections under one TLS context."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_maxsize=CONNECTIONS, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        """Give each connection the context."""
        super().init_poolmanager(*arguments, **settings, ssl_context=self._context)

    def proxy_manager_for(self, proxy: Any, **settings: Any) -> Any:
        """Give each connection through a proxy the context, and that to the proxy itself."""
        own = {"ssl_context": self._context, "proxy_ssl_context": self._context}
        return super().proxy_manager_for(proxy, **settings, **own)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ARG002
        """Leave it to the context."""
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None


def is_https(url: str) -> bool:
    """Whether TLS is spoken there."""
    return url[:6].lower() == "https:"


def tls_context(trust: Trust) -> ssl.SSLContext:
    """Trusts the authorities of ``trust``; raises `UsageError` where a file has none."""
    context = create_urllib3_context()
    files = [*trust.files, *(f for folder in trust.folders for f in loose_certificates(folder))]
    if not files and not trust.folders:
        files = [DEFAULT_CA_BUNDLE_PATH]
    path = ""
    try:
        for path in files:
            context.load_verify_locations(cafile=path)
        for path in trust.folders:
            context.load_verify_locations(capath=path)
        if trust.client_certificate:
            path = trust.client_certificate
            context.load_cert_chain(path, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or "it is none"
        raise UsageError(
            f"the certificates in `{path}` cannot be used: {why}",
            hint="a PEM file is named by pip's `cert` and `client-cert`, or by SSL_CERT_FILE, "
            "REQUESTS_CA_BUNDLE and SSL_CLIENT_CERT",
        ) from error
    return context
