"""What docs/hub.md says to write down for nginx, taken by nginx, with a hub behind it."""

from __future__ import annotations

import re
import subprocess
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from penstock.assembly.hub import open_tokens
from services.hub_process import hub_process
from services.test_proxies import free_ports, proxy, swapped
from services.tools import require_tool

pytestmark = pytest.mark.services

PAGE = (Path(__file__).parents[2] / "docs" / "hub.md").read_text()
NAME = "hub.example.com"
API = "/api/2.0"
# Where nginx keeps what it must, which is not for this user to write by default.
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def test_files_of_any_size_go_through_nginx_and_strangers_do_not(tmp_path: Path) -> None:
    nginx, openssl = require_tool("nginx", debian="nginx-light"), require_tool("openssl", debian="openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    with closing(open_tokens(str(tmp_path / "store"))) as tokens:
        mine = {"authorization": f"Bearer {tokens.add('ann', 'write')}"}
    plain, tls = free_ports(2)
    found = re.search(r"^```nginx\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    with hub_process(tmp_path) as url:
        site = swapped(
            found[1],
            ("/etc/ssl/penstock/fullchain.pem", str(certificate)),
            ("/etc/ssl/penstock/privkey.pem", str(key)),
            ("http://127.0.0.1:5000", url),
            ("listen 443 ssl http2", f"listen 127.0.0.1:{tls} ssl http2"),
        )
        file = tmp_path / "nginx.conf"
        # Only so that it is known when it listens.
        told = f"server {{ listen 127.0.0.1:{plain}; return 204; }}"
        kept = "".join(f"{kind}_temp_path {tmp_path}/{kind}; " for kind in TEMPORARY)
        file.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
            f"http {{ access_log off; {kept}\n{site}\n{told} }}"
        )
        with proxy(tmp_path, plain, nginx, "-c", str(file)) as client:

            def ask(method: str, path: str, headers: dict[str, str], content: bytes | None = None) -> httpx.Response:
                return client.request(
                    method, f"https://127.0.0.1:{tls}{path}", headers={"host": NAME, **headers}, content=content,
                    extensions={"sni_hostname": NAME},
                )  # fmt: skip

            typed = {**mine, "content-type": "application/json"}
            answer = ask("POST", f"{API}/mlflow/runs/create", typed, b'{"experiment_id": "0"}')
            place = f"{API}/mlflow-artifacts/artifacts/0/{answer.json()['run']['info']['run_id']}/artifacts/large.bin"
            large = bytes(range(256)) * 20_000
            assert ask("PUT", place, mine, large).status_code == 200, "5 MB are not too much"
            assert ask("GET", place, mine).content == large
            assert ask("GET", place, {}).status_code == 401
            own, other = {"origin": f"https://{NAME}"}, {"origin": "https://evil.example"}
            assert ask("PUT", place, {**mine, **own}, b"x").status_code == 200
            assert ask("PUT", place, {**mine, **other}, b"x").status_code == 403
