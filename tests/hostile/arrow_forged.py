"""Sound Arrow streams in which offsets, indices, lengths and sizes were overwritten with lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from hostile.arrow_bodies import column
from hostile.body import ARROW, HostileBody

# Long enough that no view holds them inside, and lengths that occur nowhere else in a stream.
_TEXT = ["abcdefgh" * 8, "zz" * 31]
_BYTES = [text.encode() for text in _TEXT]
_SOUND = [0, 64, 126]

_Array = Callable[[], Any]


def arrow_forged() -> Iterator[HostileBody]:
    for name, array in _OFFSETS.items():
        dtype = np.int64 if name.startswith("large") else np.int32
        for lie, offsets in _LIES.items():
            make = partial(_forged, array, _SOUND, offsets, dtype)
            yield HostileBody("arrow-forged", f"{name}: offsets {lie}", ARROW, make, "echo")
    yield HostileBody(
        "arrow-forged",
        "binary: offsets beyond, numbers wanted",
        ARROW,
        partial(_forged, _OFFSETS["binary"], _SOUND, [0, 2**31 - 2, 2**31 - 1]),
    )
    for name, (forge, model) in _OTHERS.items():
        yield HostileBody("arrow-forged", name, ARROW, forge, model)


def _forged(array: _Array, old: list[int], new: list[int], dtype: Any = np.int32) -> bytes:
    """The stream of a column with the first run of these numbers replaced. Raises ValueError where there is none."""
    body, sought = column(array()), np.array(old, dtype).tobytes()
    if sought not in body:
        raise ValueError(f"{old} is not in the stream.")
    return body.replace(sought, np.array(new, dtype).tobytes(), 1)


_LIES = {
    "beyond": [0, 2**31 - 2, 2**31 - 1],
    "below zero": [-(2**31), -64, 126],
    "falling": [126, 64, 0],
    "just beyond": [0, 64, 4096],
}

_NUMBERS = pa.array(np.arange(126, dtype=np.int16) + 1000)
_OFFSETS: dict[str, _Array] = {
    "string": lambda: pa.array(_TEXT),
    "binary": lambda: pa.array(_BYTES),
    "large string": lambda: pa.array(_TEXT, pa.large_string()),
    "large binary": lambda: pa.array(_BYTES, pa.large_binary()),
    "list": lambda: pa.ListArray.from_arrays(pa.array(_SOUND, pa.int32()), _NUMBERS),
    "large list": lambda: pa.LargeListArray.from_arrays(pa.array(_SOUND, pa.int64()), _NUMBERS),
    "list of texts": lambda: pa.ListArray.from_arrays(pa.array(_SOUND, pa.int32()), pa.array(["some text"] * 126)),
    "list in a list": lambda: pa.ListArray.from_arrays(
        pa.array([0, 2], pa.int32()), pa.ListArray.from_arrays(pa.array(_SOUND, pa.int32()), _NUMBERS)
    ),
    "map": lambda: pa.MapArray.from_arrays(pa.array(_SOUND, pa.int32()), pa.array(["key"] * 126), _NUMBERS),
    "text in a struct": lambda: pa.StructArray.from_arrays([pa.array(_TEXT)], ["s"]),
}


def _dictionary() -> Any:
    return pa.DictionaryArray.from_arrays(pa.array([7] * 8, pa.int32()), pa.array(["a"] * 8))


def _dictionary_of_numbers() -> Any:
    return pa.DictionaryArray.from_arrays(pa.array([7] * 8, pa.int32()), pa.array([1.5] * 8))


def _views(length: int, buffer: int, offset: int) -> bytes:
    """A view is its length, the text's first four bytes, which buffer, and where in it."""
    view = np.array([64], np.int32).tobytes() + b"abcd" + np.array([0, 0], np.int32).tobytes()
    lie = np.array([length], np.int32).tobytes() + b"abcd" + np.array([buffer, offset], np.int32).tobytes()
    body = column(pa.array(_TEXT, pa.string_view()))
    if view not in body:
        raise ValueError("The stream has no such view.")
    return body.replace(view, lie, 1)


