"""A worker process that hangs is noticed, and another one takes its place."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx

from server.conftest import Launch, samples
from server.test_swap import metrics_of
from server.test_workers import alive, all_serve, workers_of
from serving.fakes import until


async def test_a_worker_that_hangs_is_noticed_and_replaced(launch: Launch, identity_onnx_package: Path) -> None:
    server = launch(identity_onnx_package, "-w", 2, "--worker-timeout", "3").wait_ready()
    victim, other = workers_of(server)
    os.kill(victim, signal.SIGSTOP)
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        while "gives no sign of life, and is killed." not in server.stderr:  # meanwhile the other one answers
            answer = await client.post("/invocations", json={"inputs": [[1, 2, 3]]}, headers={"connection": "close"})
            assert answer.status_code == 200
            assert alive(victim) or "no sign of life" in server.stderr
    await until(lambda: not alive(victim), seconds=30)
    await all_serve(server)
    assert other in workers_of(server)
    assert victim not in workers_of(server)
    assert server.stderr.count("no sign of life") == 1
    assert samples(await metrics_of(server), "penstock_worker_restarts_total") == 1
