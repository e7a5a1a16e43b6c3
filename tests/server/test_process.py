"""A real server process: its line when ready, its exit codes, its signals, its sockets."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from penstock.package.seal import SEAL, write_seal
from server.conftest import Connection, Launch, ServerProcess
from serving.fakes import until
from support.commands import Here

SLOW_MODEL = """
import time


def predict(inputs, params):
    open({started!r}, "a").close()
    deadline = time.monotonic() + 20
    while not __import__("os").path.exists({release!r}) and time.monotonic() < deadline:
        time.sleep(0.005)
    return [row[0] for row in inputs.values.tolist()]
"""


@pytest.fixture(scope="module")
def shared(launch_shared: Launch, identity_onnx_package: Path) -> ServerProcess:
    """A server that answers with its input, for tests that leave it as it was."""
    return launch_shared(identity_onnx_package).wait_ready()


class TestServing:
    def test_answers_equal_the_estimators(
        self, launch: Launch, iris_package: Path, iris_estimator: Any, iris_frame: Any
    ) -> None:
        server = launch(iris_package).wait_ready()
        split = iris_frame.to_dict(orient="split")
        body = {"dataframe_split": {"columns": split["columns"], "data": split["data"]}}
        answer = httpx.post(f"{server.url}/invocations", json=body)
        assert answer.status_code == 200
        assert answer.json()["predictions"] == iris_estimator.predict(iris_frame).tolist()
        csv = httpx.post(
            f"{server.url}/invocations", content=iris_frame.to_csv(index=False), headers={"content-type": "text/csv"}
        )
        assert csv.json() == answer.json()

    def test_a_connection_is_kept_and_used_again(self, shared: ServerProcess) -> None:
        async def talk() -> None:
            connection = await Connection.open(shared.address)
            for value in range(50):
                status, headers, answer = await connection.post({"inputs": [[value, 0, 0]]})
                assert (status, answer) == (200, {"predictions": {"y": [[value, 0, 0]]}})
                assert "connection" not in headers
            status, _, _ = await connection.post({"inputs": "rubbish"})
            assert status == 400
            assert (await connection.post({"inputs": [[1, 2, 3]]}))[0] == 200
            await connection.close()

        asyncio.run(talk())

    def test_a_huge_body_gets_an_answer_and_the_server_goes_on(self, shared: ServerProcess) -> None:
        before = shared.resident_bytes()
        with httpx.Client(base_url=shared.url, timeout=60) as client:
            huge = client.post("/invocations", content=b" " * 100_000_000, headers={"content-type": "application/json"})
            assert huge.status_code == 413
            assert huge.json()["error_code"] == "BAD_REQUEST"
            assert "67,108,864 bytes" in huge.json()["message"]
            chunked = client.post(
                "/invocations",
                content=(b" " * 1_000_000 for _ in range(100)),
                headers={"content-type": "application/json"},
            )
            assert chunked.status_code == 413
            assert client.post("/invocations", json={"inputs": [[1, 2, 3]]}).status_code == 200
        assert shared.resident_bytes() - before < 150_000_000

    def test_a_dead_clients_request_does_not_stop_the_rest(self, shared: ServerProcess) -> None:
        for half in (
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
            b"\x16\x03\x01nonsense",
        ):
            with socket.create_connection(shared.address) as broken:
                broken.sendall(half)
        assert httpx.post(f"{shared.url}/invocations", json={"inputs": [[1, 2, 3]]}).status_code == 200


class TestOnnxAlone:
    def test_a_server_of_onnx_models_imports_nothing_else_and_is_small_and_quick(
        self,
        launch: Launch,
        identity_onnx_package: Path,
        tmp_path: Path,
        record_property: Callable[[str, object], None],
    ) -> None:
        listing = tmp_path / "modules.txt"
        site = tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(
            "import atexit, sys\n"
            f"atexit.register(lambda: open({str(listing)!r}, 'w').write('\\n'.join(list(sys.modules))))\n"
        )
        begin = time.monotonic()
        server = launch(identity_onnx_package, PYTHONPATH=str(site)).wait_ready()
        seconds = time.monotonic() - begin
        assert httpx.post(f"{server.url}/invocations", json={"inputs": [[1, 2, 3]]}).status_code == 200
        resident = server.resident_bytes()
        server.signal()
        assert server.wait_exit() == 0
        modules = set(listing.read_text().split())
        assert "onnxruntime" in modules
        unwanted = {"sklearn", "pandas", "scipy", "skops", "sqlalchemy", "alembic", "pyarrow", "onnx", "mlflow", "rich"}
        assert modules & unwanted == set()
        record_property("rss_bytes", resident)
        record_property("seconds_to_ready", round(seconds, 3))
        print(f"\nONNX alone: {resident / 1e6:.0f} MB resident, ready after {seconds:.2f} s")  # noqa: T201
        assert resident < 250e6
        assert seconds < 20


class TestRefusals:
    """Exit code, one sentence on stderr, a hint, and no traceback."""

    def refused(self, launch: Launch, *arguments: object, code: int, port: int | None = 0, **variables: str) -> str:
        server = launch(*arguments, port=port, **variables)
        assert server.wait_exit(60) == code, server.stderr
        return self.one_message(server.stderr)

    def refused_here(self, here: Here, *arguments: object, code: int, **variables: str) -> str:
        """The same in this process, without the start of another."""
        done = here("serve", *arguments, "--port", "0", **variables)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        return self.one_message(done.stderr)

    def one_message(self, stderr: str) -> str:
        assert "Traceback" not in stderr
        errors = [line for line in stderr.splitlines() if line.startswith(("Error:", "       "))]
        assert 1 <= len(errors) <= 2, stderr
        assert errors[0].startswith("Error: ")
        return "\n".join(errors)

    def test_a_busy_port_is_refused_with_its_flag(self, launch: Launch, identity_onnx_package: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            message = self.refused(launch, identity_onnx_package, code=2, port=port)
        assert f"127.0.0.1:{port} is not available: Address already in use." in message
        assert "--port" in message

    def test_an_unknown_host_is_refused(self, here: Here, identity_onnx_package: Path) -> None:
        message = self.refused_here(here, identity_onnx_package, "--host", "300.1.1.1", code=2)
        assert "not an address to listen on" in message

    def test_a_server_without_a_model_asks_for_one(self, here: Here) -> None:
        done = here("serve", "--port", "0")
        assert done.returncode == 2
        assert "Name a model" in done.stderr

    def test_a_path_with_nothing_there_is_refused(self, here: Here) -> None:
        assert "There is nothing at" in self.refused_here(here, "./missing/model", code=1)

    def test_a_directory_that_is_no_package_is_refused(self, here: Here, tmp_path: Path) -> None:
        message = self.refused_here(here, tmp_path, code=1)
        assert "has no MLmodel file" in message
        assert "penstock package" in message

    def test_code_that_nobody_trusts_is_refused(self, here: Here, python_package: Path) -> None:
        message = self.refused_here(here, python_package, code=1)
        assert "would run code" in message
        assert "--trust-code" in message

    def test_a_changed_file_is_refused_and_named(
        self, here: Here, identity_onnx_package: Path, copied: Callable[[Path], Path]
    ) -> None:
        package = copied(identity_onnx_package)
        content = bytearray((package / "model.onnx").read_bytes())
        content[len(content) // 2] ^= 1
        (package / "model.onnx").write_bytes(content)
        message = self.refused_here(here, package, code=1)
        assert "model.onnx has changed" in message

    @pytest.mark.parametrize("sealed", [True, False])
    def test_a_truncated_onnx_file_is_refused_and_named(
        self, here: Here, iris_onnx_package: Path, copied: Callable[[Path], Path], sealed: bool
    ) -> None:
        package = copied(iris_onnx_package)
        content = (package / "model.onnx").read_bytes()
        (package / "model.onnx").write_bytes(content[: len(content) // 2])
        write_seal(package) if sealed else (package / SEAL).unlink()
        assert "model.onnx is damaged or not an ONNX model" in self.refused_here(here, package, code=1)

    def test_a_model_that_does_not_repeat_its_answer_is_refused(
        self, here: Here, identity_onnx_package: Path, copied: Callable[[Path], Path]
    ) -> None:
        package = copied(identity_onnx_package)
        expected = package / "expected_output.json"
        expected.write_text(expected.read_text().replace("3.0", "4.0", 1))
        write_seal(package)
        assert "does not repeat its recorded answer" in self.refused_here(here, package, code=1)

    def test_one_missing_model_of_two_is_refused(self, launch: Launch, identity_onnx_package: Path) -> None:
        assert "There is nothing at" in self.refused(launch, identity_onnx_package, "other=./missing/m", code=1)

    def test_a_name_without_a_registry_is_refused(self, here: Here) -> None:
        self.refused_here(here, "fraud", code=1)

    def test_a_bad_setting_names_its_origin(self, here: Here, identity_onnx_package: Path) -> None:
        message = self.refused_here(here, identity_onnx_package, code=2, PENSTOCK_MAX_ROWS="many")
        assert "max_rows (PENSTOCK_MAX_ROWS)" in message

    def test_two_models_of_one_name_are_refused(self, here: Here, identity_onnx_package: Path) -> None:
        message = self.refused_here(here, f"m={identity_onnx_package}", f"m={identity_onnx_package}", code=2)
        assert "Two models would have the served name 'm'" in message

    def test_a_traceback_comes_with_debug_alone(self, identity_onnx_package: Path) -> None:
        import subprocess
        import sys

        command = [sys.executable, "-m", "penstock", "--debug", "serve", "./missing/m", "--port", "0"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1
        assert "Traceback" in ended.stderr


class TestSignals:
    @pytest.fixture
    def slow_package(self, tmp_path: Path) -> Path:
        """A model that answers once the file `release` is there, and leaves a file `started` when asked."""
        import pandas as pd

        from penstock.package.save import save_model

        (tmp_path / "release").touch()
        source = tmp_path / "slow.py"
        source.write_text(
            SLOW_MODEL.format(started=str(tmp_path / "started"), release=str(tmp_path / "release")), encoding="utf-8"
        )
        return save_model(source, tmp_path / "slow", example=pd.DataFrame({"a": [1.0, 2.0]})).path

    async def test_sigterm_finishes_what_is_in_flight(self, launch: Launch, slow_package: Path, tmp_path: Path) -> None:
        """Not ready at once, what is in flight is finished, new requests are still answered and asked to go away."""
        server = launch(slow_package, "--trust-code", "--drain-delay", "1.5").wait_ready()
        (tmp_path / "release").unlink()
        (tmp_path / "started").unlink()
        ask = {"dataframe_split": {"columns": ["a"], "data": [[7.0]]}}
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            assert (await client.get("/readyz")).status_code == 200
            in_flight = asyncio.create_task(client.post("/invocations", json=ask))
            await until((tmp_path / "started").exists)
            server.signal(signal.SIGTERM)
            signalled = time.monotonic()
            while (await client.get("/readyz")).status_code == 200:
                assert time.monotonic() - signalled < 1.4, "still ready when it should no longer accept"
            draining = await client.get("/readyz")
            assert draining.json()["state"] == "draining"
            assert draining.headers["connection"] == "close"
            late = asyncio.create_task(client.post("/invocations", json=ask))  # the delay is for requests like this
            while time.monotonic() - signalled < 0.3:
                assert (await client.get("/livez")).status_code == 200
            assert server.process.poll() is None
            (tmp_path / "release").touch()
            assert (await in_flight).json() == {"predictions": [7.0]}
            assert (await late).json() == {"predictions": [7.0]}
            assert (await late).headers["connection"] == "close"
        assert await asyncio.to_thread(server.wait_exit) == 0
        assert time.monotonic() - signalled >= 1.4
        assert "Traceback" not in server.stderr

    async def test_what_is_in_flight_outlives_the_socket(
        self, launch: Launch, slow_package: Path, tmp_path: Path
    ) -> None:
        """Without a delay nothing new is accepted, but the model's work reaches its caller."""
        server = launch(slow_package, "--trust-code").wait_ready()
        (tmp_path / "release").unlink()
        (tmp_path / "started").unlink()
        connection = await Connection.open(server.address)
        asking = asyncio.create_task(connection.post({"dataframe_split": {"columns": ["a"], "data": [[7.0]]}}))
        await until((tmp_path / "started").exists)
        server.signal(signal.SIGTERM)
        deadline = time.monotonic() + 30
        while True:
            try:
                (await Connection.open(server.address)).writer.close()
            except ConnectionRefusedError:
                break
            assert time.monotonic() < deadline, "it still accepts connections"
            await asyncio.sleep(0.02)
        assert not asking.done()
        (tmp_path / "release").touch()
        status, headers, answer = await asking
        assert (status, answer) == (200, {"predictions": [7.0]})
        assert headers["connection"] == "close"
        await connection.close()
        assert await asyncio.to_thread(server.wait_exit) == 0
        assert "Traceback" not in server.stderr

    def test_an_interrupt_ends_it_without_the_delay(self, launch: Launch, identity_onnx_package: Path) -> None:
        server = launch(identity_onnx_package, "--drain-delay", "60").wait_ready()
        with httpx.Client(base_url=server.url) as client:  # an idle connection holds nothing up
            assert client.get("/ping").status_code == 200
            server.signal(signal.SIGINT)
            assert server.wait_exit(30) == 0
        assert "Traceback" not in server.stderr

    def test_a_second_signal_cuts_the_delay_short(self, launch: Launch, identity_onnx_package: Path) -> None:
        server = launch(identity_onnx_package, "--drain-delay", "60").wait_ready()
        server.signal()
        deadline = time.monotonic() + 30
        while httpx.get(f"{server.url}/readyz").status_code == 200:
            assert time.monotonic() < deadline
        server.signal()
        assert server.wait_exit(30) == 0


