"""What has been tried against tracking servers, tried here: paths that lead elsewhere, hosts of others, pages that run.

The classes are those of MLflow's advisories: traversal in artifacts (CVE-2023-6831, CVE-2024-1560), in sources of
versions (CVE-2023-1177, -2780, -6977, CVE-2024-1558, CVE-2025-11201), in locations of experiments (CVE-2023-6909,
CVE-2024-1593, -3848), requests to hosts of a stranger's choice, names that lead here (CVE-2025-14279), stored scripts.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from hub.conftest import HubCalls

FILES = "/api/2.0/mlflow-artifacts/artifacts"
SECRET = "the contents of another file"

TRAVERSALS = [
    "../secret",
    "a/../../secret",
    "./../secret",
    "..//secret",
    "..\\secret",
    "a\\..\\..\\secret",
    "%2e%2e/secret",
    "%2e%2e%2fsecret",
    "%252e%252e%252fsecret",
    "%25252e%25252e/secret",
    "..%5csecret",
    "..%00/secret",
    "secret%00.txt",
    "/{root}/secret",
    "//{root}/secret",
    "%2f{root}/secret",
    "file://{root}/secret",
    "file:{root}/secret",
    "C:\\secret",
    "C:/secret",
    "c%3a/secret",
    "\\\\host\\share\\secret",
    "~/secret/../../secret",
    "a\r\nX-Header: 1/../secret",
    ".penstock-uploads/secret",
    "a/%2epenstock-uploads/../../secret",
]

SOURCES = [
    "/etc/passwd",
    "/etc",
    "/",
    "file:///etc/passwd",
    "file://localhost/etc",
    "FILE:///etc/passwd",
    "file:/etc",
    "{root}",
    "../secret",
    "{own}/../../secret",
    "{own}/%2e%2e/%2e%2e/secret",
    "{own}/%252e%252e/secret",
    "{own}/..;/secret",
    "{own}#/../../secret",
    "{own}?/../../secret",
    "{own}\\..\\secret",
    "{own}%00",
    "mlflow-artifacts:/",
    "mlflow-artifacts:/0",
    "mlflow-artifacts:/0/another/artifacts",
    "mlflow-artifacts://evil.example/0/{run}/artifacts/model",
    "mlflow-artifacts:///../secret",
    "runs:/another/model",
    "runs:/{run}/../model",
    "runs://evil.example/{run}/model",
    "models:/m-00000000000000000000000000000000",
    "models:/nothing/1",
    "http://127.0.0.1:{port}/model",
    "https://127.0.0.1:{port}/model",
    "ftp://127.0.0.1:{port}/model",
    "sftp://127.0.0.1:{port}/model",
    "hdfs://127.0.0.1:{port}/model",
    "abfss://files@127.0.0.1:{port}/model",
    "s3://bucket/../other",
    "s3://bucket/%2e%2e/other",
    "c:\\secret",
    "s3://bucket/a?endpoint_url=http://127.0.0.1:{port}",
    "s3://",
    "s3://user@bucket/a",
    "s3://bucket/b::file:///etc",
    "s3://[/a",
    "ssh://127.0.0.1:{port}/model",
    "smb://127.0.0.1:{port}/model",
    "webhdfs://127.0.0.1:{port}/model",
    "wasbs://files@127.0.0.1/model",
    "github://user:word@main/model",
    "oss://bucket/model",
    "jar:http://127.0.0.1:{port}/model",
    "simplecache::http://127.0.0.1:{port}/model",
    "simplecache%3A%3Ahttp://127.0.0.1:{port}/model",
    "filecache::file:///etc",
    "zip://a::http://127.0.0.1:{port}/z.zip",
    "reference::http://127.0.0.1:{port}/model",
    "local:///etc",
    "under_score://127.0.0.1:{port}/model",
    "//127.0.0.1:{port}/model",
]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(SECRET)
    return tmp_path / "secret"


def content_of(path: Path) -> str:
    return path.read_text()


def refused(answer: Any) -> bool:
    """A client's mistake, and nothing of what lies elsewhere."""
    return 400 <= answer.status_code < 500 and SECRET not in answer.text


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_no_path_of_an_artifact_leads_elsewhere(hub: HubCalls, secret: Path, path: str) -> None:
    given = path.replace("{root}", str(secret.parent))
    run_id = await hub.made_run()
    made = await hub.post("logged-models", experiment_id="0", name="m")
    model_id = made.json()["model"]["info"]["model_id"]
    before = sorted(secret.parent.rglob("*"))
    # As a client that tidies nothing up sends it, and encoded once more: some servers decode twice.
    for place in (quote(given, safe=""), quote(quote(given, safe=""), safe="")):
        for answer in (
            await hub.client.get(f"{FILES}/{place}"),
            await hub.client.put(f"{FILES}/{place}", content=b"x"),
            await hub.client.delete(f"{FILES}/{place}"),
            await hub.client.post(f"/api/2.0/mlflow-artifacts/mpu/create/{place}", json={"path": "f"}),
        ):
            assert refused(answer) or answer.status_code == 501, answer.text
    pages = "/ajax-api/2.0/mlflow"
    for answer in (
        await hub.get(FILES, path=given),
        await hub.get("artifacts/list", run_id=run_id, path=given),
        await hub.get("/get-artifact", run_id=run_id, path=given),
        await hub.get(f"logged-models/{model_id}/artifacts/directories", artifact_directory_path=given),
        await hub.get(f"{pages}/logged-models/{model_id}/artifacts/files", artifact_file_path=given),
        await hub.client.post(f"{pages}/upload-artifact", params={"run_id": run_id, "path": given}, content=b"x"),
        await hub.post("artifacts/presigned-download-url", run_id=run_id, path=given),
    ):
        assert refused(answer) or answer.json() == {}, answer.text
    after = [path for path in sorted(secret.parent.rglob("*")) if "registry.db" not in path.name]
    assert [path for path in after if path not in before] == []
    assert content_of(secret) == SECRET


