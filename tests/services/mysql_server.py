"""A MySQL server for tests: Debian's MariaDB, with a directory of its own, reached by a socket and a port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

from services.mlflow_servers import free_port
from services.tools import require_tool

_USER = "mlflow"
_PASSWORD = "secret word"


@contextmanager
def mysql_server() -> Iterator[str]:
    """The URL of an empty database, as MLflow takes it."""
    install = require_tool("mariadb-install-db", debian="mariadb-server")
    program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="my-") as made:
        place = Path(made)
        data, socket, port = place / "data", place / "socket", free_port()
        owner = ["--user=root"] if os.getuid() == 0 else []
        subprocess.run(
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *owner],
            check=True,
            capture_output=True,
        )
        command = [program, "--no-defaults", f"--datadir={data}", f"--socket={socket}", f"--port={port}", *owner]
        with (place / "log").open("wb") as log:
            server = subprocess.Popen([*command, "--bind-address=127.0.0.1"], stdout=log, stderr=log)
        try:
            _make_database(str(socket), place / "log")
            yield f"mysql+pymysql://{_USER}:{_PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/mlflow"
        finally:
            server.terminate()
            server.wait(30)


def _make_database(socket: str, log: Path) -> None:
    end = time.monotonic() + 60
    while not Path(socket).exists():  # it makes it once it answers
        assert time.monotonic() < end, log.read_text()[-2000:]
        time.sleep(0.05)
    connection = pymysql.connect(unix_socket=socket, user="root")
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE mlflow CHARACTER SET utf8mb4")
        for host in ("localhost", "127.0.0.1"):  # as which a connection counts depends on how names are resolved
            cursor.execute(f"CREATE USER {_USER}@'{host}' IDENTIFIED BY '{_PASSWORD}'")
            cursor.execute(f"GRANT ALL ON mlflow.* TO {_USER}@'{host}'")
        connection.commit()
