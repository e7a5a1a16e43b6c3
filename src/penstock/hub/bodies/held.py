"""Bodies that the hub holds in memory: how many bytes of all requests at once, and how long a client may say nothing.

Large bodies and small ones have rooms of their own, so that whoever sends large ones keeps nobody from logging. Room is
taken as bytes come, so that announcing many costs the others nothing; a body that would not fit is refused unread.
"""

from __future__ import annotations

from math import inf

from starlette.types import Receive, Scope

from penstock.errors import InputTooLarge, Overloaded
from penstock.http.bodies import patient, read_body
from penstock.http.headers import declared_length
from penstock.serving.batching.admission import InflightHold, InflightLimits, Limit

# Bytes of a body of JSON: MLflow's largest batch has a quarter of a megabyte, the profile of a dataset up to 16.
MAX_BODY_BYTES = 64 * 1024 * 1024

# A body of fewer bytes is a small one.
LARGE_BYTES = 1024 * 1024

_SMALL_ROOM = 64 * 1024 * 1024
_LARGE_ROOM = 128 * 1024 * 1024

# Seconds.
_RETRY_AFTER = 2


class BodyRoom:
    """The bytes that bodies of one kind may hold together. A body that is alone always fits."""

    def __init__(self, kind: str, max_bytes: float) -> None:
        self._kind = kind
        self.inflight_limits = InflightLimits(inf, max_bytes)

    def overloaded(self, limit: Limit) -> Overloaded:
        limits = self.inflight_limits
        return Overloaded(
            f"The {self._kind} bodies that the hub is reading hold {limits.bytes:,} bytes; the limit is "
            f"{limits.max_bytes:,}.",
            limit=limit,
            retry_after=_RETRY_AFTER,
        )

    def __repr__(self) -> str:
        return f"<BodyRoom {self._kind}, {self.inflight_limits!r}>"


class HeldBodies:
    """The rooms for the bodies of all requests to a hub."""

    def __init__(self, small: float = _SMALL_ROOM, large: float = _LARGE_ROOM) -> None:
        self.small = BodyRoom("small", small)
        self.large = BodyRoom("large", large)

    def __repr__(self) -> str:
        return f"<HeldBodies {self.small!r}, {self.large!r}>"


class HeldBody:
    """One request's body, held from `read` until `release`."""

    __slots__ = ("_hold", "_large", "_rooms")

    def __init__(self, rooms: HeldBodies, declared: int) -> None:
        self._rooms = rooms
        # The whole mutable state: whether it is a large one, and what it holds. One that does not say its length
        # becomes large as it grows.
        self._large = declared >= LARGE_BYTES
        self._hold = InflightHold(self._room)

    @property
    def _room(self) -> BodyRoom:
        return self._rooms.large if self._large else self._rooms.small

    async def read(self, scope: Scope, receive: Receive, limit: int = MAX_BODY_BYTES) -> bytes:
        """The whole body. Raises Overloaded where there is no room for it, InputTooLarge beyond `limit` bytes,
        InputTooSlow where nothing comes for long, ClientLeft."""
        declared = declared_length(scope)
        if declared <= limit and (full := self._room.inflight_limits.refuses(declared)) is not None:
            raise self._room.overloaded(full)
        try:
            body = await read_body(scope, patient(receive, "body"), limit, self)
        except InputTooLarge as error:
            hint = "Send it in several requests, and files as artifacts, which may have any size."
            raise InputTooLarge(error.message, hint=hint) from None
        assert isinstance(body, bytes)  # nothing is spooled
        return body

    def take(self, more: int) -> None:
        """Holds so many bytes more. Raises Overloaded."""
        if not self._large and self._hold.bytes + more >= LARGE_BYTES:
            self._large = True
            small, self._hold = self._hold, InflightHold(self._room)
            small.release()
            more += small.bytes
        self._hold.take(more)

    def release(self) -> None:
        self._hold.release()

    def __repr__(self) -> str:
        return f"<HeldBody {self._hold!r}>"
