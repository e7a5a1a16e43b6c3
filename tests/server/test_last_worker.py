"""A body that kills workers: where none is left, one is back within the time of a start, however often that was."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from server.conftest import Launch
from server.worker_processes import alive, all_serve, workers_of
from serving.fakes import until


@pytest.mark.services
async def test_when_all_workers_are_killed_again_and_again_one_is_back_at_once(
    launch: Launch, identity_onnx_package: Path
) -> None:
    began = time.monotonic()
    server = launch(identity_onnx_package, "-w", 2).wait_ready()
    one_start = time.monotonic() - began  # of the supervisor and its workers: more than a worker's alone
    waited = 0.0
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for _ in range(4):  # by the fourth time, a crash loop would be waited out for some seconds
            victims = workers_of(server)
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
            await until(lambda victims=victims: not any(map(alive, victims)), seconds=30)  # type: ignore[misc]
            began = time.monotonic()
            answer = await client.post("/invocations", json={"inputs": [[1, 2, 3]]}, headers={"connection": "close"})
            assert answer.status_code == 200
            waited = time.monotonic() - began
    assert waited < 2 * one_start, "the fourth time, a crash loop would have been waited out for some four seconds"
    await all_serve(server)
