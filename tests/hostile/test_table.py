"""The table of hostile bodies: that it is one, and that its bodies are what they say, each time."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from io import BytesIO

import pytest
import zstandard
from pyarrow import parquet

from hostile.body import HostileBody
from hostile.packages import GOOD_ROWS
from hostile.packed_bodies import UNPACKED
from hostile.table import KINDS, TABLE

ON_THE_WIRE = 10_000_000
SMALL = 5_000_000


def named(name: str) -> HostileBody:
    return next(hostile for hostile in TABLE if hostile.name == name)


def test_there_are_many_bodies_and_every_one_has_a_name_in_its_kind() -> None:
    assert len(TABLE) >= 160
    assert [key for key, count in Counter((h.kind, h.name) for h in TABLE).items() if count > 1] == []


def test_every_body_is_for_a_model_that_is_packaged() -> None:
    assert {hostile.model for hostile in TABLE} == GOOD_ROWS.keys()


# Of these each body takes long to make; they are made whenever the table is sent to a server.
_LONG = {
    "accept", "arrow", "bombs", "json-dates", "json-odd", "json-params", "json-ragged", "json-tensors", "json-wide",
    "packed", "parquet",
}  # fmt: skip


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.services] if kind in _LONG else []) for kind in KINDS]
)
def test_a_body_is_the_same_bytes_each_time_and_small_on_the_wire(kind: str) -> None:
    sizes = []
    for hostile in (h for h in TABLE if h.kind == kind):
        body = hostile.make()
        assert zlib.crc32(body) == zlib.crc32(hostile.make()), hostile.name
        sizes.append(len(body))
    assert max(sizes) <= ON_THE_WIRE
    assert sum(size <= SMALL for size in sizes) >= len(sizes) * 3 / 4


def test_a_bomb_unpacks_to_just_below_the_limit_that_servers_are_shipped_with() -> None:
    for name, unpack in (("gzip: nulls", gzip.decompress), ("zstd: a row of cells", zstandard.decompress)):
        body = named(name).make()
        assert UNPACKED - 100 <= len(unpack(body)) <= UNPACKED
        assert len(body) < UNPACKED / 100


def test_a_forged_footer_still_reads_and_promises_what_is_not_there() -> None:
    body = named("2^40 rows").make()
    assert parquet.ParquetFile(BytesIO(body)).metadata.num_rows == 2**40


def test_a_body_without_steps_of_its_own_is_sent_as_a_head_and_the_body() -> None:
    hostile = named("half characters in a cell")
    head, body = hostile.sent(b"{}")
    assert head == (
        b"POST /models/echo/invocations HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    )
    assert body == b"{}"


def test_steps_send_pause_and_end_the_clients_half() -> None:
    hostile = named("asks whether to send, and leaves")
    head, pause, end = hostile.sent(hostile.make())
    assert isinstance(head, bytes)
    assert b"Expect: 100-continue" in head
    assert isinstance(pause, float)
    assert end is None
