"""Several worker processes under one supervisor: swaps, deaths, restarts, numbers, signals."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from penstock.machine.cores import usable_cores
from penstock.package.save import save_model
from penstock.registry import Registry
from server import test_swap
from server.conftest import Connection, Launch, ServerProcess, samples
from server.test_swap import Load, metrics_of
from serving.fakes import until

registry = test_swap.registry  # the fixture


def workers_of(server: ServerProcess) -> list[int]:
    """The process numbers of the workers, by their age."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(child) for child in children if b"penstock.cli.worker" in command_of(int(child))]


def command_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def alive(process: int) -> bool:
    """Whether it runs: neither gone nor a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sockets_of(process: int) -> int:
    links = [os.readlink(f"/proc/{process}/fd/{file}") for file in os.listdir(f"/proc/{process}/fd")]
    return sum(link.startswith("socket:") for link in links)


def moves(server: ServerProcess, worker: int, version: str) -> int:
    """How often this worker has begun to serve this version."""
    return len(re.findall(rf"\[worker {worker}\] moving: now serving version {version} \(\w+\)", server.stderr))


def all_moved(server: ServerProcess, version: str, times: int) -> bool:
    return all(moves(server, worker, version) == times for worker in (1, 2))


async def ready_of(server: ServerProcess) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer: dict[str, Any] = (await client.get("/readyz")).json()
        return answer


async def all_serve(server: ServerProcess, workers: int = 2) -> None:
    deadline = time.monotonic() + 30
    while (await ready_of(server))["workers"] != {"serving": workers, "wanted": workers}:
        assert time.monotonic() < deadline, server.stderr
        await asyncio.sleep(0.02)


async def test_versions_move_in_all_workers_at_once_without_a_failed_request(
    launch: Launch,
    registry: Registry,
    tmp_path: Path,
) -> None:
    server = launch("moving", "--registry", tmp_path / "registry", "--poll-interval", "0.1", "-w", 2).wait_ready()
    assert len(workers_of(server)) == 2
    load = Load(server, clients=8)
    settled: list[tuple[float, float, str]] = []  # from when until when only this version may have answered
    await load.until_answered_by("1")
    for number in range(4):
        after = "2" if number % 2 == 0 else "1"
        if number % 2 == 0:
            await asyncio.to_thread(registry.promote, "moving", "2", by="test")
        else:
            await asyncio.to_thread(registry.rollback, "moving", by="test")
        times = number // 2 + 1 + (after == "1")
        await until(partial(all_moved, server, after, times), seconds=30)
        since = time.monotonic()
        await load.until_answered_by(after)
        settled.append((since, time.monotonic(), after))
    registry.promote("moving", "3", by="test")  # which fails its example
    await until(lambda: "version 3 cannot be served" in server.stderr, seconds=30)
    await load.until_answered_by("1")
    await load.stop()
    assert load.answered > 100
    for begin, end, version in settled:
        assert {v for sent, received, v in load.seen if sent > begin and received < end} == {version}
    metrics = await metrics_of(server)
    assert samples(metrics, "penstock_requests_total", outcome="ok") == load.answered
    assert samples(metrics, "penstock_requests_total") == load.answered
    assert samples(metrics, "penstock_request_seconds_count", model="moving") == load.answered
    assert samples(metrics, "penstock_loads_total", model="moving", outcome="ok") == 2
    failed = samples(metrics, "penstock_loads_total", model="moving", outcome="failed")
    assert failed >= 1
    assert samples(metrics, "penstock_swaps_total", model="moving", kind="revert") == 3
    assert samples(metrics, "penstock_model_info", version="1", state="current", alias="production") == 1
    assert samples(metrics, "penstock_swap_failing", model="moving") == 1
    assert (
        samples(metrics, "penstock_swap_seconds_count", model="moving") == samples(metrics, "penstock_swaps_total") - 1
    )
    steps = "penstock_load_stage_seconds_count"
    fetches = samples(metrics, steps, stage="fetch", outcome="ok")
    assert failed <= fetches - 2 <= failed + 1  # once a load, by the supervisor, for all; one may be under way
    assert samples(metrics, steps, stage="load", outcome="ok") >= 5  # versions 1 and 2 in both, 3 in one at least
    assert samples(metrics, steps, stage="prove", outcome="ok") == 4
    assert samples(metrics, steps, stage="prove", outcome="failed") >= 1
    assert samples(metrics, "penstock_event_loop_lag_seconds_count") > 4
    assert samples(metrics, "penstock_build_info") == 1
    assert samples(metrics, "penstock_ready") == 1
    assert samples(metrics, "penstock_workers", state="serving") == 2
    for who in ("1", "2", "supervisor"):
        assert samples(metrics, "process_cpu_seconds_total", worker=who) > 0
    async with httpx.AsyncClient(base_url=server.url) as client:
        for _ in range(4):  # whoever answers
            shown = (await client.get("/models/moving", headers={"connection": "close"})).json()
            assert [v["version"] for v in shown["versions"]] == ["1", "2"]
    assert "Traceback" not in server.stderr


async def test_a_worker_killed_under_load_loses_its_own_requests_and_comes_back(
    launch: Launch,
    registry: Registry,
    tmp_path: Path,
) -> None:
    server = launch("moving", "--registry", tmp_path / "registry", "--poll-interval", "0.1", "-w", 2).wait_ready()
    registry.promote("moving", "2", by="test")
    await until(lambda: all(moves(server, n, "2") for n in (1, 2)), seconds=30)

    answered, broken, stopping = 0, 0, False

    async def client() -> None:
        nonlocal answered, broken
        while not stopping:
            connection = await Connection.open(server.address)  # always: somebody takes it
            try:
                while not stopping:
                    status, headers, _ = await connection.post({"inputs": [[1, 2]]})
                    assert (status, headers["x-model-version"]) == (200, "2")
                    answered += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                broken += 1
            finally:
                connection.writer.close()

    clients = [asyncio.create_task(client()) for _ in range(8)]
    await until(lambda: answered > 100, seconds=30)
    before = await metrics_of(server)
    victim, other = workers_of(server)
    os.kill(victim, signal.SIGKILL)
    await until(lambda: "was killed by signal 9 (SIGKILL); restarting it at once" in server.stderr, seconds=30)
    await all_serve(server)
    assert 1 <= broken <= 8  # those that it held, once each
    assert other in workers_of(server)
    assert victim not in workers_of(server)
    since = answered
    await until(lambda: answered > since + 100, seconds=30)
    stopping = True
    await asyncio.gather(*clients)
    after = await metrics_of(server)
    for name in ("penstock_requests_total", "penstock_rows_total", "penstock_request_seconds_count"):
        assert samples(after, name) > samples(before, name) > 0
    for name in ("penstock_requests_total", "process_cpu_seconds_total"):
        for line in re.findall(rf"^{name}(\{{.*\}}) (\S+)$", before, re.MULTILINE):
            same = re.search(rf"^{name}{re.escape(line[0])} (\S+)$", after, re.MULTILINE)
            assert same, line
            assert float(same[1]) >= float(line[1])
    assert samples(after, "penstock_worker_restarts_total") == 1
    async with httpx.AsyncClient(base_url=server.url) as asking:
        for _ in range(6):  # the one that came back has the version kept warm too
            kept = await asking.post(
                "/models/moving/versions/1/invocations", json={"inputs": [[1, 2]]}, headers={"connection": "close"}
            )
            assert kept.status_code == 200


async def test_clients_wait_while_all_workers_restart_and_counts_stay_exact(
    launch: Launch, identity_onnx_package: Path
) -> None:
    """A worker that is asked to go says its last numbers; connections that nobody takes wait for those that come."""
    server = launch(identity_onnx_package, "-w", 2).wait_ready()
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:

        async def ask(times: int) -> None:
            for _ in range(times):
                headers = {"connection": "close"}
                answer = await client.post("/invocations", json={"inputs": [[1, 2, 3]]}, headers=headers)
                assert answer.status_code == 200

        await ask(20)
        victims = workers_of(server)
        for victim in victims:
            os.kill(victim, signal.SIGTERM)
        await until(lambda: not any(map(alive, victims)), seconds=30)
        await ask(10)
    await all_serve(server)
    metrics = await metrics_of(server)
    assert samples(metrics, "penstock_requests_total", outcome="ok") == 30
    assert samples(metrics, "penstock_worker_restarts_total") == 2
    assert samples(metrics, "penstock_model_info") == 1


CRASHING_MODEL = """
import os
import signal


