"""The start and the end of a server with several workers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from penstock.access.credentials import digest_of
from penstock.machine.cores import usable_cores
from server.conftest import Connection, Launch, samples
from server.worker_processes import (
    CRASHING_MODEL,
    SLOW_MODEL,
    alive,
    command_of,
    python_model,
    ready_of,
    sockets_of,
    workers_of,
)
from serving.fakes import until


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

    def test_a_package_that_kills_a_worker_ends_the_start(self, launch: Launch, tmp_path: Path) -> None:
        crash = tmp_path / "crash"
        in_workers = "'penstock.cli.worker' in sys.orig_argv and os.path.exists("  # the trial sees nothing of it
        source = CRASHING_MODEL.replace("os.path.exists(", in_workers).replace("import os\n", "import os\nimport sys\n")
        package = python_model(source.format(crash=str(crash)), tmp_path)
        crash.touch()
        message = self.refused(launch, package, "--trust-code", "--isolation", "none")
        assert re.search(
            r"Worker \d was killed by signal 9 \(SIGKILL\) while it loaded version [0-9a-f]{12} of made", message
        )

    def test_workers_serve_several_models_with_settings_of_their_own(
        self,
        launch: Launch,
        identity_onnx_package: Path,
        python_package: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The workers serve with what the supervisor was given, the token included, which no command line shows; and
        let in whom the file of tokens names, as long as it does."""
        (tmp_path / "tokens").write_text(f"shop predict {digest_of('pst_shop')}\n")
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        (tmp_path / "models.toml").write_text(
            f"""default_model = "b"
            tokens_file = "tokens"
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
        shop = {"authorization": "Bearer pst_shop", "connection": "close"}
        with httpx.Client(base_url=server.url, headers=shop) as client:
            assert client.post("/invocations", json=body).status_code == 200
            assert client.get("/metrics").status_code == 403
            (tmp_path / "tokens").write_text("# none any more\n")
            deadline = time.monotonic() + 20
            while {client.post("/invocations", json=body).status_code for _ in range(8)} != {401}:
                assert time.monotonic() < deadline
        assert "pst_shop" not in server.stderr
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
