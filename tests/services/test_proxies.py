"""What docs/tls.md says to write down, taken by the tools themselves: systemd's unit, nginx and Caddy with a gateway
behind them."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from penstock.config import load_settings
from server.conftest import ServerProcess
from services.gateways import ROWS, TOKEN, gateway
from services.tools import require_tool

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
NAME = "models.example.com"
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "docs" / "tls.md").read_text(), re.DOTALL | re.MULTILINE))


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def swapped(text: str, *changes: tuple[str, str]) -> str:
    """The text with what belongs to the machine of the page changed to what belongs to this one."""
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    return text


@contextmanager
def proxy(place: Path, port: int, *command: str) -> Iterator[httpx.Client]:
    """A proxy as a process, once it listens, and a client that knows it as the page's name."""
    with (place / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HOME": str(place)})
    try:
        for _ in range(600):
            assert process.poll() is None, (place / "proxy.log").read_text()
            try:
                httpx.get(f"http://127.0.0.1:{port}")
            except httpx.TransportError:
                pass
            else:
                break
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with httpx.Client(verify=context, headers={"host": NAME}, timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def serves(client: httpx.Client, plain: int, tls: int, server: ServerProcess) -> None:
    """All that the page promises of a proxy."""
    url = f"https://{NAME}:{tls}"
    extensions = {"sni_hostname": NAME}

    def ask(method: str, path: str, **more: object) -> httpx.Response:
        at = url.replace(NAME, "127.0.0.1") + path
        return client.request(method, at, extensions=extensions, **more)  # type: ignore[arg-type]

    mine = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    assert ask("GET", "/readyz").json()["ready"] is True
    answer = ask("POST", "/invocations", headers={**mine, "x-request-id": "the-caller's"}, content=ROWS)
    assert answer.json() == {"predictions": {"y": [[1.0, 2.0, 3.0]]}}
    assert answer.headers["x-model-name"] == "identity"
    assert re.fullmatch(r"[0-9a-f-]{32,36}", answer.headers["x-request-id"])
    assert ask("POST", "/invocations", content=ROWS).status_code == 401
    assert ask("GET", "/metrics", headers=mine).status_code == 404, "that is on the admin port"
    large = '{"inputs": [' + "[1.0, 2.0, 3.0]," * 200_000 + "[1.0, 2.0, 3.0]]}"
    assert ask("POST", "/invocations", headers=mine, content=large).status_code == 200, "3 MB are not too much"
    preflight = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    allowed = ask("OPTIONS", "/invocations", headers=preflight)
    assert allowed.headers.get_list("access-control-allow-origin") == ["https://app.example.com"]
    moved = client.get(f"http://127.0.0.1:{plain}/readyz")
    assert moved.status_code == 308
    assert moved.headers["location"].startswith(f"https://{NAME}")
    assert server.process.poll() is None


@pytest.fixture
def behind(tmp_path: Path, identity_onnx_package: Path) -> Iterator[ServerProcess]:
    flags = ("--admin-port", "0", "--cors-origin", "https://app.example.com")
    with gateway(tmp_path, str(identity_onnx_package), *flags) as server:
        yield server


def test_nginx_takes_the_page_and_passes_on(tmp_path: Path, behind: ServerProcess) -> None:
    nginx, openssl = require_tool("nginx", debian="nginx-light"), require_tool("openssl", debian="openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    plain, tls = free_ports(2)
    site = swapped(
        BLOCKS["nginx"],
        ("/etc/ssl/penstock/fullchain.pem", str(certificate)),
        ("/etc/ssl/penstock/privkey.pem", str(key)),
        ("127.0.0.1:8080", behind.url.removeprefix("http://")),
        ("listen 443 ", f"listen 127.0.0.1:{tls} "),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("    listen [::]:443 ssl http2;\n", ""),
        ("    listen [::]:80;\n", ""),
    )
    temporary = "\n".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {tmp_path}/nginx.pid; error_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}\n{site}\n}}\n"
    )
    command = (nginx, "-e", "stderr", "-c", str(config))
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    with proxy(tmp_path, plain, *command) as client:
        serves(client, plain, tls, behind)


def test_caddy_takes_the_page_and_passes_on(tmp_path: Path, behind: ServerProcess) -> None:
    caddy = require_tool("caddy", debian="caddy")
    (tmp_path / "page").mkdir()
    page = tmp_path / "page" / "Caddyfile"
    page.write_text(BLOCKS["caddyfile"])
    environment = {**os.environ, "HOME": str(tmp_path)}
    checked = subprocess.run(
        [caddy, "validate", "--config", page], capture_output=True, text=True, env=environment, check=False
    )
    assert checked.returncode == 0, checked.stderr
    plain, tls = free_ports(2)
    options = f"admin off\n\tskip_install_trust\n\tlocal_certs\n\thttp_port {plain}\n\thttps_port {tls}"
    site = swapped(BLOCKS["caddyfile"], ("127.0.0.1:8080", behind.url.removeprefix("http://")))
    config = tmp_path / "Caddyfile"
    config.write_text(f"{{\n\t{options}\n}}\n{site}")
    with proxy(tmp_path, plain, caddy, "run", "--config", str(config)) as client:
        serves(client, plain, tls, behind)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = require_tool("systemd-analyze", debian="systemd")
    unit = tmp_path / "penstock.service"
    command = str(Path(sys.executable).with_name("penstock"))
    unit.write_text(swapped(BLOCKS["ini"], ("/opt/penstock/bin/penstock", command)))
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_settings_of_the_page_are_settings_and_the_unit_waits_for_the_drain(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(BLOCKS["toml"])
    settings, _ = load_settings({}, {}, file)
    assert (settings.host, settings.admin_port) == ("127.0.0.1", 8081)
    assert tomllib.loads(BLOCKS["toml"]).keys() >= {"models", "cache", "port"}
    stop = re.search(r"^TimeoutStopSec=(\d+)$", BLOCKS["ini"], re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) >= settings.drain_delay + settings.drain_timeout + 5
