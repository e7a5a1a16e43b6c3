"""Hostile CSV: headers and rows of millions of cells, quotes that never end, rows that fit nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from hostile.body import CSV, HostileBody
from hostile.shapes import CSV_SHAPES

_HEADER = b"sepal_length,sepal_width,petal_length,petal_width\n"
_ROW = b"5.1,3.5,1.4,0.2\n"


def csv_bodies() -> Iterator[HostileBody]:
    for name, (make, model) in _BODIES.items():
        yield HostileBody("csv", name, CSV, make, model)


def distinct(count: int) -> bytes:
    return b",".join(b"c%d" % i for i in range(count)) + b"\n"


_BODIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a header of two million equal names": (lambda: b",".join([b"c"] * 2_000_000), "iris"),
    "a header of two million equal names, python": (lambda: b",".join([b"c"] * 2_000_000), "echo"),
    "a header of two million empty names": (partial(CSV_SHAPES["empty names"], 2_000_000), "iris"),
    "a header of 500k names": (lambda: distinct(500_000), "iris"),
    "a header of 500k names and a row": (lambda: distinct(500_000) + b"1," * 499_999 + b"1\n", "iris"),
    "a header of 500k names and a row, python": (lambda: distinct(500_000) + b"1," * 499_999 + b"1\n", "echo"),
    "a header of 6,000 names, rows of one cell": (partial(CSV_SHAPES["names and rows of one cell"], 6000), "iris"),
    "a header of 6,000 names, rows of one cell, python": (
        partial(CSV_SHAPES["names and rows of one cell"], 6000),
        "echo",
    ),
    "a header of 20,000 names, 20,000 rows of one cell": (
        partial(CSV_SHAPES["names and rows of one cell"], 20_000),
        "bare",
    ),
    "four million empty lines": (partial(CSV_SHAPES["empty lines"], 4_000_000), "iris"),
    "four million empty lines after a header": (lambda: _HEADER + b"\n" * 4_000_000, "iris"),
    "a name and two million empty lines": (lambda: b"a\n" + b"\n" * 2_000_000, "echo"),
    "rows of nothing but commas": (lambda: _HEADER + b",,,\n" * 500_000, "iris"),
    "a row of a million cells": (lambda: _HEADER + b"1," * 1_000_000 + b"1\n", "iris"),
    "a row of a million cells behind good ones": (lambda: _HEADER + _ROW * 100 + b"1," * 1_000_000 + b"1\n", "iris"),
    "a quote never closed": (lambda: _HEADER + b'"' + _ROW * 250_000, "iris"),
    "a quote never closed, python": (lambda: _HEADER + b'"' + _ROW * 250_000, "echo"),
    "a quote never closed in the header": (lambda: b'"' + _HEADER + _ROW * 250_000, "iris"),
    "quotes doubling": (lambda: _HEADER + b'"' + b'""' * 2_000_000 + b'",1,1,1\n', "iris"),
    "quotes one after the other": (lambda: _HEADER + b'"' * 3_999_999, "iris"),
    "quotes inside cells": (lambda: _HEADER + b'5"1,3""5,"1"4,0.2\n' * 200_000, "iris"),
    "zero bytes": (lambda: _HEADER + bytes(4_000_000), "iris"),
    "zero bytes in cells": (lambda: _HEADER + b"1\0,2\0,3\0,4\0\n" * 300_000, "iris"),
    "returns for line ends": (lambda: (_HEADER + _ROW * 200_000).replace(b"\n", b"\r"), "iris"),
    "returns alone": (lambda: _HEADER + b"\r" * 4_000_000, "iris"),
    "ragged, growing": (lambda: _HEADER + b"".join(b"1," * i + b"1\n" for i in range(1500)), "iris"),
    "ragged, shrinking": (lambda: distinct(1500) + b"".join(b"1," * i + b"1\n" for i in range(1498, -1, -1)), "echo"),
    "ragged both ways": (lambda: _HEADER + (b"1\n" + b"1,2,3,4,5,6,7,8\n") * 200_000, "iris"),
    "a cell of 4 MB": (lambda: _HEADER + b"x" * 4_000_000 + b",1,1,1\n", "iris"),
    "a cell of 4 MB and 100k small ones": (lambda: b"s\n" + b"x" * 4_000_000 + b"\n" + b"y\n" * 100_000, "echo"),
    "a one-hot cell of 4 MB": (lambda: b"colour,size\n" + b"x" * 4_000_000 + b",1\n", "onehot"),
    "a name of 4 MB": (lambda: b"x" * 4_000_000 + b"\n1\n", "iris"),
    "a number of four million digits": (lambda: _HEADER + b"9" * 4_000_000 + b",1,1,1\n", "iris"),
    "a number of four million digits, python": (lambda: b"a\n" + b"9" * 4_000_000 + b"\n", "echo"),
    "a fraction of four million digits": (lambda: _HEADER + b"0." + b"3" * 4_000_000 + b",1,1,1\n", "iris"),
    "numbers of 300 digits": (lambda: _HEADER + (b"9" * 300 + b",1,1,1\n") * 12_000, "iris"),
    "numbers of huge exponents": (lambda: _HEADER + b"1e999999999,1e-999999999,1,1\n" * 130_000, "iris"),
    "separators of Unicode": (lambda: _HEADER + "1\u2028,2\u2029,3\u0085,4\u000b\n".encode() * 250_000, "iris"),
    "separators of Unicode in the header": (lambda: "a\u2028b\u0085c\x1c,d\n".encode() + b"1,2\n" * 500_000, "echo"),
    "a mark, then rows": (lambda: b"\xef\xbb\xbf" + _HEADER + _ROW * 200_000, "iris"),
    "UTF-16": (lambda: (_HEADER + _ROW * 100_000).decode().encode("utf-16"), "iris"),
    "bytes of no encoding": (lambda: _HEADER + b"\xff\xfe\xc0,1,1,1\n" * 300_000, "iris"),
    "a comma too many in each row": (lambda: _HEADER + b"5.1,3.5,1.4,0.2,\n" * 200_000, "iris"),
    "a comma too many in each row, python": (lambda: _HEADER + b"5.1,3.5,1.4,0.2,\n" * 200_000, "echo"),
    "100k commas too many": (lambda: _HEADER + _ROW[:-1] + b"," * 1_000_000 + b"\n", "iris"),
    "dates of odd form": (lambda: b"when\n" + b"1st of May 2024 5pm\n" * 100_000, "typed-plain"),
    "a date of 300k digits": (lambda: b"when\n" + b"1" * 300_000 + b"\n", "typed-plain"),
    "words for missing cells": (lambda: _HEADER + b"NA,null,NaN,\n" * 300_000, "iris"),
    "nothing": (lambda: b"", "iris"),
    "a tensor's model": (lambda: b"a,b,c\n" + b"1,2,3\n" * 500_000, "tensor"),
}
