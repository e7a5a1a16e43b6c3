"""The acceptance test of batching: many clients at once, every caller gets exactly its own rows, and they shared."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import httpx
import numpy as np

from penstock.package.save import save_model
from server.conftest import Connection, Launch, samples

CLIENTS = 200
REQUESTS = 10
SIZES = (1, 1, 1, 2, 3, 5, 17, 60)


def wide_identity(width: int) -> object:
    """An ONNX graph that answers its input, through enough work that requests meet while it runs."""
    from onnx import TensorProto, helper, numpy_helper

    there = np.eye(width, dtype=np.float64)[::-1].copy()
    nodes, name = [], "x"
    for step in range(40):  # turns the columns round an even number of times, which loses nothing
        following = "y" if step == 39 else f"h{step}"
        nodes.append(helper.make_node("MatMul", [name, "turn"], [following]))
        name = following
    graph = helper.make_graph(
        nodes,
        "identity",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["rows", width])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["rows", width])],
        [numpy_helper.from_array(there, "turn")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


async def client(number: int, address: tuple[str, int], start: asyncio.Event) -> int:
    """Asks with rows that nobody else sends, and compares every cell. Returns how many answers it checked."""
    draw = random.Random(number)
    connection = await Connection.open(address)
    await start.wait()
    for turn in range(REQUESTS):
        rows = draw.choice(SIZES)
        first = number * 1e6 + turn * 1e3
        sent = [[first + i + column / 16 for column in range(16)] for i in range(rows)]
        status, headers, answer = await connection.post({"inputs": sent})
        assert status == 200, answer
        assert answer == {"predictions": {"y": sent}}, f"client {number} got rows that are not its own"
        assert headers["x-model-name"] == "echo"
    await connection.close()
    return REQUESTS


async def test_every_one_of_200_clients_gets_its_own_rows_and_most_share_batches(
    launch: Launch, tmp_path: Path
) -> None:
    example = np.arange(48, dtype=np.float64).reshape(3, 16)
    package = save_model(wide_identity(16), tmp_path / "echo", example=example).path
    server = launch(package, "--max-rows", "256").wait_ready()
    start = asyncio.Event()
    tasks = [asyncio.create_task(client(n, server.address, start)) for n in range(CLIENTS)]
    start.set()
    answered = sum(await asyncio.gather(*tasks))
    assert answered == CLIENTS * REQUESTS
    async with httpx.AsyncClient(base_url=server.url) as asking:
        metrics = (await asking.get("/metrics")).text
    assert samples(metrics, "penstock_requests_total", model="echo", outcome="ok") == answered
    assert samples(metrics, "penstock_requests_total") == answered
    batches = samples(metrics, "penstock_batches_total", model="echo")
    assert samples(metrics, "penstock_batches_total", reason="alone") == 0, "rows were not joined"
    # Each batch has one request that would have been alone: the others shared with it.
    shared = answered - batches
    print(f"\n{answered} requests in {batches:.0f} batches")  # noqa: T201
    assert shared >= answered / 2
    assert samples(metrics, "penstock_queue_rows", model="echo") == 0
    assert samples(metrics, "penstock_in_flight_requests", model="echo") == 0
