"""Answers as bytes: in the format that was asked for, or in JSON where an answer has no such form."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from penstock.errors import AnswerHasNoColumns, AnswerUnserializable
from penstock.payload import PackedValue, Payload, Table, Tensors, Value
from penstock.wire.mlflow.answers import encode_answer, encode_with_words
from penstock.wire.mlflow.formats import ARROW, ARROW_WHOLE, COLUMNAR, JSON, JSON_WORDS, encode_columns, encode_whole

# On an event loop: the most cells of an answer, each a millisecond's work: arrays of whole numbers or floats, others.
_MAX_WHOLE = 256 * 1024
_MAX_FLOATS = 32 * 1024
_MAX_OTHERS = 8 * 1024


def write_answer(
    payload: Payload, media: str, given: int | None, *, wrapped: bool, nan_words: bool
) -> tuple[bytes, str]:
    """The answer to a request of `given` rows, None where it had none, and its media type. Raises
    AnswerUnserializable."""
    if media == JSON:
        return encode_answer(payload, wrapped=wrapped, nan_words=nan_words), JSON
    if media == JSON_WORDS:
        return encode_with_words(payload, wrapped=wrapped), JSON
    try:
        if media == ARROW_WHOLE:
            return encode_whole(payload), ARROW
        return encode_columns(payload, media, given), media
    except AnswerHasNoColumns as no_table:
        # The caller asked for a table, and there is none: what there is, is better than a refusal.
        try:
            if media == ARROW_WHOLE:
                return encode_with_words(payload, wrapped=wrapped), JSON
            return encode_answer(payload, wrapped=wrapped, nan_words=nan_words), JSON
        except AnswerUnserializable:
            raise no_table from None


def takes_long(payload: Payload, media: str, nan_words: bool) -> bool:
    """Whether to write it takes longer than an event loop has time for."""
    if media == JSON_WORDS:
        media, nan_words = JSON, True
    if isinstance(payload, Tensors) and media == JSON and sum([a.size for a in payload.arrays]) <= _MAX_OTHERS:
        return False  # as nearly all answers are
    if isinstance(payload, Value):  # made of Python's objects it would have to be written for another process first
        return isinstance(payload, PackedValue)
    if (
        (media in COLUMNAR or media == ARROW_WHOLE)
        and "pyarrow" not in sys.modules
        and find_spec("pyarrow") is not None
    ):
        return True  # which takes a third of a second to import
    if isinstance(payload, Table) or media != JSON or nan_words:
        return cells_in(payload) > _MAX_OTHERS
    kinds = {array.dtype.kind for array in payload.arrays}
    return cells_in(payload) > (
        _MAX_WHOLE if kinds <= set("biu") else _MAX_FLOATS if kinds <= set("biuf") else _MAX_OTHERS
    )


def cells_in(payload: Table | Tensors) -> int:
    """How many cells or elements it has."""
    return payload.rows * payload.width if isinstance(payload, Table) else sum(array.size for array in payload.arrays)
