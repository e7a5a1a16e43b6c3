"""What browsers do: pages of other origins ask and read answers, and the gateway's own page shows every model."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from penstock.package.seal import write_seal
from server.conftest import ServerProcess
from services.browser import page_after_scripts, text_of
from services.gateways import ROWS, TOKEN, gateway
from services.tools import require_tool

pytestmark = pytest.mark.services

# Sends what it is told to, and shows what it may read of each answer.
PAGE = """<!doctype html><pre id="seen"></pre><script type="module">
const shown = ["x-request-id", "x-model-name", "server-timing", "retry-after"];
const seen = [];
for (const [url, options] of ASKED) {
  try {
    const answer = await fetch(url, options);
    seen.push([answer.status, await answer.text(), shown.filter((name) => answer.headers.has(name))]);
  } catch (error) { seen.push([0, String(error), []]); }
}
document.querySelector("#seen").textContent = JSON.stringify(seen);
</script>"""


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@contextmanager
def origin(directory: Path) -> Iterator[str]:
    """A web server of another origin than the gateway's, for the pages in a directory."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(directory)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def what_a_page_sees(place: Path, at: str, asked: list[Any]) -> list[tuple[int, str, list[str]]]:
    (place / "page.html").write_text(PAGE.replace("ASKED", json.dumps(asked)))
    (seen,) = text_of(page_after_scripts(f"{at}/page.html", place / "profile"), "pre")
    return [tuple(one) for one in json.loads(seen)]


def post(body: str, **headers: str) -> dict[str, Any]:
    return {"method": "POST", "body": body, "headers": {"content-type": "application/json", **headers}}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    with origin(tmp_path) as at:
        yield tmp_path, at


def asked_of(server: ServerProcess) -> list[Any]:
    mine = {"authorization": f"Bearer {TOKEN}"}
    return [
        [f"{server.url}/invocations", post(ROWS, **mine, **{"x-request-id": "mine-1"})],
        [f"{server.url}/invocations", {**post(ROWS, **mine), "credentials": "include"}],
        [f"{server.url}/invocations", post(ROWS)],
        [f"{server.url}/invocations", post("{", **mine)],
        [f"{server.url}/invocations", post("[" + "1," * 5000 + "1]", **mine)],
        [f"{server.url}/models/none/invocations", post(ROWS, **mine)],
        [f"{server.url}/models", {"headers": mine}],
        [f"{server.url}/nothing", {"headers": mine}],
    ]


def test_a_page_of_a_named_origin_reads_every_answer(site: tuple[Path, str], identity_onnx_package: Path) -> None:
    place, at = site
    with gateway(place, str(identity_onnx_package), "--cors-origin", at, "--max-body-bytes", "2048") as server:
        seen = what_a_page_sees(place, at, asked_of(server))
    assert [status for status, _, _ in seen] == [200, 200, 401, 400, 413, 404, 200, 404], seen
    assert json.loads(seen[0][1]) == {"predictions": {"y": [[1.0, 2.0, 3.0]]}}
    assert seen[0][2] == ["x-request-id", "x-model-name", "server-timing"]
    assert "token" in json.loads(seen[2][1])["message"]


def test_all_origins_read_answers_but_send_no_credentials(site: tuple[Path, str], identity_onnx_package: Path) -> None:
    place, at = site
    with gateway(place, str(identity_onnx_package), "--cors-origin", "*", "--max-body-bytes", "2048") as server:
        seen = what_a_page_sees(place, at, asked_of(server))
    assert [status for status, _, _ in seen] == [200, 0, 401, 400, 413, 404, 200, 404], seen


@pytest.mark.parametrize("flags", [(), ("--cors-origin", "https://app.example.com")])
def test_any_other_page_reads_nothing(
    site: tuple[Path, str], identity_onnx_package: Path, flags: tuple[str, ...]
) -> None:
    place, at = site
    with gateway(place, str(identity_onnx_package), *flags) as server:
        seen = what_a_page_sees(place, at, asked_of(server))
    assert {status for status, _, _ in seen} == {0}, seen


def test_the_page_asks_for_the_token(tmp_path: Path, identity_onnx_package: Path) -> None:
    with gateway(tmp_path, str(identity_onnx_package)) as server:
        page = page_after_scripts(server.url, tmp_path / "profile")
    assert '<form id="token">' in page, "it is hidden where no token is needed"
    assert text_of(page, "h2")[0] == "This server asks for a token"


def test_the_page_shows_every_model_beside_a_broken_one(
    tmp_path: Path, identity_onnx_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateways.TOKEN", "")
    named = {"sound": None, "gaps": '{"inputs": [[NaN, -Infinity, 3.0]]}', "broken": '{"inputs": [NaN'}
    for name, body in named.items():
        package = shutil.copytree(identity_onnx_package, tmp_path / name)
        if body is not None:
            (package / "serving_input_example.json").write_text(body)
            (package / "expected_output.json").unlink()
            write_seal(package)
    with gateway(tmp_path, *(f"./{name}" for name in named)) as server:
        page = page_after_scripts(server.url, tmp_path / "profile")
    sections = dict(zip(sorted(named), text_of(page, "section"), strict=True))
    assert "cannot be used: serving_input_example.json is not valid JSON" in sections["broken"]
    assert """-d '{"inputs":[[NaN,-Infinity,3.0]]}'""" in sections["gaps"]
    assert "cannot" not in sections["sound"]
    assert '<form id="token" hidden="">' in page


def test_the_recipes_of_the_page_work_when_they_are_pasted(
    tmp_path: Path, identity_onnx_package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("services.gateways.TOKEN", "")
    package = shutil.copytree(identity_onnx_package, tmp_path / "echo")
    with gateway(tmp_path, str(package)) as server:
        page = page_after_scripts(server.url, tmp_path / "profile")
        recipes = {text.split()[0]: text for text in text_of(page, "pre") if text.strip()}
        assert page.count(">Copy</button>") == 3
        exec(recipes["import"], {})
        script = f"(async () => {{ {recipes['const']} }})()"
        done = subprocess.run(
            [require_tool("node", debian="nodejs"), "-e", script],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        shell = subprocess.run(["bash", "-c", recipes["curl"]], capture_output=True, text=True, check=True, timeout=60)
    answers = [capsys.readouterr().out, done.stdout, shell.stdout]
    assert all("predictions" in answer for answer in answers), answers
