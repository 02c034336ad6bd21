"""The user's own package index, proxies and certificates, as pip and uv are configured here.

uv reads its own configuration. What is said to pip alone (``pip.conf``, ``PIP_*``) is handed to
uv as ``UV_*`` variables, and what the user said to uv always wins.
"""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEFAULT = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
# pip's setting, the uv variables that say the same, and how several places are joined.
_TRANSLATED = (
    ("index-url", _DEFAULT, " "),
    ("extra-index-url", ("UV_EXTRA_INDEX_URL", "UV_INDEX"), " "),
    ("find-links", ("UV_FIND_LINKS",), ","),
)
TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})  # what pip takes for it
_INDEX_SETTINGS = frozenset({"index", "index-url", "extra-index-url", "find-links", "no-index"})
_ASKS_AN_INDEX = frozenset({("pip", "compile"), ("pip", "install"), ("pip", "sync")})
_INDEX_NAME = re.compile(r"^[\w.-]+=")  # as in UV_DEFAULT_INDEX=mine=https://...
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
    if not uv_names_an_index(environ):
        added |= _indexes(settings, environ)
    if added.get("UV_EXTRA_INDEX_URL") and "UV_INDEX_STRATEGY" not in environ:
        added["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # what several indexes mean to pip
    if "SSL_CERT_FILE" not in environ and "UV_SYSTEM_CERTS" not in environ:
        added["UV_SYSTEM_CERTS"] = "true"
        if settings.get("cert"):
            added["SSL_CERT_FILE"] = settings["cert"]
    return {k: v for k, v in (added | proxies(settings, environ)).items() if v}


def uv_options(
    arguments: Sequence[str], environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The options to start uv's command with that no variable stands for: pip's ``no-index``."""
    environ = os.environ if environ is None else environ
    asks = tuple(arguments[:2]) in _ASKS_AN_INDEX or arguments[0] == "build"
    return ("--no-index",) if asks and pip_says_no_index(environ) else ()


def pip_says_no_index(environ: Mapping[str, str]) -> bool:
    """Whether pip's ``no-index`` holds: nothing that is said to uv names an index."""
    no_index = pip_settings(environ).get("no-index", "").lower() in TRUE
    named = any(environ.get(v) for v in _DEFAULT) or uv_names_an_index(environ)
    return no_index and not named


def _indexes(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """pip's settings of where packages are, as uv's variables, but for those that are set."""
    added = {}
    for key, variables, joint in _TRANSLATED:
        value = settings.get(key)
        if value and not any(v in environ for v in variables):
            added[variables[0]] = joint.join(existing(value.split()))
    return added


def proxies(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """pip's proxy as every client's variables, where the user has set none of them."""
    proxy = settings.get("proxy")
    named = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    if not proxy or any(environ.get(v) for v in named):
        return {}
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    return {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy}


def existing(values: list[str]) -> list[str]:
    """The values without folders that are not there, which pip passes over and uv does not."""
    return [v for v in values if "://" in v or Path(v).exists()]


def without_name(index: str) -> str:
    """The address of an index that may be given with a name (``mine=https://...``)."""
    return _INDEX_NAME.sub("", index)


def uv_names_an_index(environ: Mapping[str, str]) -> bool:
    """Whether a file of uv's says anything of where packages are."""
    return any(_INDEX_SETTINGS & table.keys() for table in uv_settings(environ))


def uv_settings(environ: Mapping[str, str]) -> list[dict[str, object]]:
    """The tables of the user's and the system's ``uv.toml``, the winning ones first."""
    tables: list[dict[str, object]] = []
    for file in _uv_files(environ):
        try:
            read = tomllib.loads(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            continue
        tables += [t for t in (read.get("pip"), read) if isinstance(t, dict)]
    return tables


def _uv_files(environ: Mapping[str, str]) -> list[Path]:
    if environ.get("UV_CONFIG_FILE"):
        return [Path(environ["UV_CONFIG_FILE"])]
    if environ.get("UV_NO_CONFIG", "").lower() in TRUE:
        return []
    config = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    system = [Path(d) for d in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")]
    return [folder / "uv/uv.toml" for folder in (config, *system, Path("/etc"))]


def configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """Every file in which pip or uv may be configured, there or not."""
    return [*_pip_files(environ), *_uv_files(environ)]


def certificate_bundle(environ: Mapping[str, str] | None = None) -> str | None:
    """The file of authorities that the machine trusts; None where only Python's own is there."""
    import ssl

    environ = os.environ if environ is None else environ
    configured = environ.get("SSL_CERT_FILE") or pip_settings(environ).get("cert")
    default = ssl.get_default_verify_paths().cafile
    for path in (configured, default, *_BUNDLES):
        if path and Path(path).is_file():
            return path
    return None


def as_configured() -> None:
    """Let every client in this process go through pip's proxy and trust what the system trusts."""
    os.environ.update(proxies(pip_settings(), os.environ))
    bundle = certificate_bundle()
    if bundle:
        os.environ.setdefault("SSL_CERT_FILE", bundle)
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)


def default_index(environ: Mapping[str, str] | None = None) -> str | None:
    """The user's own index, where one is configured; None means the clients' default.

    What is said to uv, by variable or by file, goes before what is said to pip.
    """
    environ = os.environ if environ is None else environ
    for variable in _DEFAULT:
        if environ.get(variable):
            return without_name(environ[variable])
    tables = uv_settings(environ)
    named = next((url for table in tables if (url := _default_of(table))), None)
    if named or uv_names_an_index(environ):
        return named
    return pip_settings(environ).get("index-url")


def _default_of(table: Mapping[str, object]) -> str | None:
    """The index that a table of ``uv.toml`` puts in the place of uv's default."""
    listed = table.get("index")
    for index in listed if isinstance(listed, list) else []:
        if isinstance(index, dict) and index.get("default") is True:
            return str(index.get("url") or "") or None
    url = table.get("index-url")
    return url if isinstance(url, str) else None
