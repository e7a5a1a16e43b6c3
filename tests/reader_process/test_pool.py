"""A pool of real processes: bodies come back as the event loop would have read them, and what ends a reader costs its
sender a 400 and nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.errors import AnswerUnserializable, InputTooLarge, MalformedInput, Overloaded, SchemaViolation
from penstock.machine.memory_file import MemoryFile
from penstock.metrics.readers import ReaderMetrics
from penstock.payload import TEXT, PackedValue, Payload, Table, Tensors, as_object_array
from penstock.reader_process import pool as pool_module
from penstock.reader_process import queue
from penstock.reader_process.limits import ReaderLimits
from penstock.reader_process.messages import Outcome, parse
from penstock.reader_process.pool import ReaderPool, ReadResult
from penstock.signature import Field, Scalar, Signature
from penstock.wire.interface import CodecSpec
from penstock.wire.mlflow.codec import MlflowProtocol, PredictRequest
from penstock.wire.mlflow.formats import ARROW, CSV, JSON, PARQUET
from reader_process.trap import Trap

LIMIT = 64 << 20
SIGNATURE = Signature((Field("x", Scalar.DOUBLE), Field("s", Scalar.STRING)))
SPEC = CodecSpec(MlflowProtocol(), SIGNATURE, False)


TRAP = CodecSpec(Trap(), None, False)


@pytest.fixture
def metrics() -> ReaderMetrics:
    return ReaderMetrics()


@pytest.fixture
async def pool(metrics: ReaderMetrics, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReaderPool]:
    monkeypatch.setattr(pool_module, "_PATIENCE", 60.0)  # a busy machine is not what these tests are about
    made = ReaderPool(2, ReaderLimits(0.5, 512 << 20), metrics)
    yield made
    made.close()


async def started(metrics: ReaderMetrics) -> None:
    """Until there is a reader."""
    while True:
        if metrics.processes.value:
            return
        await asyncio.sleep(0.001)


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def file_of(body: bytes) -> MemoryFile:
    file = MemoryFile()
    file.write([body])
    return file


async def read(
    pool: ReaderPool,
    body: bytes,
    spec: CodecSpec = SPEC,
    media: str = JSON,
    encodings: tuple[str, ...] = (),
    client: str = "127.0.0.1",
) -> ReadResult:
    return await pool.read(client, spec, media, file_of(body), encodings, LIMIT)


def split(rows: int) -> bytes:
    data = [[float(n), f"text {n}"] for n in range(rows)]
    return json.dumps({"dataframe_split": {"columns": ["x", "s"], "data": data}}).encode()


async def test_a_body_is_read_as_on_the_event_loop(pool: ReaderPool) -> None:
    for rows in (1, 20_000):
        body = split(rows)
        result = await read(pool, body)
        expected = MlflowProtocol().codec(SIGNATURE, frames=False, on_loop=False).read(JSON, body)
        assert isinstance(result.payload, Table)
        assert isinstance(expected.payload, Table)
        for mine, theirs in zip(result.payload.iter_columns(), expected.payload.iter_columns(), strict=True):
            assert mine.dtype == theirs.dtype
            assert (mine == theirs).all()
        assert result.state == {"ignored": (), "wrapped": True, "rows": rows}
        assert (result.params, result.size) == (None, len(body))


async def test_what_a_body_holds_beside_its_rows_is_told_from_there(pool: ReaderPool) -> None:
    document = {**json.loads(split(20_000)), "params": {"ofset": 1}, "parameters": {}}
    result = await read(pool, json.dumps(document).encode())
    assert [tuple(one) for one in result.state["ignored"]] == [("param", "ofset"), ("key", "parameters")]


async def test_a_large_value_comes_and_goes_unread(pool: ReaderPool) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "é" * 100_000}]}).encode()
    result = await read(pool, body, CodecSpec(MlflowProtocol(), None, False))
    assert isinstance(result.payload, PackedValue)
    assert result.payload.value == json.loads(body)
    request = PredictRequest(result.payload, None, wrapped=False)
    content, media = await pool.write(
        "127.0.0.1", CodecSpec(MlflowProtocol(), None, False), JSON, result.payload, request
    )
    assert (json.loads(content), media) == (json.loads(body), JSON)


async def test_an_answer_may_be_much_longer_than_what_it_is_made_of(pool: ReaderPool) -> None:
    names = tuple(f"{number} of the columns, each of whose names is in every row" for number in range(4))
    table = Table(names, block=np.zeros((200_000, 4), np.int8))
    spec = CodecSpec(MlflowProtocol(), None, False)
    content, _ = await pool.write("127.0.0.1", spec, JSON, table, PredictRequest(table))
    assert len(content) > 40_000_000
    assert content.count(b'":0') == table.rows * table.width


async def test_values_that_no_model_can_be_handed_are_the_callers_mistake(pool: ReaderPool) -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"a": arrow.array([(1, 2, 3)], type=arrow.month_day_nano_interval())})
    body = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(body, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(MalformedInput, match="calendar intervals"):
        await read(pool, body.getvalue().to_pybytes(), CodecSpec(MlflowProtocol(), None, True), ARROW)


async def test_arrays_that_come_back_may_be_written_to(pool: ReaderPool) -> None:
    result = await read(pool, b"1000", TRAP)
    assert isinstance(result.payload, Tensors)
    result.payload.arrays[0][0] = 7


async def test_packed_bodies_are_unpacked_there_within_the_limit(pool: ReaderPool) -> None:
    body = split(100)
    result = await read(pool, gzip.compress(body), encodings=("gzip",))
    assert (result.payload.rows, result.size) == (100, len(body))
    with pytest.raises(InputTooLarge, match="67,108,864 bytes"):
        await read(pool, gzip.compress(b" " * (LIMIT + 1)), encodings=("gzip",))


async def test_a_callers_mistakes_come_back_as_they_are(pool: ReaderPool) -> None:
    with pytest.raises(SchemaViolation) as violation:
        await read(pool, b'{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}')
    assert "s" in str(violation.value)
    with pytest.raises(MalformedInput, match="JSON"):
        await read(pool, b"{")
    with pytest.raises(MalformedInput, match="nested too deeply"):
        await read(pool, b"nest", TRAP)


async def test_csv_and_parquet_have_their_libraries_from_the_start(pool: ReaderPool) -> None:
    frames = CodecSpec(MlflowProtocol(), SIGNATURE, True)
    first = await read(pool, b"x,s\n1,a\n", frames, CSV)
    assert first.payload.rows == 1
    with pytest.raises(MalformedInput, match="Parquet"):
        await read(pool, b"PAR1", frames, PARQUET)


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        (b"crash", "crashed", "crash"),
        (b"end", "crashed", "crash"),
        (b"spin", "cannot be read within 0.5 s of processor time", "time"),
        (b"grow", "cannot be read within 96 MiB of memory", "memory"),
    ],
)
async def test_a_body_that_ends_its_reader_is_its_senders_mistake(
    pool: ReaderPool, metrics: ReaderMetrics, body: bytes, error: str, reason: str
) -> None:
    with pytest.raises((MalformedInput, InputTooLarge), match=error):
        await read(pool, body, TRAP)
    assert {name: count.value for name, count in metrics.kills.items() if count.value} == {reason: 1}
    assert (await read(pool, split(3))).payload.rows == 3


async def test_a_body_that_the_processor_did_not_get_to_may_be_sent_again(
    pool: ReaderPool, metrics: ReaderMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_PATIENCE", 0.5)
    with pytest.raises(Overloaded, match="too busy") as refused:
        await read(pool, b"sleep", TRAP)
    assert refused.value.limit == "readers"
    assert {name: count.value for name, count in metrics.kills.items() if count.value} == {"starved": 1}


async def test_an_unforeseen_error_is_no_mistake_of_the_callers(pool: ReaderPool) -> None:
    with pytest.raises(Exception, match="ZeroDivisionError") as raised:
        await read(pool, b"raise", TRAP)
    assert not isinstance(raised.value, MalformedInput)


async def test_nothing_of_the_gateways_environment_is_there(pool: ReaderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_API_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with pytest.raises(MalformedInput) as told:
        await read(pool, b"environment", TRAP)
    assert "secret" not in str(told.value)


async def test_readers_yield_the_processor_to_their_gateway(pool: ReaderPool) -> None:
    """Linux shares it out among sessions first, and looks at `nice` only within one."""
    await read(pool, b'{"inputs": [[1]]}', CodecSpec(MlflowProtocol(), None, False))
    (reader,) = pool._readers
    assert os.getsid(reader) == os.getsid(0)
    assert os.getpgid(reader) == pool._readers[reader].parent
    assert os.getpriority(os.PRIO_PROCESS, reader) > os.getpriority(os.PRIO_PROCESS, 0)


async def test_a_caller_that_leaves_takes_its_reader_along(pool: ReaderPool, metrics: ReaderMetrics) -> None:
    reading = asyncio.ensure_future(read(pool, b"sleep", TRAP))
    await started(metrics)
    await read(pool, b"1", TRAP, client="other")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert metrics.kills["caller"].value == 1
    assert (await read(pool, b"3", TRAP)).payload.rows == 3


async def test_a_full_queue_refuses(pool: ReaderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_WAITING_OF_ONE", 2)
    readings = [asyncio.ensure_future(read(pool, b"sleep", TRAP)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await read(pool, b"1", TRAP)
    assert refused.value.limit == "readers"
    for reading in readings:
        reading.cancel()
    await asyncio.gather(*readings, return_exceptions=True)
    assert (await read(pool, b"1", TRAP)).payload.rows == 1


async def test_a_fork_server_that_has_ended_is_started_again(pool: ReaderPool) -> None:
    await read(pool, b"1", TRAP)
    program = pool._launcher._program
    assert program is not None
    os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    while True:
        try:
            assert (await read(pool, b"2", TRAP)).payload.rows == 2
            break
        except Overloaded:  # its reader went with it, which is no mistake of the caller's
            continue


async def test_a_body_whose_reader_ends_with_the_fork_server_may_be_sent_again(pool: ReaderPool) -> None:
    with pytest.raises(Overloaded, match="at the moment"):
        await read(pool, b"kill the fork server", TRAP)
    assert (await read(pool, b"2", TRAP)).payload.rows == 2


async def test_more_codecs_than_are_kept_lose_no_reader(pool: ReaderPool) -> None:
    specs = [CodecSpec(Trap(), None, False) for _ in range(60 + pool_module._MAX_CODECS)]
    results = await asyncio.gather(*(read(pool, b"1", spec, client=f"{n}") for n, spec in enumerate(specs)))
    assert [result.payload.rows for result in results] == [1] * len(specs)
    assert len(pool._readers) <= 2
    assert len(pool._idle) == len(pool._readers)


@pytest.mark.parametrize(("media", "error"), [("crash", "crashed"), ("spin", "within 0.5 s"), ("grow", "512 MiB")])
async def test_an_answer_that_ends_its_reader_is_no_mistake_of_the_callers(
    pool: ReaderPool, media: str, error: str
) -> None:
    request = PredictRequest(Tensors.single(np.zeros(1)))
    with pytest.raises(AnswerUnserializable, match=error):
        await pool.write("", TRAP, media, Tensors.single(np.zeros(1)), request)
    assert (await read(pool, b"2", TRAP)).payload.rows == 2


async def test_a_caller_that_leaves_while_its_reader_is_forked_leaves_none_behind(pool: ReaderPool) -> None:
    await read(pool, b"1", TRAP)
    for turns in range(12):
        launching = asyncio.ensure_future(pool._launcher.launch(()))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        launching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await launching).close()
    await read(pool, b"1", TRAP)
    program = pool._launcher._program
    assert program is not None
    async with asyncio.timeout(10):
        while True:
            if len(children_of(program.pid)) <= 2:
                break
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "change",
    [{"seconds": float("inf")}, {"seconds": -1.0}, {"imported": 5}, {"imported": [[]]}, {"size": -1}, {"failed": 1}],
)
def test_an_outcome_that_lies_is_refused(change: dict[str, Any]) -> None:
    good = {"failed": False, "plan": 1, "note": 1, "size": 1, "seconds": 0.5}
    parse(Outcome, json.dumps(good).encode())
    with pytest.raises(ValueError, match="invalid message"):
        parse(Outcome, json.dumps({**good, **change}).encode())


async def test_answers_are_written_as_on_the_event_loop(pool: ReaderPool) -> None:
    codec = MlflowProtocol().codec(None, frames=False, on_loop=False)
    request = PredictRequest(Tensors.single(np.zeros(1)), wrapped=False)
    payloads: list[Payload] = [
        Tensors.single(np.arange(50_000) / 7),
        Tensors.named({"a": np.arange(3), "b": np.array(["x", "é", "z"], TEXT)}),
        Table.of(["n", "o"], [np.arange(9000.0), as_object_array([None, "s", [1]] * 3000)]),
    ]
    for payload in payloads:
        for media in (JSON, CSV):
            written = await pool.write("", SPEC, media, payload, request)
            assert written == codec.write(payload, request, media)


async def test_no_process_stays_when_the_pool_is_closed(metrics: ReaderMetrics) -> None:
    pool = ReaderPool(2, ReaderLimits(), metrics)
    reading = asyncio.ensure_future(pool.read("", TRAP, JSON, file_of(b"sleep"), (), LIMIT))
    await started(metrics)
    (pid,) = pool._readers
    pool.close()
    with pytest.raises((Overloaded, asyncio.CancelledError)):  # it is no mistake of the caller's
        await reading
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        await asyncio.sleep(0.005)


async def test_readers_that_were_let_go_are_not_counted(pool: ReaderPool, metrics: ReaderMetrics) -> None:
    await read(pool, b"1", TRAP)
    (pid,) = pool._readers
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while True:
            if not metrics.processes.value:
                break
            await asyncio.sleep(0.001)
    assert (await read(pool, b"2", TRAP)).payload.rows == 2
