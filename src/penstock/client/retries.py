"""Whether a request is sent once more, and after how long. Pure: time and chance are arguments.

A prediction changes nothing, so that asking twice is as good as asking once. That is why a request whose connection was
lost is sent again, although it may have been executed; a caller whose model has effects turns that off (`repeat`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from penstock.client.exchange import GatewayReply, Lost, Outcome
from penstock.machine.backoff import retry_delay

# Seconds before the second try, doubled for each later one, where the server does not say; and the longest.
_FIRST = 0.1
_MOST = 5.0

_BUSY = frozenset({429, 503})

# A proxy's word for a server that it lost, and that may have executed the request.
_BAD_GATEWAY = 502


def pause_before_retry(
    outcome: Outcome, tries: int, left: float, chance: float, *, retries: int, repeat: bool, now: datetime | None = None
) -> float | None:
    """Seconds until the next try after `tries` of them; None where there is none: nothing would change, `retries` more
    tries have been made, or the `left` seconds do not suffice. Whoever is told when to come back comes up to half as
    late again, by `chance` in [0, 1), so that those who were refused together do not come back together."""
    if tries > retries or not _may_help(outcome, repeat=repeat):
        return None
    asked = retry_after(outcome, now) if isinstance(outcome, GatewayReply) else None
    pause = retry_delay(tries, chance, first=_FIRST, most=_MOST) if asked is None else asked * (1 + chance / 2)
    return pause if pause < left else None


def _may_help(outcome: Outcome, *, repeat: bool) -> bool:
    if isinstance(outcome, Lost):
        return not outcome.late and (repeat or not outcome.sent)
    return outcome.status in _BUSY or (outcome.status == _BAD_GATEWAY and repeat)


def retry_after(reply: GatewayReply, now: datetime | None = None) -> float | None:
    """The seconds of a Retry-After header, which may be a date; None where it says nothing that can be read."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
