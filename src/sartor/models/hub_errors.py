"""What goes wrong with the hub, in Sartor's own errors.

No message repeats a request's headers or a whole URL: a token is in neither, and never in a text.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sartor.errors import (
    DiskFullError,
    FolderNotWritableError,
    HubUnreachableError,
    ModelGatedError,
    ModelNotFoundError,
    SartorError,
)
from sartor.paths import free_bytes, human_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESUMES = "run the same command again: what was downloaded is kept and it goes on from there"
_NETWORK_CLASSES = {"TransportError", "ConnectionError"}
PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})


@contextmanager
def explain_hub_errors(repository: str) -> Iterator[None]:
    """Turn what the hub's library raises for ``repository`` into an error with a way out."""
    try:
        yield
    except SartorError:
        raise
    except Exception as error:
        explained = explain(error, repository)
        if explained is None:
            raise
        raise explained from None


def explain(error: Exception, repository: str) -> SartorError | None:
    """The error to show for ``error``; None where it is not one of the hub's or the system's."""
    from huggingface_hub import errors as hub

    rules: tuple[tuple[tuple[type[Exception], ...], Callable[[str], SartorError]], ...] = (
        ((hub.GatedRepoError,), gated),
        ((hub.OfflineModeIsEnabled, hub.LocalEntryNotFoundError), offline),
        ((hub.RepositoryNotFoundError, hub.HFValidationError), no_repository),
        ((hub.RevisionNotFoundError, hub.EntryNotFoundError), gone),
        ((hub.FileMetadataError,), no_hub),
    )
    for kinds, explained in rules:
        if isinstance(error, kinds):
            return explained(repository)
    if isinstance(error, hub.HfHubHTTPError):
        return refused(repository, error.response.status_code)
    return broken_off(repository, error) if is_network(error) else _of_the_system(error)


def is_network(error: BaseException) -> bool:
    """Whether ``error`` is the network's: a connection refused, lost, or timed out.

    By the names of its classes: versions of the hub's library differ in the HTTP client below it.
    """
    return any(kind.__name__ in _NETWORK_CLASSES for kind in type(error).__mro__)


def is_passing(error: Exception) -> bool:
    """Whether trying again may help: the network, or a server that is overloaded."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return False
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in PASSING_STATUS
    return is_network(error)


def hub_address() -> str:
    """The hub's address as it may be shown: without a user name or password."""
    from huggingface_hub.constants import ENDPOINT

    parts = urlsplit(ENDPOINT)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def gated(repository: str) -> ModelGatedError:
    """The licence was not accepted, or there is no token that says who asks."""
    return ModelGatedError(
        f"`{repository}` is gated: the hub wants its licence accepted first",
        hint=f"accept the licence at {hub_address()}/{repository}, and set HF_TOKEN to an access "
        "token of the account that did",
    )


def no_repository(repository: str) -> ModelNotFoundError:
    """The hub has no such repository, or does not show it to this user."""
    return ModelNotFoundError(
        f"there is no model `{repository}` on the hub",
        found=[f"{hub_address()} answers that it does not exist, or that it is private"],
        hint="check the spelling of `org/name`; for a private model set HF_TOKEN",
    )


def gone(repository: str) -> ModelNotFoundError:
    """The repository is there, the file or revision is not."""
    return ModelNotFoundError(
        f"`{repository}` no longer has a file that its list of files names",
        hint="run the same command again: the repository changed in between",
    )


def refused(repository: str, status: int) -> SartorError:
    """The hub answered with an HTTP ``status`` that says no more than itself."""
    if status in {401, 403}:
        return ModelGatedError(
            f"the hub refuses `{repository}` (HTTP {status})",
            hint="HF_TOKEN is wrong, expired, or has no right to read this model: make a new token "
            f"at {hub_address()}/settings/tokens",
        )
    return HubUnreachableError(
        f"the hub cannot serve `{repository}` now (HTTP {status})",
        found=[f"asked {hub_address()}"],
        hint=RESUMES,
    )


def no_hub(repository: str) -> HubUnreachableError:
    """Somebody answers, but not as a hub does: a proxy's page, a wrong HF_ENDPOINT."""
    return HubUnreachableError(
        f"`{repository}` was asked for at {hub_address()}, which does not answer as a model hub",
        hint="check HF_ENDPOINT and the proxy settings",
    )


def offline(repository: str) -> HubUnreachableError:
    """Offline mode is on and the cache does not hold what is needed."""
    return HubUnreachableError(
        f"`{repository}` is not in the hub's cache, and offline mode is on",
        found=[f"looked in `{_cache()}`"],
        hint="unset HF_HUB_OFFLINE and run the same command once with a network",
    )


def broken_off(repository: str, error: Exception) -> HubUnreachableError:
    """The connection could not be made, or was lost."""
    if "Connect" in type(error).__name__:
        return HubUnreachableError(
            f"the model hub could not be reached for `{repository}`",
            found=[f"{hub_address()}: {type(error).__name__}"],
            hint="check the network and the proxy (HTTPS_PROXY), or name a mirror (HF_ENDPOINT); "
            "a model file or folder on this machine needs no hub",
        )
    return HubUnreachableError(
        f"the connection to the hub failed while `{repository}` was fetched",
        found=[f"{hub_address()}: {type(error).__name__}"],
        hint=RESUMES,
    )


def no_room(needed_bytes: int | None = None) -> DiskFullError:
    """The file system of the hub's cache is full, or would be."""
    found = [f"{human_bytes(free_bytes(_cache()))} free for the hub's cache `{_cache()}`"]
    if needed_bytes is not None:
        found.append(f"{human_bytes(needed_bytes)} needed")
    return DiskFullError(
        "no space left for the model on the file system of the hub's cache",
        found=found,
        hint="free some space, or set HF_HOME to a folder on a larger file system; what was "
        "downloaded so far is kept",
    )


def _of_the_system(error: Exception) -> SartorError | None:
    if not isinstance(error, OSError):
        return None
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return no_room()
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return FolderNotWritableError(
            f"`{error.filename or _cache()}` cannot be written",
            hint="set HF_HOME to a folder that you can write",
        )
    return None


def _cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)
