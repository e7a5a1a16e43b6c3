"""What both clients need of httpx, which is an extra: imported when a client is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.client.exchange import Ask, Lost
from penstock.defaults import KEEP_ALIVE
from penstock.error_text import kind_of, text_of
from penstock.errors import DependencyMissing

if TYPE_CHECKING:
    import httpx

# The longest that a connection is waited for, in seconds: another try may find another address.
_CONNECT = 5.0


def need_httpx() -> None:
    """Raises DependencyMissing."""
    try:
        import httpx  # noqa: F401
    except ModuleNotFoundError:
        raise DependencyMissing(
            "Clients of gateways need httpx, which is not installed.", hint="pip install 'penstock[client]'"
        ) from None


def timeouts(question: Ask) -> httpx.Timeout:
    """For each part of a request: httpx knows no time for the whole."""
    import httpx

    return httpx.Timeout(question.seconds, connect=min(question.seconds, _CONNECT))


def keep_alive_limits() -> httpx.Limits:
    """Connections are kept for a little less than the server keeps them."""
    import httpx

    return httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=0.8 * KEEP_ALIVE)


def lost(error: httpx.RequestError, *, late: bool = False) -> Lost:
    """What an error on the way means; `late` is whether the time is over."""
    import httpx

    unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
    reason = text_of(error) or kind_of(error)
    return Lost(reason, sent=not isinstance(error, unsent), late=late or isinstance(error, httpx.ReadTimeout))
