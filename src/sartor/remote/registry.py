"""A container registry, as the OCI distribution specification 1.1 has it: manifests and blobs.

Documents are compared with the digest that names them; a layer's digest is checked by whoever
reads it to its end.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from sartor.artifact.members import shown
from sartor.artifact.oci import DIGEST, MOST_DOCUMENT, MOST_DOCUMENTS, check_digest
from sartor.artifact.source import Invalid
from sartor.errors import (
    IndexRefusedError,
    IndexUnreachableError,
    NoSuchTargetError,
    RegistryRefusedError,
    RegistryUnreachableError,
    SartorError,
    UntrustedBytesError,
)
from sartor.remote.faults import DeniedError, Dropped, Impossible, unreachable
from sartor.remote.file import RemoteFile
from sartor.remote.http import Http, Limits
from sartor.remote.image_reference import ImageReference
from sartor.remote.registry_auth import Gate, OneServer
from sartor.remote.registry_logins import login_for
from sartor.remote.registry_settings import is_loopback, server_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.artifact.oci import Descriptor
    from sartor.remote.access import Access
    from sartor.remote.http import Answer, Stream
    from sartor.remote.registry_logins import Login

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
PROBE = Limits(connect=10.0, answer=10.0, block=10.0, waiting=10.0, tries=1)
MOST_BLOB = 1 << 40


class Manifest(NamedTuple):
    """A manifest's bytes, and their digest."""

    data: bytes
    digest: str


