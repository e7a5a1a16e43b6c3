"""What is refused before it is read, what is dropped in time, and what a gateway holds at most."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from penstock.serving.batching.admission import InflightLimits
from server.asgi import Bench, Exchange, Held
from server.conftest import Connection, Launch, ServerProcess, samples
from serving.fakes import settle, until

ROWS = {"inputs": [[1, 2, 3]]}
BODY = json.dumps(ROWS).encode()
LIMIT = 5000


def waiting(bench: Bench) -> int:
    return int(bench.gateway.find(None)._batcher._lanes.rows)


def refused(bench: Bench, limit: str, *, model: str = "m", version: str = "1") -> float:
    labels = {"model": model, "version": version, "limit": limit}
    return bench.metrics.registry.get_sample_value("penstock_overloaded_total", labels) or 0


def at_work(bench: Bench, held: Held, count: int) -> bool:
    return bool(held.calls) and waiting(bench) == count


async def fill(bench: Bench, held: Held, count: int) -> list[Exchange]:
    """One request at work, and so many rows in the queue."""
    exchanges = []
    for number in range(count + 1):
        exchanges.append(Exchange(bench.app))
        exchanges[-1].body(BODY)
        await until(partial(at_work, bench, held, number))
    return exchanges


class TestBeforeTheBody:
    async def test_a_full_queue_refuses_unread(self, bench: Bench) -> None:
        bench.serve("m", held := Held(), max_queue_rows=2)
        bench.open()
        inside = await fill(bench, held, 2)
        late = Exchange(bench.app, headers={"content-length": str(len(BODY))})
        assert await late.status() == 429
        assert late.received == 0
        headers = dict(late.sent[0]["headers"])
        assert int(headers[b"retry-after"]) >= 1
        assert headers[b"x-model-version"] == b"1"
        assert b"connection" not in headers, "a small body is thrown away in passing, the connection lives on"
        assert (bench.count("rejected"), refused(bench, "rows")) == (1, 1)
        held.free.set()
        assert [await e.status() for e in inside] == [200, 200, 200]

    @pytest.mark.parametrize(
        "headers", [{"content-length": "70000"}, {"transfer-encoding": "chunked"}], ids=["large", "of unknown length"]
    )
    async def test_a_refusal_closes_the_connection_under_a_large_body(
        self, bench: Bench, headers: dict[str, str]
    ) -> None:
        """The answer goes out at once; what comes after it is thrown away for a moment, so that the client reads it."""
        bench.serve("m", held := Held(), max_queue_rows=1)
        bench.open()
        inside = await fill(bench, held, 1)
        late = Exchange(bench.app, headers=headers)
        await until(lambda: len(late.sent) == 2)
        assert (b"connection", b"close") in late.sent[0]["headers"]
        assert late.sent[1]["more_body"]
        late.body(b"x" * 60_000, more=True)
        late.body(b"x")
        assert await late.status() == 429
        held.free.set()
        assert [await e.status() for e in inside] == [200, 200]

    async def test_a_client_that_expects_100_continue_is_refused_at_once(self, bench: Bench) -> None:
        bench.serve("m", held := Held(), max_queue_rows=1)
        bench.open()
        inside = await fill(bench, held, 1)
        late = Exchange(bench.app, headers={"content-length": "40", "expect": "100-continue"})
        assert await late.status() == 429
        assert late.received == 0
        assert (b"connection", b"close") in late.sent[0]["headers"]
        held.free.set()
        assert [await e.status() for e in inside] == [200, 200]

    async def test_the_concurrency_limit_refuses_a_request_unread(self, bench: Bench) -> None:
        servable = bench.serve()
        bench.open()
        servable.concurrency_limit.limit = 1
        with servable.lease():
            late = Exchange(bench.app)
            assert await late.status() == 429
        assert refused(bench, "wait") == 1
        again = Exchange(bench.app)
        again.body(BODY)
        assert await again.status() == 200

    async def test_a_request_whose_deadline_comes_before_its_turn_is_refused_unread(self, bench: Bench) -> None:
        bench.serve("m", held := Held(), max_rows=1)
        bench.open()
        inside = await fill(bench, held, 3)
        cost = bench.gateway.find(None)._batcher.cost
        for _ in range(5):
            cost.observe(1, 2.0)  # two seconds a batch, and three wait
        late = Exchange(bench.app, headers={"x-request-timeout": "3"})
        assert await late.status() == 429
        assert refused(bench, "deadline") == 1
        patient = Exchange(bench.app, headers={"x-request-timeout": "30"})
        patient.body(BODY)
        await until(lambda: waiting(bench) == 4)
        held.free.set()
        assert [await e.status() for e in (*inside, patient)] == [200] * 5

    async def test_requests_of_the_whole_gateway_have_a_limit(self, bench: Bench) -> None:
        bench.serve()
        bench.open()
        bench.gateway.inflight_limits.max_requests = 2
        slow = [Exchange(bench.app) for _ in range(2)]
        await settle()
        late = Exchange(bench.app)
        assert await late.status() == 429
        assert refused(bench, "requests") == 1
        slow[0].leave()
        assert await slow[0].status() is None
        slow[1].body(BODY)
        assert await slow[1].status() == 200
        assert repr(bench.gateway.inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"


class TestBytes:
    async def test_a_body_that_does_not_fit_beside_the_others_is_refused(self, bench: Bench) -> None:
        bench.serve()
        bench.open()
        bench.gateway.inflight_limits = InflightLimits(max_bytes=1000)
        one = Exchange(bench.app)
        one.body(BODY + b" " * 900, more=True)
        await settle()
        declared = Exchange(bench.app, headers={"content-length": "200"})
        assert await declared.status() == 429
        assert declared.received == 0
        creeping = Exchange(bench.app)
        creeping.body(b" " * 50, more=True)
        creeping.body(b" " * 500)
        assert await creeping.status() == 429
        assert (refused(bench, "bytes"), refused(bench, "bytes", model="", version="")) == (1, 1)
        one.body(b" " * 2000)  # alone, it may be larger than all may be together
        assert await one.status() == 200
        assert repr(bench.gateway.inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"

    async def test_unpacked_bytes_count_towards_the_limit(self, bench: Bench) -> None:
        import gzip

        bench.serve()
        bench.open()
        bench.gateway.inflight_limits = InflightLimits(max_bytes=1000)
        one = Exchange(bench.app)
        one.body(b" ", more=True)
        packed = Exchange(bench.app, headers={"content-encoding": "gzip"})
        packed.body(gzip.compress(BODY + b" " * 3000))
        assert await packed.status() == 429
        one.leave()
        assert await one.status() is None
        again = Exchange(bench.app, headers={"content-encoding": "gzip"})
        again.body(gzip.compress(BODY + b" " * 3000))
        assert await again.status() == 200


class TestDeadlines:
    async def test_a_deadline_that_passes_frees_its_rows_at_once(self, bench: Bench) -> None:
        bench.serve("m", held := Held(), max_queue_rows=1)
        async with bench.open() as http:
            working = asyncio.create_task(http.post("/invocations", json=ROWS))
            await until(lambda: held.calls)
            late = asyncio.create_task(http.post("/invocations", json=ROWS, headers={"x-request-timeout": "0.1"}))
            await until(lambda: waiting(bench) == 1)
            assert (await http.post("/invocations", json=ROWS)).status_code == 429
            assert (await late).status_code == 504
            assert waiting(bench) == 0
            next_one = asyncio.create_task(http.post("/invocations", json=ROWS))
            await until(lambda: waiting(bench) == 1)
            held.free.set()
            assert [(await t).status_code for t in (working, next_one)] == [200, 200]
        assert len(held.calls) == 2

    async def test_a_deadline_that_passes_within_the_body_is_a_408(self, bench: Bench) -> None:
        bench.serve()
        bench.open()
        for first in (b"", b"{"):
            slow = Exchange(bench.app, headers={"x-request-timeout": "0.05", "content-length": "30"})
            if first:
                slow.body(first, more=True)
            assert await slow.status() == 408
        assert bench.count("client_error", model="", version="") == 2
        assert repr(bench.gateway.inflight_limits) == "<InflightLimits 0 requests, 0 bytes>"

    async def test_a_deadline_counts_from_the_headers(self, bench: Bench) -> None:
        bench.serve("m", held := Held())
        bench.open()
        slow = Exchange(bench.app, headers={"x-request-timeout": "1"})
        slow.body(BODY[:5], more=True)
        await asyncio.sleep(0.7)
        slow.body(BODY[5:])
        whole = time.monotonic()
        assert await slow.status() == 504
        assert time.monotonic() - whole < 1, "it counts from the last byte"
        held.free.set()


class TestDepartures:
    async def test_a_client_that_leaves_the_queue_frees_its_rows(self, bench: Bench) -> None:
        bench.serve("m", held := Held(), max_queue_rows=1)
        bench.open()
        working, gone = await fill(bench, held, 1)
        assert await Exchange(bench.app).status() == 429
        gone.leave()
        assert await gone.status() is None
        assert waiting(bench) == 0
        heir = Exchange(bench.app)
        heir.body(BODY)
        await until(lambda: waiting(bench) == 1)
        held.free.set()
        assert (await working.status(), await heir.status()) == (200, 200)

    async def test_a_client_that_leaves_frees_all_parts_of_its_request(self, bench: Bench) -> None:
        bench.serve("m", held := Held(), max_rows=2)
        bench.open()
        (working,) = await fill(bench, held, 0)
        large = Exchange(bench.app)
        large.body(json.dumps({"inputs": [[1, 2, 3]] * 9}).encode())
        await until(lambda: waiting(bench) == 9)
        large.leave()
        assert await large.status() is None
        assert waiting(bench) == 0
        held.free.set()
        assert await working.status() == 200
        assert len(held.calls) == 1


SLOW = """
import time


