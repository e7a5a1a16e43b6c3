"""What a request holds that means nothing, and is ignored as MLflow ignores it: said in a header of the answer and,
once in a while, in the log; refused where the model is strict."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic

from penstock.payload import Violation, nearest, shortened
from penstock.wire.interface import COLUMN, KEY, PARAM, Ignored

log = logging.getLogger("penstock.server")

_TOLD = 5
# Seconds between two log lines about one model.
_QUIET = 60.0

# What a request may have beside its rows.
_KEYS = ("params", "dataframe_split", "dataframe_records", "inputs", "instances")


def told(ignored: Ignored, params: Iterable[str], columns: Iterable[str]) -> list[str]:
    """Each name with the one that is nearest to it, of the model's params and columns, or the protocol's keys: `param
    'temprature' (nearest: 'temperature')`."""
    known: Mapping[str, tuple[str, ...]] = {PARAM: tuple(params), KEY: _KEYS, COLUMN: tuple(columns)}
    return [f"{kind} {shortened(name)}{nearest(name, known[kind])}" for kind, name in ignored[:_TOLD]]


def violations(ignored: Ignored, words: list[str]) -> list[Violation]:
    """Params and keys that a strict model refuses. Columns are the signature's business."""
    pairs = zip(ignored, words, strict=False)
    return [Violation(f"there is no {word}") for (kind, _), word in pairs if kind != COLUMN]


class IgnoredLog:
    """Says in the log what requests to a model hold that is ignored, once a minute for each model."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        # The whole mutable state: when a model's next line may come, and how many requests had none, by its name.
        self._next: dict[str, float] = {}
        self._silent: dict[str, int] = {}

    def tell(self, model: str, words: list[str]) -> None:
        now = self._clock()
        if now < self._next.get(model, now):
            self._silent[model] = self._silent.get(model, 0) + 1
            return
        self._next[model] = now + _QUIET
        silent = self._silent.pop(model, 0)
        more = f" So were names in {silent} requests before." if silent else ""
        log.warning("A request to %s holds what means nothing, and is ignored: %s.%s", model, "; ".join(words), more)