def _rows(array: _Array, rows: int, lie: int) -> bytes:
    """Every count of rows in the stream replaced, in the batch and in its columns."""
    body = column(array())
    return body.replace(np.array([rows], np.int64).tobytes(), np.array([lie], np.int64).tobytes())


def _run_ends(lie: list[int]) -> bytes:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1001, 2002, 3003], pa.int32()), pa.array([1.0, 2.0, 3.0]))
    return column(runs).replace(np.array([1001, 2002, 3003], np.int32).tobytes(), np.array(lie, np.int32).tobytes(), 1)


def _union(kind: int, offset: int) -> bytes:
    array = pa.UnionArray.from_dense(
        pa.array([0, 1] * 32, pa.int8()), pa.array([5, 5] * 32, pa.int32()), [pa.array([1.0] * 9), pa.array(["a"] * 9)]
    )
    body = column(array).replace(bytes([0, 1] * 32), bytes([kind, 1] * 32), 1)
    return body.replace(np.array([5, 5] * 32, np.int32).tobytes(), np.array([offset, 5] * 32, np.int32).tobytes(), 1)


def _length_word(at: int, lie: int) -> bytes:
    """A 32-bit word of the stream's first message overwritten: the mark, or the length of what follows it."""
    body = bytearray(column(pa.array([1.0] * 100), "sepal_length"))
    body[at : at + 4] = lie.to_bytes(4, "little", signed=True)
    return bytes(body)


_OTHERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "dictionary index beyond": (partial(_forged, _dictionary, [7] * 8, [2**30] * 8), "echo"),
    "dictionary index beyond, one-hot": (partial(_forged, _dictionary, [7] * 8, [2**30] * 8), "onehot"),
    "dictionary index beyond, numbers wanted": (partial(_forged, _dictionary_of_numbers, [7] * 8, [2**30] * 8), "iris"),
    "dictionary index below zero": (partial(_forged, _dictionary, [7] * 8, [-(2**30)] * 8), "echo"),
    "dictionary index just beyond": (partial(_forged, _dictionary, [7] * 8, [8] * 8), "echo"),
    "view longer than its buffer": (partial(_views, 2**31 - 1, 0, 0), "echo"),
    "view of a buffer that is not there": (partial(_views, 64, 77, 0), "echo"),
    "view of a buffer below zero": (partial(_views, 64, -1, 0), "echo"),
    "view that starts beyond its buffer": (partial(_views, 64, 0, 2**30), "echo"),
    "view of a length below zero": (partial(_views, -1, 0, 0), "echo"),
    "more rows than cells": (partial(_rows, lambda: pa.array([1.5] * 1234), 1234, 2**40), "iris"),
    "more rows than cells, python": (partial(_rows, lambda: pa.array([1.5] * 1234), 1234, 2**40), "echo"),
    "more texts than offsets": (partial(_rows, lambda: pa.array(["a"] * 1234), 1234, 10_000_000), "echo"),
    "rows below zero": (partial(_rows, lambda: pa.array([1.5] * 1234), 1234, -1), "iris"),
    "more nulls than bits": (partial(_rows, lambda: pa.array([1.5, None] * 617), 1234, 10_000_000), "iris"),
    "2^62 nulls": (partial(_rows, lambda: pa.nulls(1234), 1234, 2**62), "iris"),
    "run ends that fall": (partial(_run_ends, [3003, 2002, 1001]), "echo"),
    "run ends below zero": (partial(_run_ends, [-5, -4, 3003]), "echo"),
    "run ends that do not reach": (partial(_run_ends, [1, 2, 3]), "echo"),
    "union of a kind that is not there": (partial(_union, 99, 5), "echo"),
    "union of an offset beyond": (partial(_union, 0, 2**30), "echo"),
    "a schema of 2 GB": (partial(_length_word, 4, 2**31 - 8), "iris"),
    "a schema of a length below zero": (partial(_length_word, 4, -8), "iris"),
    "a root table beyond the message": (partial(_length_word, 8, 2**30), "iris"),
}
