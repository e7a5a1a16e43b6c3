"""The gate: asked ahead of every route, from the head of a request alone.

Three questions: is it the hub that the caller means (the Host header; a page of a stranger's may have made a browser
believe that its own name leads here), does a page of another site ask a browser to change something, and may the caller
do what the route is for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from starlette.types import Scope

from penstock.access.credentials import bearer_or_password
from penstock.access.policy import HUB_POLICY, HubNeeds
from penstock.access.principal import STRANGER, Principal
from penstock.access.tokens import KnownTokens
from penstock.http.headers import Head, header
from penstock.hub.answers import HubAnswer
from penstock.hub.statuses import error_answer

# An address of IPv6 in brackets, or a name or another address, and a port. Source: RFC 3986, 3.2.2.
_HOST = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::[0-9]*)?")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class HubGate:
    """`asks_for_tokens` is whether callers need one; a hub that asks once asks for ever, whatever is revoked. `hosts`
    are the names, without ports, that it answers for besides addresses and localhost; with tokens, none means all.
    `on_refused` is told the reason of each refusal, one of metrics.HUB_REFUSALS."""

    def __init__(
        self,
        *,
        asks_for_tokens: bool,
        hosts: Iterable[str] = (),
        on_refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        # The whole mutable state: the tokens that are known, and the names of those shown that were known before.
        self._tokens = KnownTokens({}, required=asks_for_tokens, read=bearer_or_password)
        self._shown: frozenset[str] = frozenset()
        self._hosts = frozenset(host.lower() for host in hosts)
        self._on_refused = on_refused

    @property
    def asks_for_tokens(self) -> bool:
        return self._tokens.required

    def admit(self, callers: Mapping[str, Principal], *, ask: bool = False) -> None:
        """These and no others are let in from now on. Where there are none, everybody is, unless `ask` or something
        before says that callers need a token."""
        asks = self._tokens.required or ask or bool(callers)
        self._shown |= self._tokens.take_shown()
        self._tokens = KnownTokens(callers, required=asks, read=bearer_or_password)

    def take_shown(self) -> frozenset[str]:
        """The names of the tokens that were shown since this was asked last."""
        names, self._shown = self._shown | self._tokens.take_shown(), frozenset()
        return names

    def identify(self, scope: Scope) -> Principal:
        """By the token, which comes as a bearer or as the password of basic authentication."""
        return self._tokens.identify(header(scope, b"authorization"))

    def admits(self, head: Head, needs: HubNeeds, caller: Principal) -> bool:
        """Whether a request that changes something is let in, as `refusal` decides. Nothing is counted."""
        means_us = self._means_us(header(head, b"host"))
        return means_us and _from_own_page(head) and HUB_POLICY.allows(caller, needs)

    def refusal(self, scope: Scope, needs: HubNeeds, caller: Principal) -> HubAnswer | None:
        """The answer to a request that is not let in; None for one that is."""
        if needs == "nothing":
            return None
        if not self._means_us(header(scope, b"host")):
            return self._refuse("host", "Invalid Host header: this hub does not answer for that name.")
        if scope["method"] not in _SAFE and not _from_own_page(scope):
            return self._refuse("origin", "Cross-origin request blocked: a page of another site asked.")
        if HUB_POLICY.allows(caller, needs):
            return None
        reason = HUB_POLICY.reason(caller, needs, shown=header(scope, b"authorization") is not None)
        if caller is STRANGER:
            self._on_refused(reason)
            told = (b"www-authenticate", b'Basic realm="penstock hub"')
            return error_answer(401, "UNAUTHENTICATED", "A valid token is required.", told)
        return self._refuse(reason, HUB_POLICY.why_refused(caller, needs))

    def _refuse(self, reason: str, message: str) -> HubAnswer:
        self._on_refused(reason)
        return error_answer(403, "PERMISSION_DENIED", message)

    def __repr__(self) -> str:
        return f"<HubGate {self._tokens!r}>"

    def _means_us(self, host: bytes | None) -> bool:
        if self._tokens.required and not self._hosts:
            return True
        name = _name_of((host or b"").decode("latin-1").lower())
        return name in self._hosts or name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _from_own_page(scope: Head) -> bool:
    """Whether no browser was asked to send this by a page of another site. Programs say nothing of the kind."""
    site = header(scope, b"sec-fetch-site")
    if site is not None:
        return site in (b"same-origin", b"none")
    origin = header(scope, b"origin")
    if origin is None:
        return True
    return origin.partition(b"://")[2] == (header(scope, b"host") or b"")


def _name_of(host: str) -> str:
    """Without the port; empty for what is no host with a port or without one."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found[1] or found[2]


@lru_cache(maxsize=256)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