def predict(inputs, params):
    if os.path.exists({crash!r}):
        os.kill(os.getpid(), signal.SIGKILL)
    return inputs
"""

SLOW_MODEL = """
import os
import time


def predict(inputs, params):
    open({started!r}, "a").close()
    deadline = time.monotonic() + 20
    while not os.path.exists({release!r}) and time.monotonic() < deadline:
        time.sleep(0.005)
    return inputs
"""


def python_model(source: str, place: Path) -> Path:
    """A package that runs this code on arrays (-1, 2)."""
    file = place / "model.py"
    file.write_text(source, encoding="utf-8")
    return save_model(file, place / "made", example=np.array([[1.0, 2.0], [3.0, 4.0]])).path


async def test_a_crash_loop_is_slowed_down_and_ends_when_its_cause_does(launch: Launch, tmp_path: Path) -> None:
    crash = tmp_path / "crash"
    package = python_model(CRASHING_MODEL.format(crash=str(crash)), tmp_path)
    server = launch(package, "--trust-code", "-w", 2).wait_ready()
    crash.touch()
    os.kill(workers_of(server)[0], signal.SIGKILL)  # its successor proves the example, which kills it
    await until(lambda: "crash 2 in a row; restarting it in " in server.stderr, seconds=30)
    assert await ready_of(server) == {  # the other one serves
        "ready": True, "state": "ready", "waiting_for": [], "workers": {"serving": 1, "wanted": 2},
    }  # fmt: skip
    metrics = await metrics_of(server)
    assert samples(metrics, "penstock_workers", state="serving") == 1
    assert (
        samples(metrics, "penstock_workers", state="waiting") + samples(metrics, "penstock_workers", state="starting")
        == 1
    )
    delays = [float(d) for d in re.findall(r"restarting it in ([\d.]+) s", server.stderr)]
    assert 0.5 <= delays[0] <= 1
    crash.unlink()
    await all_serve(server)
    assert "All 2 workers serve." in server.stderr


class TestTheStart:
    def refused(self, launch: Launch, *arguments: object, code: int = 1) -> str:
        server = launch(*arguments, "-w", 2)
        assert server.wait_exit(60) == code, server.stderr
        assert "Traceback" not in server.stderr
        errors = [line for line in server.stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, server.stderr
        assert "restarting" not in server.stderr
        return errors[0]

    def test_a_package_that_cannot_be_loaded_ends_the_start(
        self, launch: Launch, iris_onnx_package: Path, copied: Callable[[Path], Path]
    ) -> None:
        package = copied(iris_onnx_package)
        (package / "SHA256SUMS").unlink()
        (package / "model.onnx").write_bytes((package / "model.onnx").read_bytes()[:500])
        assert "model.onnx is damaged or not an ONNX model" in self.refused(launch, package)

    def test_a_package_that_kills_its_process_ends_the_start(self, launch: Launch, tmp_path: Path) -> None:
        crash = tmp_path / "crash"
        package = python_model(CRASHING_MODEL.format(crash=str(crash)), tmp_path)
        crash.touch()
        said = self.refused(launch, package, "--trust-code", "--isolation", "none")
        assert re.search(
            r"Worker \d was killed by signal 9 \(SIGKILL\) while it loaded version [0-9a-f]{12} of made", said
        )

    def test_workers_serve_several_models_with_settings_of_their_own(
        self,
        launch: Launch,
        identity_onnx_package: Path,
        python_package: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The workers serve with what the supervisor was given, the token included, which no command line shows."""
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        (tmp_path / "models.toml").write_text(
            f"""default_model = "b"
            [models.a]
            model = "{identity_onnx_package}"
            max_queue_rows = 100
            [models.b]
            model = "{python_package}"
            trust_code = true
            """
        )
        server = launch(
            "--workers", 2, "--log-format", "json", PENSTOCK_CONFIG="models.toml", PENSTOCK_API_TOKEN="s3cret",
            MKL_NUM_THREADS="7",
        ).wait_ready()  # fmt: skip
        for worker in workers_of(server):
            assert b"s3cret" not in command_of(worker)
            environment = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
            share = max(1, usable_cores() // 2)
            assert f"OMP_NUM_THREADS={share}".encode() in environment
            assert b"MKL_NUM_THREADS=7" in environment
        body = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 2.0]]}}
        with httpx.Client(base_url=server.url) as client:
            assert client.post("/invocations", json=body).status_code == 401
            client.headers["authorization"] = "Bearer s3cret"
            assert client.post("/invocations", json=body).json() == {"predictions": [6.0]}
            assert client.post("/models/a/invocations", json={"inputs": [[1, 2, 3]]}).status_code == 200
            metrics = client.get("/metrics").text
        assert samples(metrics, "penstock_queue_limit_rows", model="a") == 2 * 100
        assert samples(metrics, "penstock_queue_limit_rows", model="b") == 2 * 65_536
        assert '"worker": 1' in server.stderr
        assert "s3cret" not in server.stderr