class Registry:
    """The registry of one image; ``fetched`` counts the bytes of all answers' bodies.

    Raises `RegistryUnreachableError`, `RegistryRefusedError`, `NoSuchTargetError` and
    `UntrustedBytesError`; and `Invalid` for what a document holds. Used by several threads.
    """

    def __init__(
        self, reference: ImageReference, usual: Access, limits: Limits | None = None
    ) -> None:
        self.on_bytes: Callable[[int], None] = lambda _: None
        self._reference = reference
        self._server = server_of(reference)
        self._usual = usual
        self._limits = limits
        self._files: list[RemoteFile] = []
        self._documents = self._in_documents = 0
        self._login: Login | None = None
        self._login_known = False
        if self._server.blocked:
            raise RegistryRefusedError(
                f"`{reference}` may not be read", hint="it is `blocked` in your registries.conf"
            )
        with self._said():
            self._base = self._find_base()
        self._http = self._client(self._base)

    @property
    def fetched(self) -> int:
        """Bytes of bodies that came so far."""
        return self._in_documents + sum(file.fetched for file in self._files)

    def close(self) -> None:
        """Leave whatever is under way."""
        self._http.close()

    def manifest(self, wanted: str) -> Manifest:
        """The manifest of a tag or digest."""
        url = f"{self._base}/v2/{self._server.repository}/manifests/{wanted}"
        with self._said():
            answer, data = self._document(url, ", ".join(MANIFESTS))
            if DIGEST.fullmatch(wanted):
                self._check(data, wanted)
                return Manifest(data, wanted)
            stated = answer.headers.get("docker-content-digest", "")
            if DIGEST.fullmatch(stated):
                self._check(data, stated)
        return Manifest(data, f"sha256:{hashlib.sha256(data).hexdigest()}")

    def document(self, descriptor: Descriptor) -> bytes:
        """A small blob: an image's configuration."""
        url = self._blob_url(descriptor)
        with self._said():
            _, data = self._document(url, "*/*")
            self._check(data, descriptor.digest)
        return data

    def blob(self, descriptor: Descriptor) -> RemoteFile:
        """A layer; what is read of it raises as this class does, inside `reading`."""
        url, size = self._blob_url(descriptor), descriptor.size
        if size is None or not 0 <= size <= MOST_BLOB:
            raise Invalid(
                shown(descriptor.digest), 0, f"the manifest says that it has {size} bytes"
            )
        file = RemoteFile(self._http, url, descriptor.digest, size, addressed=True)
        self._files.append(file)
        file.on_bytes = lambda _: self.on_bytes(self.fetched)
        return file

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Say what goes wrong while blobs are read as is said of a registry."""
        with self._said():
            yield

    def _blob_url(self, descriptor: Descriptor) -> str:
        if not DIGEST.fullmatch(descriptor.digest):
            raise Invalid(
                str(self._reference), 0, f"`{shown(descriptor.digest[:100])}` is no digest"
            )
        return f"{self._base}/v2/{self._server.repository}/blobs/{descriptor.digest}"

    def _client(self, base: str) -> Http:
        access = OneServer(self._usual, base, any_certificate=self._server.insecure)
        scope = f"repository:{self._server.repository}:pull"
        gate = Gate(access, self._login_at, scope, self._limits)
        return Http(access, self._limits, gate.answer)

    def _login_at(self, url: str) -> Login | None:
        """The login of the image's own registry; elsewhere that of the host, where there is one."""
        host = urlsplit(url).netloc
        if host != self._server.host:
            return login_for(ImageReference(host, host, self._server.repository))
        if not self._login_known:
            self._login = login_for(self._reference)
            self._login_known = True
        return self._login

    def _find_base(self) -> str:
        """`https`; without TLS only on this machine, or where the user's files say so."""
        host = self._server.host
        local = is_loopback(host)
        if not (local or self._server.insecure):
            return f"https://{host}"
        first, second = ("http", "https") if local else ("https", "http")
        try:
            return self._probed(f"{first}://{host}")
        except SartorError as error:
            try:
                return self._probed(f"{second}://{host}")
            except SartorError:
                raise error from None

    def _probed(self, base: str) -> str:
        """The address, where something answers there as registries do."""
        access = OneServer(self._usual, base, any_certificate=self._server.insecure)
        asked: list[int] = []

        def asks_who(answer: Answer) -> bool:
            asked.append(answer.status)
            return False

        http = Http(access, PROBE, asks_who)
        try:
            _, stream = http.get(f"{base}/v2/", {})
            http.done(stream)
        except NoSuchTargetError:
            pass
        except DeniedError:
            if not asked:
                raise
        finally:
            http.close()
        return base

    def _document(self, url: str, accept: str) -> tuple[Answer, bytes]:
        self._documents += 1
        if self._documents > MOST_DOCUMENTS:
            raise Invalid(str(self._reference), 0, f"more than {MOST_DOCUMENTS} documents")
        for attempt in range(self._http.limits.tries):
            answer, stream = self._http.get(url, {"Accept": accept})
            try:
                return answer, self._received(stream)
            except Dropped as fault:
                self._http.pause(url, self._http.backoff(attempt), str(fault))
            finally:
                self._http.done(stream)
        raise unreachable(url, "the connection broke off each time")

    def _received(self, stream: Stream) -> bytes:
        found = bytearray()
        for block in stream:
            found += block
            self._in_documents += len(block)
            if len(found) > MOST_DOCUMENT:
                reason = f"a document of more than {MOST_DOCUMENT} bytes"
                raise Invalid(str(self._reference), 0, reason)
        return bytes(found)

    def _check(self, data: bytes, digest: str) -> None:
        try:
            check_digest(data, digest)
        except Invalid as fault:
            raise UntrustedBytesError(
                f"`{self._reference}` is refused: what was served for `{digest}` has another digest"
            ) from fault

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Errors of the client, in a registry's words."""
        try:
            yield
        except IndexUnreachableError as error:
            raise RegistryUnreachableError(
                error.message,
                hint=_of_tls(error)
                or "check the name, the network and the proxy (HTTPS_PROXY); a path is written "
                "`./...`, and a registry without TLS is named in registries.conf or daemon.json",
            ) from error
        except IndexRefusedError as error:
            raise RegistryRefusedError(error.message, hint=self._way_in(error)) from error
        except UntrustedBytesError as error:
            raise UntrustedBytesError(
                error.message,
                hint="the registry, or a proxy on the way, serves other bytes than the digests say",
            ) from error
        except NoSuchTargetError as error:
            raise NoSuchTargetError(
                f"there is no image `{self._reference}`",
                found=[error.message],
                hint="check the name and the tag; `docker://` names an image, `./` a path",
            ) from error

    def _way_in(self, error: SartorError) -> str:
        if not isinstance(error, DeniedError):
            return "try again later"
        name = self._reference.registry
        known = "the login for it was not taken" if self._login else "no login for it is kept"
        return (
            f"{known}: `docker login {name}` or `podman login {name}`; "
            "an image that is not there is answered likewise"
        )


def _of_tls(error: SartorError) -> str | None:
    """What the client says of the way out, where the trouble is a certificate."""
    cause = error.__cause__
    return cause.hint if isinstance(cause, Impossible) else None
