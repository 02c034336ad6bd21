"""What the HTTP client asks about servers: credentials, proxies, and whom it trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from sartor.index.trust import Trust

    Credentials = tuple[str, str] | Callable[[requests.PreparedRequest], requests.PreparedRequest]


class Access(Protocol):
    """How a client gets to servers; `sartor.index.sources.Access` is one."""

    @property
    def trust(self) -> Trust:
        """The authorities, and the client's own certificate."""

    def credentials_for(self, url: str) -> Credentials | None:
        """What is said to the host of an address; None: what ``~/.netrc`` says."""

    def trusts(self, url: str) -> bool:
        """Whether any certificate is taken there."""

    def proxies_for(self, url: str) -> dict[str, str]:
        """The proxies besides those of the environment."""
