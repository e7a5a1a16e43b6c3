"""The tokens that are known, each by its digest: which header is whose."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from penstock.access.credentials import bearer_token, digest_of
from penstock.access.principal import ANYBODY, OPERATOR, STRANGER, Principal

# Spellings of headers that are remembered. There are as many as tokens, unless somebody plays with blanks.
_ROOM = 4096


class KnownTokens:
    """The principals of good tokens by the tokens' digests. Where `required` is false none is asked for: everybody may
    do everything.

    A digest is found by its hash, so that no time tells how much of a guess was right. `read` takes the token out of a
    header.
    """

    def __init__(
        self,
        principals: Mapping[str, Principal],
        *,
        required: bool = True,
        read: Callable[[bytes], bytes | None] = bearer_token,
    ) -> None:
        self.required = required
        self._principals = dict(principals)
        self._read = read
        # The whole mutable state: the callers by their headers as they were sent, of good tokens alone. It ends with
        # this object, which another takes the place of when a token comes or goes.
        self._seen: dict[bytes | None, Principal] = {}

    @classmethod
    def static(cls, token: str) -> KnownTokens:
        """The one token of a server's operator; none is asked for where it is empty."""
        return cls({digest_of(token): OPERATOR}) if token else cls({}, required=False)

    def identify(self, authorization: bytes | None) -> Principal:
        """The caller that shows this Authorization header."""
        caller = self._seen.get(authorization)
        return self._look_up(authorization) if caller is None else caller

    def take_shown(self) -> frozenset[str]:
        """The names of those whose tokens were shown since this was asked last. It costs requests nothing: who is
        remembered has shown one."""
        names = frozenset(caller.name for caller in list(self._seen.values()))
        self._seen = {}
        return names

    def _look_up(self, authorization: bytes | None) -> Principal:
        if not self.required:
            return ANYBODY
        token = None if authorization is None else self._read(authorization)
        caller = None if token is None else self._principals.get(digest_of(token))
        if caller is None:
            return STRANGER
        if len(self._seen) >= _ROOM:
            self._seen.clear()
        self._seen[authorization] = caller
        return caller

    def __repr__(self) -> str:
        return f"<KnownTokens, {len(self._principals)}{'' if self.required else ', none asked for'}>"
