"""Protocol buffers, walked field by field: the few fields of an ONNX model that matter, without the onnx library.

Source: "Encoding" in the documentation of protocol buffers; onnx.proto for the numbers of fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

_VARINT_BYTES = 10
_FIXED = {1: 8, 5: 4}  # wire types of fixed length

# A field that has a length is its bytes, a whole number is one; numbers of fixed length are passed over.
Value: TypeAlias = memoryview | int


def fields(message: memoryview, stop: tuple[int, ...] = ()) -> Iterator[tuple[int, Value]]:
    """The fields of a message, by number. Ends at a field of `stop`. Raises ValueError."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        wire_type = key & 7
        if key >> 3 in stop:
            return
        if wire_type == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
        elif wire_type == 2:
            length, position = _varint(message, position)
            if length > end - position:
                raise ValueError("A field of the ONNX model ends beyond the file.")
            yield key >> 3, message[position : position + length]
            position += length
        elif wire_type in _FIXED:
            position += _FIXED[wire_type]
        else:
            raise ValueError(f"The ONNX model has a field of unknown type {wire_type}.")
    if position != end:
        raise ValueError("A field of the ONNX model ends beyond the file.")


def messages(message: memoryview, stop: tuple[int, ...] = ()) -> Iterator[tuple[int, memoryview]]:
    """The fields that have a length."""
    for number, value in fields(message, stop):
        if not isinstance(value, int):
            yield number, value


def whole_numbers(message: memoryview, field: int) -> Iterator[int]:
    """The numbers of a repeated field, whether they stand one by one or packed; signed, as int64."""
    for number, value in fields(message):
        if number != field:
            continue
        if isinstance(value, int):
            yield _signed(value)
            continue
        position = 0
        while position < len(value):
            one, position = _varint(value, position)
            yield _signed(one)


def text(value: Value) -> str:
    return "" if isinstance(value, int) else bytes(value[:256]).decode("utf-8", "replace")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, and where it ends."""
    value = 0
    for i, byte in enumerate(message[position : position + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise ValueError("A number in the ONNX model does not end.")
