"""The work that a body makes is a linear function of its bytes, whatever its shape: counted, not timed.

What is counted are calls (of Python and of C functions, by the interpreter's own hook) and the bytes that are held at
once, which numpy's arrays are among. Tables that are laid out before they are counted hold the square of that.
"""

from __future__ import annotations

import gzip
import sys
import tracemalloc
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile.shapes import CSV_SHAPES, JSON_SHAPES, Shape
from penstock.errors import InputError
from penstock.signature import Field, Scalar, Signature
from penstock.wire.content_encoding import unpack
from penstock.wire.mlflow.codec import MlflowCodec
from penstock.wire.mlflow.formats import CSV, JSON

LIMIT = 8 << 20

SIGNATURES = (
    Signature((Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE))),
    Signature((Field("x", Scalar.STRING),)),
    None,
)

# For any body at all, and for each byte that it has once it is unpacked. pandas makes 300 calls for a column, which
# has five bytes or more, but for some dozens. A list of short lists takes some twenty times its text; texts in numpy's
# arrays have 16 MiB beside four times the body.
CALLS, CALLS_PER_BYTE = 30_000, 64
HELD, HELD_PER_BYTE = 18 << 20, 48


class Work:
    """What is done inside of the `with`: `calls`, and the most bytes `held` at once beyond those before."""

    def __init__(self) -> None:
        self.calls = self.held = 0

    def _count(self, frame: FrameType, event: str, arg: Any) -> None:
        self.calls += event in ("call", "c_call")

    def __enter__(self) -> Work:
        tracemalloc.start()
        self._before = tracemalloc.get_traced_memory()[0]
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        self.held = tracemalloc.get_traced_memory()[1] - self._before
        tracemalloc.stop()


def read(body: bytes, media: str, signature: Signature | None, frames: bool, encodings: tuple[str, ...] = ()) -> None:
    codec = MlflowCodec(signature, frames=frames, max_body_bytes=LIMIT, on_loop=False)
    with suppress(InputError):
        codec.read(media, unpack(body, encodings, LIMIT) if encodings else body)


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Libraries are imported by the first body that needs them, at the cost of no later one."""
    for media, body in ((JSON, b'{"dataframe_split":{"columns":["a"],"data":[["x"]]}}'), (CSV, b"a,b\n1,2\n")):
        for frames in (True, False):
            read(body, media, None, frames)


SHAPES = [(JSON, name) for name in JSON_SHAPES] + [(CSV, name) for name in CSV_SHAPES]


def shape_of(media: str, name: str) -> Shape:
    return (JSON_SHAPES if media == JSON else CSV_SHAPES)[name]


def within(work: Work, size: int) -> bool:
    return work.calls <= CALLS + CALLS_PER_BYTE * size and work.held <= HELD + HELD_PER_BYTE * size


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from(SHAPES),
    n=st.integers(1, 2500),
    signature=st.sampled_from(SIGNATURES),
    frames=st.booleans(),
    packed=st.booleans(),
)
def test_work_is_linear_in_the_bytes_of_any_shape(
    shape: tuple[str, str], n: int, signature: Signature | None, frames: bool, packed: bool
) -> None:
    body = shape_of(*shape)(n)
    sent, encodings = (gzip.compress(body), ("gzip",)) if packed else (body, ())
    with Work() as work:
        read(sent, shape[0], signature, frames, encodings)
    assert within(work, len(body)), f"{work.calls} calls, {work.held} bytes for {len(body)} bytes"


@pytest.mark.parametrize("shape", SHAPES, ids=" ".join)
def test_no_shape_works_more_than_its_bytes_allow_at_a_size_where_squares_show(shape: tuple[str, str]) -> None:
    body = shape_of(*shape)(2500)
    for signature, frames in ((SIGNATURES[0], False), (None, True)):
        with Work() as work:
            read(body, shape[0], signature, frames)
        assert within(work, len(body)), f"{work.calls} calls, {work.held} bytes for {len(body)} bytes"


def test_the_count_sees_a_table_that_is_laid_out_carelessly() -> None:
    import numpy as np

    with Work() as work:
        np.zeros((2500, 2500))
    assert not within(work, len(JSON_SHAPES["a long row first"](2500)))
    with Work() as work:
        [len(str(a)) for a in range(300) for _ in range(300)]
    assert not within(work, 200)