def predict(inputs, params):
    time.sleep(0.02)
    return [row[0] for row in inputs.values.tolist()]
"""
HELD = """
import os, time


def predict(inputs, params):
    open({started!r}, "a").close()
    deadline = time.monotonic() + 20
    while not os.path.exists({release!r}) and time.monotonic() < deadline:
        time.sleep(0.005)
    return [row[0] for row in inputs.values.tolist()]
"""
ASK = {"dataframe_split": {"columns": ["a"], "data": [[7.0]]}}


@pytest.fixture
def slow_server(launch: Launch, tmp_path: Path) -> ServerProcess:
    """A model that takes 20 ms a request, one at a time: 50 a second, and ten may wait."""
    import pandas as pd

    from penstock.package.save import save_model

    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    package = save_model(tmp_path / "slow.py", tmp_path / "slow", example=pd.DataFrame({"a": [1.0, 2.0]})).path
    return launch(package, "--trust-code", "--concurrency", 1, "--max-queue-rows", 10).wait_ready()


async def metric(server: ServerProcess, name: str, **labels: str) -> float:
    async with httpx.AsyncClient(base_url=server.url) as client:
        return samples((await client.get("/metrics")).text, name, **labels)


class TestProcess:
    async def test_at_twice_its_capacity_good_work_goes_on_and_the_rest_is_refused_at_once(
        self, slow_server: ServerProcess
    ) -> None:
        """Good work goes on, the rest hears 429 at once, on connections that live on; memory stays what it is."""
        seconds, rate = 4.0, 100
        answers: list[tuple[int, float]] = []
        free = [await Connection.open(slow_server.address) for _ in range(100)]
        for _ in range(20):
            await free[0].post(ASK)
        before = slow_server.resident_bytes()

        async def ask(due: float) -> None:
            connection = free.pop()
            status, headers, _ = await connection.post(ASK)
            answers.append((status, time.perf_counter() - due))
            if status == 429:
                assert 1 <= int(headers["retry-after"]) <= 2
            assert "connection" not in headers
            free.append(connection)

        async with asyncio.TaskGroup() as tasks:
            start = time.perf_counter()
            for number in range(int(seconds * rate)):
                due = start + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(ask(due))
        good = sorted(t for s, t in answers if s == 200)
        bad = sorted(t for s, t in answers if s == 429)
        assert len(good) + len(bad) == len(answers) == seconds * rate
        assert len(good) >= 0.5 * seconds * 50, "goodput fell"
        assert bad, "nobody was refused"
        assert bad[len(bad) // 2] < good[len(good) // 2], "a refusal should not take as long as an answer"
        assert good[-1] < 2.0, "those let in wait for no more than the queue holds"
        assert slow_server.resident_bytes() - before < 50e6
        assert await metric(slow_server, "penstock_overloaded_total", limit="rows") == len(bad)
        assert await metric(slow_server, "penstock_open_requests") == 0
        for connection in free:
            await connection.close()

    async def test_clients_that_leave_free_their_places(self, slow_server: ServerProcess) -> None:
        clients = [await Connection.open(slow_server.address) for _ in range(40)]
        asking = [asyncio.create_task(c.post(ASK)) for c in clients]
        async with asyncio.timeout(30):
            while await metric(slow_server, "penstock_queue_rows") < 5:
                pass
        for task in asking:
            task.cancel()
        for connection in clients:
            connection.writer.transport.abort()
        async with asyncio.timeout(30):
            while await metric(slow_server, "penstock_open_requests"):
                pass
        assert await metric(slow_server, "penstock_queue_rows") == 0
        connection = await Connection.open(slow_server.address)
        assert (await connection.post(ASK))[0] == 200
        await connection.close()
        assert "Traceback" not in slow_server.stderr

    async def test_a_deadline_is_answered_in_time(self, launch: Launch, tmp_path: Path) -> None:
        import pandas as pd

        from penstock.package.save import save_model

        started, release = tmp_path / "started", tmp_path / "release"
        release.touch()
        (tmp_path / "slow.py").write_text(HELD.format(started=str(started), release=str(release)), encoding="utf-8")
        package = save_model(tmp_path / "slow.py", tmp_path / "slow", example=pd.DataFrame({"a": [1.0]})).path
        server = launch(package, "--trust-code", "--concurrency", 1).wait_ready()
        release.unlink()
        started.unlink()
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            working = asyncio.create_task(client.post("/invocations", json=ASK))
            await until(started.exists)
            began = time.monotonic()
            late = await client.post("/invocations", json=ASK, headers={"x-request-timeout": "0.2"})
            assert late.status_code == 504  # while the model is still busy with the other
            assert 0.2 <= time.monotonic() - began < 5
            assert await metric(server, "penstock_queue_rows") == 0
            release.touch()
            assert (await working).status_code == 200
        assert await metric(server, "penstock_rows_total") == 1, "late work reached the model"

    async def test_a_client_that_still_sends_sees_its_refusal(self, slow_server: ServerProcess) -> None:
        """A body larger than the socket's buffers: the answer arrives, not a reset."""
        clients = [await Connection.open(slow_server.address) for _ in range(40)]
        asking = [asyncio.create_task(c.post(ASK)) for c in clients]
        seen = set()
        async with httpx.AsyncClient(base_url=slow_server.url, timeout=30) as client:
            while not all(t.done() for t in asking):
                answer = await client.post("/invocations", content=b" " * 8_000_000)
                seen.add(answer.status_code)
                if answer.status_code == 429:
                    assert answer.headers["connection"] == "close"
                    break
        assert seen <= {400, 429}
        await asyncio.gather(*asking)
        for connection in clients:
            await connection.close()
