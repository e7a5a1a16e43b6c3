"""A server whose settings file changes: SIGHUP and saving it add, change and remove models, and nobody's request is
lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx

from server.conftest import Connection, Launch, ServerProcess, samples
from server.worker_processes import ready_of

ROWS = {"inputs": [[1.0, 2.0, 3.0]]}


class Load:
    """Clients of one model who ask again and again; every answer must be the right one."""

    def __init__(self, server: ServerProcess, model: str, clients: int = 2) -> None:
        self.server, self.path = server, f"/models/{model}/invocations"
        self.stopping, self.answered = False, 0
        self.tasks = [asyncio.create_task(self._client()) for _ in range(clients)]

    async def _client(self) -> None:
        connection = await Connection.open(self.server.address)
        while not self.stopping:
            status, _, answer = await connection.post(ROWS, path=self.path)
            assert (status, answer) == (200, {"predictions": {"y": [[1.0, 2.0, 3.0]]}}), (status, answer)
            self.answered += 1
            await asyncio.sleep(0.005)  # two servers' work for their own sake is no part of the proof
        await connection.close()

    async def stop(self) -> None:
        self.stopping = True
        await asyncio.gather(*self.tasks)


class Map:
    """A file that changes as a ConfigMap does: another directory takes the place of the one that its link leads to."""

    def __init__(self, place: Path) -> None:
        self.place, self.path, self.version = place, place / "penstock.toml", 0
        place.mkdir()

    def put(self, **models: dict[str, Any]) -> None:
        self.version += 1
        directory = self.place / f"..{self.version}"
        directory.mkdir()
        tables = (
            f"[models.{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
            for name, table in models.items()
        )
        (directory / "penstock.toml").write_text("\n".join(tables))
        (self.place / "..data_tmp").symlink_to(directory.name)
        os.rename(self.place / "..data_tmp", self.place / "..data")
        if not self.path.is_symlink():
            self.path.symlink_to("..data/penstock.toml")


async def eventually(server: ServerProcess, path: str, condition: Any) -> Any:
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient(base_url=server.url) as client:
        while not condition(answer := await client.get(path)):
            assert time.monotonic() < deadline, (answer.text, server.stderr)
            await asyncio.sleep(0.02)
    return answer


async def test_models_change_with_the_settings_file_and_no_request_is_lost(
    launch: Launch, tmp_path: Path, identity_onnx_package: Path
) -> None:
    await change_models(launch, tmp_path, identity_onnx_package)


async def change_models(launch: Launch, tmp_path: Path, package: Path, workers: int = 1) -> ServerProcess:
    """Serves from a file that changes, under load, and leaves a server with the models `a` and `late`, which cannot be
    loaded."""
    file = Map(tmp_path / "conf")
    (tmp_path / "conf" / "package").symlink_to(package)
    model = {"model": "./package"}
    file.put(a=model, old=model)
    server = launch("--config", file.path, "--workers", workers).wait_ready()
    load = Load(server, "a")
    file.put(a={**model, "max_queue_rows": 7}, new=model)  # found by itself, within two seconds
    await eventually(
        server, "/models/new", lambda answer: answer.status_code == 200 and answer.json()["in_every_worker"]
    )
    await eventually(server, "/models/old", lambda answer: answer.status_code == 404)

    def queues(answer: httpx.Response) -> bool:
        return samples(answer.text, "penstock_queue_limit_rows", model="a") == 7 * workers

    await eventually(server, "/metrics", queues)
    file.put(a={**model, "max_queue_rows": 9, "nonsense": 1})
    server.signal(signal.SIGHUP)  # which does not wait, and changes nothing here
    refused = "penstock_config_refused"
    await eventually(server, "/metrics", lambda answer: samples(answer.text, refused) == 1)
    file.put(a={**model, "max_queue_rows": 9}, late={"model": "./not-there"})
    server.signal(signal.SIGHUP)
    await eventually(server, "/models/late", lambda answer: answer.status_code == 200 and answer.json()["failure"])
    assert (await ready_of(server))["ready"]
    await load.stop()
    assert load.answered > 50
    assert server.stderr.count("cannot be used and changes nothing") == 1
    assert "Traceback" not in server.stderr
    return server