class TestTheEnd:
    async def test_kept_connections_are_shared_and_without_the_supervisor_nobody_stays(
        self, launch: Launch, identity_onnx_package: Path
    ) -> None:
        server = launch(identity_onnx_package, "-w", 2).wait_ready()
        workers = workers_of(server)
        for _ in range(10):  # a worker that gets no processor at that moment is not waited for
            connections = await asyncio.gather(*(Connection.open(server.address) for _ in range(16)))
            for connection in connections:
                assert (await connection.post({"inputs": [[1, 2, 3]]}))[0] == 200
            one, other = map(sockets_of, workers)
            if abs(one - other) <= 2:
                break
            for connection in connections:
                await connection.close()
        assert abs(one - other) <= 2
        server.process.kill()
        server.process.wait(10)
        await until(lambda: not any(map(alive, workers)), seconds=30)
        for connection in connections:
            await connection.close()
        with pytest.raises(ConnectionRefusedError):
            await Connection.open(server.address)

    async def test_sigterm_finishes_what_is_in_flight_in_all_workers(self, launch: Launch, tmp_path: Path) -> None:
        """As one process does: not ready at once, what is in flight is finished, new requests are still answered."""
        (tmp_path / "release").touch()
        paths = {"started": str(tmp_path / "started"), "release": str(tmp_path / "release")}
        package = python_model(SLOW_MODEL.format(**paths), tmp_path)
        server = launch(package, "--trust-code", "--drain-delay", "1.5", "-w", 2).wait_ready()
        (tmp_path / "release").unlink()
        (tmp_path / "started").unlink()
        ask = {"inputs": [[7.0, 8.0]]}
        one, other = [await Connection.open(server.address) for _ in range(2)]
        asked = [asyncio.create_task(connection.post(ask)) for connection in (one, other)]
        await until((tmp_path / "started").exists)
        server.signal(signal.SIGTERM)
        signalled = time.monotonic()
        while (await ready_of(server))["state"] != "draining":
            assert time.monotonic() - signalled < 1.4, "still ready a second after SIGTERM"
        late = await Connection.open(server.address)
        asked.append(asyncio.create_task(late.post(ask)))
        (tmp_path / "release").touch()
        for status, _, answer in await asyncio.gather(*asked):
            assert (status, answer) == (200, {"predictions": [[7.0, 8.0]]})
        assert asked[-1].result()[1]["connection"] == "close"
        for connection in (one, other, late):
            await connection.close()
        assert await asyncio.to_thread(server.wait_exit) == 0
        assert time.monotonic() - signalled >= 1.4
        assert "restarting" not in server.stderr
        assert "Traceback" not in server.stderr

    def test_an_interrupt_of_the_whole_terminal_ends_it_without_the_delay(
        self, launch: Launch, identity_onnx_package: Path
    ) -> None:
        server = launch(identity_onnx_package, "--drain-delay", "60", "-w", 2).wait_ready()
        for process in (*workers_of(server), server.process.pid):
            os.kill(process, signal.SIGINT)
        assert server.wait_exit(30) == 0
        assert "Traceback" not in server.stderr

    def test_a_second_signal_stops_at_once(self, launch: Launch, identity_onnx_package: Path) -> None:
        server = launch(identity_onnx_package, "--drain-delay", "60", "-w", 2).wait_ready()
        workers = workers_of(server)
        server.signal()
        deadline = time.monotonic() + 30
        while httpx.get(f"{server.url}/readyz").status_code == 200:
            assert time.monotonic() < deadline
        server.signal()
        assert server.wait_exit(30) == 0
        assert not any(map(alive, workers))
        assert "Traceback" not in server.stderr

    def test_a_signal_ends_a_start_without_an_error(self, launch: Launch, identity_onnx_package: Path) -> None:
        server = launch(identity_onnx_package, "-w", 2)
        deadline = time.monotonic() + 20
        while len(workers_of(server)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        server.signal()
        assert server.wait_exit(30) == 0
        assert "Traceback" not in server.stderr
        assert "Error" not in server.stderr
