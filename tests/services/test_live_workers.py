"""Several workers follow one settings file together; a worker that starts again has the models of now."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from server import conftest
from server.conftest import Launch
from server.test_live_models import change_models, eventually
from server.worker_processes import all_serve, ready_of, workers_of

pytestmark = pytest.mark.services

launch = conftest.launch  # the fixture


async def test_all_workers_follow_the_settings_file_together(
    launch: Launch, tmp_path: Path, identity_onnx_package: Path
) -> None:
    server = await change_models(launch, tmp_path, identity_onnx_package, workers=2)
    worker = workers_of(server)[0]
    os.kill(worker, signal.SIGHUP)  # from a terminal it comes to workers, too, and is none of their business
    os.kill(worker, signal.SIGKILL)
    await eventually(server, "/readyz", lambda answer: answer.json()["workers"]["serving"] == 1)
    await all_serve(server)
    for _ in range(8):
        listed = await eventually(server, "/models", lambda answer: True)
        assert [(m["name"], m["ready"]) for m in listed.json()["models"]] == [("a", True), ("late", False)]
    assert (await ready_of(server))["ready"]
    assert "Traceback" not in server.stderr
