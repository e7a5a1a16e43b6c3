"""Access log and traces of real processes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from server.conftest import Connection, Launch, ServerProcess
from serving.fakes import until
from support.request_events import TRACE
from support.trace_collector import Collector

BODY = {"inputs": [[1.0, 2.0, 3.0]]}


def lines(server: ServerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.stderr.splitlines() if line.startswith("{")]


def has_lines(server: ServerProcess, count: int) -> bool:
    return len(lines(server)) == count


async def test_two_workers_log_and_trace_every_request(launch: Launch, identity_onnx_package: Path) -> None:
    with Collector().running() as collector:
        server = launch(
            identity_onnx_package, "--workers", 2, "--access-log", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="100",
        ).wait_ready()  # fmt: skip
        answered = 0
        while len({line["worker"] for line in lines(server)}) < 2:  # connections are spread by chance
            connection = await Connection.open(server.address)
            name = connection.writer.get_extra_info("sockname")
            status, headers, _ = await connection.post(BODY)
            assert status == 200
            await connection.close()
            answered += 1
            await until(partial(has_lines, server, answered), seconds=30)
            line = lines(server)[-1]
            assert line["request_id"] == headers["x-request-id"]
            assert line["client"] == f"{name[0]}:{name[1]}"
            assert (line["status"], line["outcome"], line["rows"]) == (200, "ok", 1)
            assert min(line["decode_seconds"], line["predict_seconds"], line["encode_seconds"]) > 0
            assert line["received_bytes"] == len(json.dumps(BODY))
            assert line["sent_bytes"] == int(headers["content-length"])
        connection = await Connection.open(server.address)
        body = b'{"inputs": [[1, 2]]}'
        connection.writer.write(
            b"POST /invocations HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ntraceparent: %b\r\n"
            b"content-length: %d\r\n\r\n%b" % (TRACE.encode(), len(body), body)
        )
        assert (await connection.answer())[0] == 400
        await connection.close()
        server.stop()  # which delivers what is left
        spans = [span for span in collector.spans if span.name == "POST invocations"]
    last = lines(server)[-1]
    assert (last["status"], last["outcome"], last["trace_id"]) == (400, "client_error", TRACE.split("-")[1])
    assert last["model"] == "identity"
    assert len(spans) == answered + 1
    assert len({span.resource["service.name"] for span in spans}) == 1
    assert {s.attributes["penstock.request_id"] for s in spans} == {line["request_id"] for line in lines(server)}
    assert [s.parent for s in spans if s.trace == last["trace_id"]] == [TRACE.split("-")[2]]


async def test_without_access_log_and_tracing_nothing_is_logged(launch: Launch, identity_onnx_package: Path) -> None:
    server = launch(identity_onnx_package).wait_ready()
    connection = await Connection.open(server.address)
    assert (await connection.post(BODY))[0] == 200
    await connection.close()
    server.stop()
    assert lines(server) == []