def test_one_process_serves_several_models(
    launch: Launch, identity_onnx_package: Path, iris_onnx_package: Path, iris_frame: Any, iris_estimator: Any
) -> None:
    server = launch(f"a={identity_onnx_package}", f"b={iris_onnx_package}", "--default-model", "b").wait_ready()
    rows = iris_frame.to_numpy(dtype=np.float32)[::7].tolist()
    with httpx.Client(base_url=server.url) as client:
        default = client.post("/invocations", json={"inputs": rows})
        assert default.headers["x-model-name"] == "b"
        assert default.json()["predictions"]["label"] == iris_estimator.predict(iris_frame.iloc[::7]).tolist()
        named = client.post("/models/a/invocations", json={"inputs": [[1, 2, 3]]})
        assert named.json()["predictions"] == {"y": [[1, 2, 3]]}


def test_the_token_guards_a_real_server(launch: Launch, identity_onnx_package: Path) -> None:
    server = launch(identity_onnx_package, PENSTOCK_API_TOKEN="s3cret").wait_ready()
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/ping").status_code == 200
        assert client.get("/metrics").status_code == 401
        assert client.post("/invocations", json={"inputs": [[1, 2, 3]]}).status_code == 401
        allowed = {"authorization": "Bearer s3cret"}
        assert client.post("/invocations", json={"inputs": [[1, 2, 3]]}, headers=allowed).status_code == 200
    assert "s3cret" not in server.stderr
