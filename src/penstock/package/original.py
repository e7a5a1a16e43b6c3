"""That a package answers the example as the model at hand does.

The author has the example as a frame, or in a file that pandas reads; callers send the same rows as JSON or CSV, and
what arrives is not always the same: categories come as text, None as NaN. A model that tells these apart would be
packaged without a word, and answer otherwise than in the notebook.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock.errors import PackagingFailed, PenstockError
from penstock.flavors import Predictor
from penstock.flavors.frames import from_python, to_frame
from penstock.package.example import answers_differ
from penstock.payload import Params, Payload, Table, Value, shortened
from penstock.signature import Casting, Signature, conform
from penstock.signature.gaps import with_pandas_gaps
from penstock.wire.mlflow.answers import answer_value

log = logging.getLogger("penstock.package")

# So many rows of the example are compared.
ROWS = 1000


@dataclass(frozen=True, slots=True)
class ExampleOfFile:
    """Example rows of a file: `payload` as a request brings them, and `read`, which reads them as pandas does, None
    where it reads no rows of them."""

    payload: Payload
    read: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Original:
    """The rows as the author has them, and `answers`, which asks the model at hand: None for what it does not take.
    `of_file` is whether they are rows of a file: None among objects is then that format's, and not the author's.
    `brings_code` is whether the package has modules of its own, of which others may be imported here."""

    rows: Callable[[], Any]
    answers: Callable[[Any], Any]
    of_file: bool = False
    brings_code: bool = False

    def with_columns(self, payload: Payload | None, names: Mapping[str, str]) -> Original:
        """With these columns as they are in the payload, which were given as something else."""
        if not names or not isinstance(payload, Table):
            return self
        return replace(self, rows=lambda: _replaced(self.rows(), payload, names))

    def check(self, predictor: Predictor, payload: Payload, signature: Signature, params: Params) -> None:
        """Raises PackagingFailed where the package answers otherwise than the model at hand."""
        if isinstance(payload, Value) or not payload.rows or (rows := self._read()) is None:
            return
        count = min(payload.rows, ROWS)
        if count == 1 and isinstance(payload, Table) and payload.width == 1:
            return  # one that takes a sequence answers the name of the column, once
        given = rows[:count]
        first = self._values(given, count)
        if first is None:
            return
        conformed = conform(payload.take(slice(0, count)), signature.enforced, Casting.FRAME)
        if conformed.violations:
            return
        served = with_pandas_gaps(conformed.payload, signature.enforced)
        try:
            answer = answer_value(predictor.predict(served, params))
        except PenstockError as error:
            if self._varies(given, first):
                return
            raise PackagingFailed(
                "The model at hand answers the example, and fails on the same rows as callers send them. "
                f"{error.message}{_because(given, served)}",
                hint=_HINT,
            ) from error
        if isinstance(answer, list) and len(answer) == count:
            others = [row for row in range(count) if answers_differ(first[row], answer[row])]
            if others and not self._varies(given, first) and not self._tells_none_apart(given, answer):
                found = _differs(others, first, answer, _because(given, served))
                if not self.brings_code:
                    raise found
                log.warning("%s Another version of the package's code may be imported here.", found.message)

    def told_apart(self, payload: Payload | None) -> str:
        """Of a package that cannot answer the example: that the model at hand can, and what differs; empty where it
        cannot either."""
        if payload is None or isinstance(payload, Value) or not payload.rows or (rows := self._read()) is None:
            return ""
        count = min(payload.rows, ROWS)
        if self._values(rows[:count], count) is None:
            return ""
        because = _because(rows[:count], payload.take(slice(0, count)))
        return f" The model at hand answers it as it is given.{because}" if because else ""

    def _varies(self, given: Any, first: list[Any]) -> bool:
        """Whether the model at hand answers the same rows otherwise each time: then a difference says nothing."""
        second = self._values(given, len(first))
        return second is None or bool(answers_differ(first, second))

    def _tells_none_apart(self, given: Any, answer: list[Any]) -> bool:
        """Whether the rows of a file are answered otherwise only for what pandas calls a missing cell in that format,
        and says so: the model may have been fitted on those of another."""
        if not self.of_file or not hasattr(given, "fillna"):
            return False
        filled = self._values(given.fillna(math.nan), len(answer))
        if filled is None or answers_differ(filled, answer):
            return False
        log.warning(
            "The model tells None and NaN apart. Missing cells reach it as NaN, as pandas has them in CSV; if it was "
            "fitted on None, as pandas has them among booleans in Parquet, fit it on frame.fillna(numpy.nan)."
        )
        return True

    def _read(self) -> Any:
        """None for what pandas cannot read: it knows fewer spellings of a table than a request may have."""
        try:
            return self.rows()
        except Exception:
            return None

    def _values(self, rows: Any, count: int) -> list[Any] | None:
        try:
            found = answer_value(from_python(self.answers(rows)))
        except Exception:  # whatever a foreign model raises: it takes no such rows
            return None
        return found if isinstance(found, list) and len(found) == count else None


_HINT = "Fit the model on what callers send, or give the example with such values, so that you see what it answers."


def _replaced(rows: Any, payload: Table, names: Mapping[str, str]) -> Any:
    known = list(payload.names or ())
    try:
        return rows.assign(**{name: payload.column(known.index(name))[: len(rows)] for name in names})
    except (AttributeError, TypeError, ValueError):  # no frame, or one of other rows
        return None


def _differs(rows: list[int], first: list[Any], answer: list[Any], because: str) -> PackagingFailed:
    row = rows[0]
    more = "" if len(rows) == 1 else f", and {len(rows) - 1} more of {len(answer)} rows otherwise"
    return PackagingFailed(
        f"The package answers row {row} of the example with {shortened(answer[row])}, the model at hand with "
        f"{shortened(first[row])}{more}.{because}",
        hint=_HINT,
    )


def _because(given: Any, served: Payload) -> str:
    """What the columns were, and are in a request."""
    found = list(_changes(given, served)) if isinstance(served, Table) and hasattr(given, "columns") else []
    return f" {'; '.join(found[:3])}." if found else ""


def _changes(given: Any, served: Table) -> Iterator[str]:
    frame = to_frame(served)
    for position, name in enumerate(given.columns):
        if name not in frame.columns or not given.columns.is_unique:
            continue
        before, after = given.iloc[:, position], frame[name]
        gone = before.isna().to_numpy(dtype=bool)
        if before.dtype != after.dtype and (before.dtype.kind, after.dtype.kind) != ("M", "M"):
            yield f"Column {shortened(name)} is {before.dtype} in the example, and {after.dtype} in a request"
        elif before.dtype == object and any(cell is None for cell in before[gone]):
            yield f"In column {shortened(name)} a missing cell is None in the example, and NaN in a request"
