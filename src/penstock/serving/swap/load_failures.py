"""What a follower knows of versions that could not be served: when to try again, and what to show."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

from penstock.error_text import kind_of, text_of
from penstock.errors import ModelProcessLost, PenstockError, SignatureIncompatible, error_code
from penstock.machine.backoff import retry_delay
from penstock.serving.served_model import LoadFailure
from penstock.serving.swap.next_action import FailedLoad

# For so long the same failure is no news.
_TOLD_SECONDS = 1.5


def what_serves(answering: str | None, failed: str) -> str:
    """What the log says of the model beside a version that cannot be served."""
    if answering is None:
        return "nothing is served"
    same = answering == failed
    return "it is still served by the settings before" if same else f"still serving version {answering}"


class LoadFailures:
    """The last failure of one model. `clock` is the follower's, `now` gives seconds since 1970."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._now = now
        # The whole mutable state: the last failure as decisions need it, as it is shown (None once it does not
        # matter), the version that was given up while it answered, and what was news last, and when.
        self.last: FailedLoad | None = None
        self.shown: LoadFailure | None = None
        self._given_up: str | None = None
        self._told = ("", "")
        self._told_at = 0.0

    def note(self, version: str, error: BaseException) -> bool:
        """A version could not be loaded or proven. Returns whether that is news for a log: the first retry comes within
        a second, and what fails in the same way then has been said."""
        attempts = self.last.attempts + 1 if self.last and self.last.version == version else 1
        # A signature does not change: no second try until the alias moves on.
        delay = math.inf if isinstance(error, SignatureIncompatible) else retry_delay(attempts, self._chance())
        self.last = FailedLoad(version, attempts, self._clock() + delay)
        since = self.shown.since if self.shown is not None and self.shown.version == version else self._now()
        text = text_of(error) if isinstance(error, PenstockError) else f"{kind_of(error)}: {text_of(error)}"
        self.shown = LoadFailure(version, error_code(error), text, since, attempts, final=math.isinf(delay))
        told = (version, text)
        if told == self._told and self._clock() - self._told_at < _TOLD_SECONDS:
            return False
        self._told, self._told_at = told, self._clock()
        return True

    def give_up(self, version: str, text: str) -> None:
        """A version has failed while it answered: it is not tried until the alias has named another one."""
        self._given_up = version
        self.last = FailedLoad(version, 1, math.inf)
        self.shown = LoadFailure(version, ModelProcessLost.code, text, self._now(), 1, final=True)

    def clear(self) -> None:
        """The wanted version answers."""
        self.last = self.shown = None
        self._told = ("", "")

    def on_named(self, version: str) -> None:
        """The registry names this version: one that was given up may be tried again once the alias has moved on."""
        if self._given_up is not None and self._given_up != version:
            self.last = self._given_up = None

    def forget(self, wanted: str | None) -> bool:
        """What is wrong with a version that is no longer wanted is not shown; its back-off is kept. Returns whether
        something was forgotten."""
        if self.shown is None or self.shown.version == wanted:
            return False
        self.shown = None
        return True

    def __repr__(self) -> str:
        return f"<LoadFailures {self.last}>"