async def test_no_source_of_a_version_leads_elsewhere(hub: HubCalls, secret: Path) -> None:
    run_id = await hub.made_run()
    await hub.made_run()
    await hub.post("registered-models/create", name="m")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        words = {
            "{root}": str(secret.parent),
            "{own}": f"mlflow-artifacts:/0/{run_id}/artifacts",
            "{run}": run_id,
            "{port}": str(listening.getsockname()[1]),
        }
        for source in SOURCES:
            for word, value in words.items():
                source = source.replace(word, value)
            answer = await hub.post("model-versions/create", name="m", source=source, run_id=run_id)
            assert refused(answer), (source, answer.text)
        with pytest.raises(BlockingIOError):  # nobody has connected
            listening.accept()
    assert (await hub.get("model-versions/search", filter="name = 'm'")).json() == {}


async def test_a_file_so_deep_that_it_could_not_be_removed_is_refused(hub: HubCalls, tmp_path: Path) -> None:
    """And what an older hub took is removed."""
    assert (await hub.client.put(f"{FILES}/{'d/' * 63}f", content=b"x")).status_code == 200
    refused_one = await hub.client.put(f"{FILES}/{'d/' * 64}f", content=b"x")
    assert (refused_one.status_code, refused_one.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "65 parts, and 64 are allowed" in refused_one.json()["message"]
    with_descriptor = os.open(tmp_path / "artifacts" / "d", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("e", dir_fd=with_descriptor)
        below = os.open("e", os.O_RDONLY, dir_fd=with_descriptor)
        os.close(with_descriptor)
        with_descriptor = below
    os.close(with_descriptor)
    assert (await hub.client.delete(f"{FILES}/d")).status_code == 200
    assert (await hub.get(FILES)).json() == {}


async def test_names_that_are_not_utf_8_are_not_one_name(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    for byte in ("%fe", "%FF", "%ed%a0%80", "%c0%ae"):
        for answer in (
            await hub.client.put(f"{FILES}/n/{byte}", content=b"x"),
            await hub.client.get(f"{FILES}/n/{byte}"),
            await hub.client.delete(f"{FILES}/n/{byte}"),
            await hub.client.get(f"{FILES}?path=n/{byte}"),
            await hub.client.post(f"/api/2.0/mlflow-artifacts/mpu/create/{byte}", json={"path": "f"}),
            await hub.client.get(f"/get-artifact?run_id={run_id}&path={byte}"),
            await hub.client.get(f"/api/2.0/mlflow/artifacts/list?run_id={run_id}&path={byte}"),
            await hub.client.post(f"/ajax-api/2.0/mlflow/upload-artifact?run_id={run_id}&path={byte}", content=b"x"),
        ):
            assert answer.status_code == 400, (byte, answer.request.url, answer.text)
    assert (await hub.get(FILES)).json() == {}
    # The character itself is a name like others.
    assert (await hub.client.put(f"{FILES}/n/%ef%bf%bd", content=b"x")).status_code == 200
    assert (await hub.client.get(f"{FILES}?path=n")).json()["files"][0]["path"] == "\ufffd"


async def test_a_part_does_not_replace_the_whole(hub: HubCalls) -> None:
    await hub.client.put(f"{FILES}/f", content=b"whole")
    answer = await hub.client.put(f"{FILES}/f", content=b"pa", headers={"Content-Range": "bytes 0-1/5"})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert (await hub.client.get(f"{FILES}/f")).content == b"whole"


async def test_what_somebody_has_put_into_the_root_leads_nowhere(hub: HubCalls, secret: Path) -> None:
    root = secret.parent / "artifacts"
    await hub.client.put(f"{FILES}/d/f", content=b"x")
    (root / "d" / "link").symlink_to(secret)
    (root / "d" / "up").symlink_to(secret.parent)
    (root / "d" / "proc").symlink_to("/proc/self")
    os.mkfifo(root / "d" / "pipe")
    for path in ("d/link", "d/up/secret", "d/proc/environ", "d/pipe"):
        assert (await hub.client.get(f"{FILES}/{path}")).status_code == 404, path
    assert (await hub.get(FILES, path="d")).json()["files"] == [{"path": "f", "is_dir": False, "file_size": 1}]
    assert (await hub.get(FILES, path="d/up")).json() == {}
    assert refused(await hub.client.put(f"{FILES}/d/up/new", content=b"x"))
    assert refused(await hub.client.delete(f"{FILES}/d/up/secret"))
    # A link in an upload's place is replaced, not written through; a directory goes without what its links lead to.
    assert (await hub.client.put(f"{FILES}/d/link", content=b"mine")).status_code == 200
    assert (await hub.client.delete(f"{FILES}/d")).status_code == 200
    assert content_of(secret) == SECRET


@pytest.mark.parametrize(
    "name", ["page.html", "page.htm", "page.xhtml", "page.svg", "page.xml", "page.js", "page", "a.mht"]
)
async def test_a_page_that_was_uploaded_runs_nowhere(hub: HubCalls, name: str) -> None:
    run_id = await hub.made_run()
    script = b"<html><svg onload=alert(1)><script>alert(1)</script>"
    await hub.client.put(f"{FILES}/0/{run_id}/artifacts/{name}", content=script)
    for answer in (
        await hub.client.get(f"{FILES}/0/{run_id}/artifacts/{name}"),
        await hub.get("/get-artifact", run_id=run_id, path=name),
        await hub.client.get(f"{FILES}/0/{run_id}/artifacts/{name}", headers={"Range": "bytes=6-"}),
    ):
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "html" not in answer.headers["content-type"]


async def test_errors_repeat_what_was_sent_as_data(hub: HubCalls) -> None:
    answer = await hub.client.get(f"{FILES}/%3Cscript%3Ealert(1)%3C/script%3E")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["x-content-type-options"], answer.headers["x-frame-options"]) == ("nosniff", "SAMEORIGIN")


async def test_a_name_that_leads_here_gets_no_files(hub: HubCalls) -> None:
    await hub.client.put(f"{FILES}/f", content=SECRET.encode())
    rebound = {"Host": "evil.example:5000"}
    assert (await hub.client.get(f"{FILES}/f", headers=rebound)).status_code == 403
    assert (await hub.client.put(f"{FILES}/f", content=b"x", headers=rebound)).status_code == 403
    for told in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert (await hub.client.put(f"{FILES}/f", content=b"x", headers=told)).status_code == 403
        assert (await hub.client.delete(f"{FILES}/f", headers=told)).status_code == 403
    assert (await hub.client.get(f"{FILES}/f")).text == SECRET
