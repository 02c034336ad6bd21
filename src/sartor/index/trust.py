"""Whom a client trusts, and by what it proves itself, as pip and uv are told here.

Every authority that is named for either tool is trusted; where none is, the machine's own are.
What is named and not there is passed over, as uv does.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sartor.index import network

if TYPE_CHECKING:
    from collections.abc import Mapping

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""pip's client takes the first two, uv and OpenSSL the last; `SSL_CERT_DIR` stands beside it."""
MACHINES_OWN = ("system-certs", "native-tls")
HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
"""A certificate in a folder as OpenSSL finds it."""
LOOSE = (".pem", ".crt", ".cer")


class Trust(NamedTuple):
    """``files`` and ``folders`` of authorities; with neither those that the client brings.

    ``client_certificate``: a file with a certificate and its key.
    """

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    client_certificate: str | None = None


def trust(environ: Mapping[str, str] | None = None) -> Trust:
    """Who is trusted by whoever fetches packages here."""
    environ = os.environ if environ is None else environ
    settings = network.pip_settings(environ)
    named = [*(environ.get(name, "") for name in BUNDLES), settings.get("cert", "")]
    listed = environ.get("SSL_CERT_DIR", "").split(":")
    there = [Path(name) for name in (*named, *listed) if name]
    files = [str(path) for path in there if path.is_file()]
    folders = [str(path) for path in there if path.is_dir()]
    to_uv = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environ.get(name)]
    if not (files or folders) or (_uv_takes_the_machines(environ) and not to_uv):
        own = network.certificate_bundle({})
        files += [own] if own else []
    proofs = (settings.get("client-cert"), environ.get("SSL_CLIENT_CERT"))
    proof = next((p for p in proofs if p and Path(p).is_file()), None)
    return Trust(tuple(dict.fromkeys(files)), tuple(dict.fromkeys(folders)), proof)


def _uv_takes_the_machines(environ: Mapping[str, str]) -> bool:
    """Whether uv is told to trust whom the machine trusts (``native-tls``)."""
    said = [environ.get(f"UV_{name.upper().replace('-', '_')}", "") for name in MACHINES_OWN]
    if any(word.lower() in network.TRUE for word in said):
        return True
    return any(table.get(n) is True for table in network.uv_settings(environ) for n in MACHINES_OWN)


def loose_certificates(folder: str) -> list[str]:
    """The certificates in a folder, where none has the name by which OpenSSL would find it."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone are wanted
    except OSError:
        return []
    if any(HASHED.fullmatch(name) for name in names):
        return []
    return [str(Path(folder, name)) for name in names if name.endswith(LOOSE)]
