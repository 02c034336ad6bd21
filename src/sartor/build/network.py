"""The user's own package index, proxies and certificates, as pip and uv are configured here.

uv reads its own configuration. What is said to pip alone (``pip.conf``, ``PIP_*``) is handed to
uv as ``UV_*`` variables, and what the user said to uv always wins.
"""

from __future__ import annotations

import configparser
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# pip's setting, the uv variables that say the same, and how several values are joined.
_TRANSLATED = (
    ("index-url", ("UV_DEFAULT_INDEX", "UV_INDEX_URL"), " "),
    ("extra-index-url", ("UV_EXTRA_INDEX_URL", "UV_INDEX"), " "),
    ("find-links", ("UV_FIND_LINKS",), ","),
    ("no-index", ("UV_NO_INDEX",), " "),
)
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def pip_settings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """pip's settings of interest, by their long names, later files and variables winning."""
    environ = os.environ if environ is None else environ
    found: dict[str, str] = {}
    for path in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= {k.replace("_", "-"): v for k, v in parser.items(section)}
    for key, value in environ.items():
        if key.startswith("PIP_") and value:
            found[key.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


def _pip_files(environ: Mapping[str, str]) -> list[Path]:
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path(environ.get("HOME", "/nonexistent"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        Path(d) / "pip/pip.conf" for d in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
    ]
    files += [Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"]
    return [*files, Path(named)] if named else files


def uv_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables to start uv with, beside the user's own environment.

    Certificates come from the system's store, as pip's do, so that a private authority works.
    """
    environ = os.environ if environ is None else environ
    settings = pip_settings(environ)
    added: dict[str, str] = {}
    if not _uv_names_an_index(environ):
        for key, variables, joint in _TRANSLATED:
            value = settings.get(key)
            if value and not any(v in environ for v in variables):
                added[variables[0]] = joint.join(_existing(value.split()))
    if added.get("UV_EXTRA_INDEX_URL") and "UV_INDEX_STRATEGY" not in environ:
        added["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # what several indexes mean to pip
    if "SSL_CERT_FILE" not in environ and "UV_SYSTEM_CERTS" not in environ:
        added["UV_SYSTEM_CERTS"] = "true"
        if settings.get("cert"):
            added["SSL_CERT_FILE"] = settings["cert"]
    if settings.get("proxy") and not any(v in environ for v in ("HTTPS_PROXY", "https_proxy")):
        added |= {"HTTPS_PROXY": settings["proxy"], "HTTP_PROXY": settings["proxy"]}
    return {k: v for k, v in added.items() if v}


def _existing(values: list[str]) -> list[str]:
    """The values without folders that are not there, which pip passes over and uv does not."""
    return [v for v in values if "://" in v or Path(v).exists()]


def _uv_names_an_index(environ: Mapping[str, str]) -> bool:
    config = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    files = [environ.get("UV_CONFIG_FILE"), config / "uv/uv.toml", Path("/etc/uv/uv.toml")]
    for file in files:
        try:
            if file and "index" in Path(file).read_text("utf-8"):
                return True
        except OSError:
            continue
    return False


def certificate_bundle(environ: Mapping[str, str] | None = None) -> str | None:
    """The file of authorities that the machine trusts; None where only Python's own is there."""
    environ = os.environ if environ is None else environ
    configured = environ.get("SSL_CERT_FILE") or pip_settings(environ).get("cert")
    default = ssl.get_default_verify_paths().cafile
    for path in (configured, default, *_BUNDLES):
        if path and Path(path).is_file():
            return path
    return None


def trust_the_system() -> None:
    """Let every HTTPS client in this process trust what the system trusts."""
    bundle = certificate_bundle()
    if bundle:
        os.environ.setdefault("SSL_CERT_FILE", bundle)
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)


def default_index() -> str | None:
    """The user's own index, where one is configured; None means the clients' default."""
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if os.environ.get(variable):
            return (
                os.environ[variable].rpartition("=")[2]
                if "=http" in os.environ[variable]
                else (os.environ[variable])
            )
    return pip_settings().get("index-url")
