"""What memory a JSON body takes while it is read, counted by its characters before anything is made of it.

A list of one cell is 4 bytes of text and some 120 of memory. Where a process has a limit, what will not fit is not
begun: libraries that are refused memory in the middle of their work take the process with them.
"""

from __future__ import annotations

import re
from math import inf

import numpy as np

from penstock.machine.memory import memory_left

# A body of so many bytes fits wherever a process may run at all, and need not be checked.
FITS_ANYWHERE = 1 << 20
_PIECE = 1 << 20  # counted at a time

# Bytes of CPython's objects, with what the allocator rounds up: a list, an object and the table in it that has room for
# a few keys, a key of larger tables, a text without its characters, a number, a place in whatever holds it.
_LIST, _OBJECT, _TABLE, _KEY, _TEXT, _NUMBER, _PLACE = 80, 192, 128, 48, 64, 32, 8
_FEW_KEYS = 5
# Python keeps one of each small number; whatever it makes has a point, an exponent, or so many digits.
_KEPT_DIGITS = 3
# What orjson allocates before it reads, by the bytes of the body: 12 for each, where the tree and the texts in it go.
# Source: yyjson_read_max_memory_usage of yyjson, its parser; measured, in orjson 3.13.
_BUFFER, _BUFFER_MORE = 12, 256

_TEXTS = re.compile(rb'"(?:[^"\\]+|\\.)*"', re.DOTALL)
# Looking for the texts takes a third of a microsecond for each.
_MANY_TEXTS = 2_000_000


def fits_orjson(body: bytes) -> bool:
    """Whether this process may take what orjson needs for a body: it ends the process where it is refused memory, as
    Python's json does not. Raises MemoryError where not even what is made of the body fits, however it is read."""
    if len(body) <= FITS_ANYWHERE or (left := memory_left()) == inf:
        return True
    buffer, made = _BUFFER * len(body) + _BUFFER_MORE, memory_of(body)
    if buffer + made > left and 0 < body.count(b'"') <= 2 * _MANY_TEXTS:
        made = memory_of(_TEXTS.sub(b'""', body)) + _texts_of(body)
    if made > left:
        raise MemoryError
    return buffer + made <= left


def memory_of(body: bytes) -> int:
    """The most bytes that a JSON body takes as Python objects. Brackets and commas in texts count as well."""
    counts = np.zeros(256, np.int64)
    data = np.frombuffer(body, np.uint8)
    for start in range(0, len(data), _PIECE):
        counts += np.bincount(data[start : start + _PIECE], minlength=256)
    lists, objects, commas, keys, marks, points, ends = (int(counts[ord(character)]) for character in '[{,:".e')
    empty_lists, empty_objects = body.count(b"[]"), body.count(b"{}")
    values = 1 + lists + objects + commas - empty_lists - empty_objects
    texts = max(marks // 2 - keys, 0)
    numbers = max(values - lists - objects - texts, 0)
    numbers = min(numbers, points + ends + int(counts[48:58].sum()) // _KEPT_DIGITS)
    made = _LIST * lists + _OBJECT * objects + _KEY * max(keys - _FEW_KEYS * objects, 0) + _TEXT * texts
    made += _NUMBER * numbers + _PLACE * values - _TABLE * empty_objects
    return made + (_texts_of(body) if marks else 0)


def _texts_of(body: bytes) -> int:
    """What the characters of its texts take at most, but for those that are wide for the sake of a single one."""
    return len(body)
