"""Files through the hub: both ways, in parts, cut off, and paths that would lead elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.conftest import HubCalls
from penstock.hub.files.work import FileWork

FILES = "/api/2.0/mlflow-artifacts/artifacts"


async def test_what_is_uploaded_is_listed_and_comes_back(hub: HubCalls) -> None:
    content = bytes(range(256)) * 9000
    assert (await hub.client.put(f"{FILES}/1/r/artifacts/a%20b+c%25.bin", content=content)).status_code == 200
    listed = (await hub.get(FILES, path="1/r/artifacts")).json()
    assert listed == {"files": [{"path": "a b+c%.bin", "is_dir": False, "file_size": len(content)}]}
    assert (await hub.get(FILES, path="1")).json() == {"files": [{"path": "r", "is_dir": True}]}
    assert (await hub.get(FILES, path="1/r/artifacts/a b+c%.bin")).json() == {}
    assert (await hub.get(FILES, path="nowhere")).json() == {}
    answer = await hub.client.get(f"{FILES}/1/r/artifacts/a%20b+c%25.bin")
    assert answer.content == content
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_parts_of_a_file(hub: HubCalls) -> None:
    await hub.client.put(f"{FILES}/f", content=b"0123456789")
    for asked, status, expected in (
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=0-99", 200, b"0123456789"),
        ("bytes=1-2,4-5", 200, b"0123456789"),
        ("bytes=10-", 416, b""),
    ):
        answer = await hub.client.get(f"{FILES}/f", headers={"Range": asked})
        assert (answer.status_code in (status, 206), answer.content) == (True, expected), asked
    assert (await hub.client.head(f"{FILES}/f")).headers["content-length"] == "10"


async def test_an_upload_replaces_and_a_delete_takes_away(hub: HubCalls) -> None:
    for content in (b"one", b"", b"three"):
        await hub.client.put(f"{FILES}/d/f", content=content)
        assert (await hub.client.get(f"{FILES}/d/f")).content == content
    assert (await hub.client.delete(f"{FILES}/d")).json() == {}
    assert (await hub.client.get(f"{FILES}/d/f")).status_code == 404
    assert (await hub.client.delete(f"{FILES}/d")).status_code == 404


async def test_an_upload_that_is_cut_off_leaves_nothing(hub: HubCalls, tmp_path: Path) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionError("gone")

    assert (await hub.client.put(f"{FILES}/half", content=half())).status_code >= 500
    assert (await hub.get(FILES)).json() == {}
    assert not [file for file in (tmp_path / "artifacts").rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "a/../../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "%252e%252e%252fsecret",
        "a/%25252e%25252e/secret",
        "/etc/passwd",
        "..\\secret",
        "a%00b",
        "C:/x",
        ".penstock-uploads/x",
    ],
)
async def test_no_path_leads_out_of_the_root(hub: HubCalls, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    encoded = path.replace("\\", "%5c")
    for answer in (
        await hub.client.get(f"{FILES}/{encoded}"),
        await hub.client.put(f"{FILES}/{encoded}", content=b"x"),
        await hub.client.delete(f"{FILES}/{encoded}"),
        await hub.get(FILES, path=path),
    ):
        assert answer.status_code in (400, 404, 405)
        assert "secret" not in answer.text.replace(path, "").replace("secret'", "")
    assert (tmp_path / "secret").read_text() == "secret"


async def test_links_in_the_root_are_not_followed(hub: HubCalls, tmp_path: Path) -> None:
    await hub.client.put(f"{FILES}/d/f", content=b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("secret")
    (tmp_path / "artifacts" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "artifacts" / "d" / "file").symlink_to(tmp_path / "elsewhere" / "secret")
    for path in ("link/secret", "d/file"):
        assert (await hub.client.get(f"{FILES}/{path}")).status_code >= 400
    assert (await hub.client.put(f"{FILES}/link/new", content=b"x")).status_code >= 400
    assert (await hub.get(FILES, path="link")).json() == {}
    assert not (tmp_path / "elsewhere" / "new").exists()


async def test_a_runs_files_are_listed_and_read_by_run(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    await hub.client.put(f"{FILES}/0/{run_id}/artifacts/notes/a.html", content=b"<script>1</script>")
    listed = (await hub.get("artifacts/list", run_id=run_id, path="notes")).json()
    assert listed["files"] == [{"path": "notes/a.html", "is_dir": False, "file_size": 18}]
    answer = await hub.get("/get-artifact", run_uuid=run_id, path="notes/a.html")
    assert (answer.content, answer.headers["content-type"]) == (b"<script>1</script>", "text/plain; charset=utf-8")


async def test_what_a_caller_has_is_not_sent_again(hub: HubCalls) -> None:
    await hub.client.put(f"{FILES}/f", content=b"0123456789")
    tag = (await hub.client.get(f"{FILES}/f")).headers["etag"]
    known = await hub.client.get(f"{FILES}/f", headers={"If-None-Match": tag})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    await hub.client.put(f"{FILES}/f", content=b"abcdefghij")
    asked = {"If-None-Match": tag, "If-Range": tag, "Range": "bytes=0-1"}
    changed = await hub.client.get(f"{FILES}/f", headers=asked)
    assert (changed.status_code, changed.content) == (200, b"abcdefghij")


async def test_directories_and_names(hub: HubCalls) -> None:
    await hub.client.put(f"{FILES}/d/f", content=b"x")
    assert (await hub.client.get(f"{FILES}/d")).status_code == 400
    assert (await hub.client.get(f"{FILES}/d/f/g")).status_code == 404
    for path in ("d", "d/f/g", "d/", ""):
        assert (await hub.client.put(f"{FILES}/{path}", content=b"y")).status_code == 400, path
    assert (await hub.client.get(f"{FILES}/d/f")).content == b"x"


async def test_an_upload_that_ends_after_its_place_was_registered_changes_nothing(hub: HubCalls) -> None:
    """It was let in when nobody had registered anything, and the digest has been taken since."""
    run_id = await hub.made_run()
    place = f"{FILES}/0/{run_id}/artifacts/model/MLmodel"
    await hub.client.put(place, content=b"flavors: {}")
    await hub.post("registered-models/create", name="m")
    registered = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"flavors"
        await registered.wait()
        yield b": {changed: {}}"

    uploading = asyncio.create_task(hub.client.put(place, content=slow()))
    source = f"runs:/{run_id}/model"
    made = await hub.post("model-versions/create", name="m", source=source, run_id=run_id)
    assert made.status_code == 200
    registered.set()
    assert (await uploading).status_code == 409
    assert (await hub.client.get(place)).content == b"flavors: {}"


async def test_what_nobody_reads_any_more_is_not_read_here(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    await hub.client.put(f"{FILES}/f", content=b"x" * 10_000_000)
    read: list[int] = []
    run = FileWork.run

    async def counted(self: FileWork, function: Any, *arguments: Any) -> Any:
        read.append(len(arguments))
        return await run(self, function, *arguments)

    monkeypatch.setattr(FileWork, "run", counted)
    path = f"{FILES}/f"
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    messages = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, str]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    await hub.app(scope, receive, send)
    assert len(read) < 6


async def test_a_client_that_takes_nothing_is_given_up(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    await hub.client.put(f"{FILES}/f", content=b"x" * 1000)
    monkeypatch.setattr("penstock.hub.files.sending.PATIENCE", 0.01)
    scope = {
        "type": "http",
        "method": "GET",
        "path": f"{FILES}/f",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }

    async def receive() -> dict[str, str]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        if message.get("body"):
            await asyncio.Event().wait()

    statuses: list[int] = []
    monkeypatch.setattr(hub.app._requests, "_observe", lambda event: statuses.append(event.status))
    async with asyncio.timeout(10):
        await hub.app(scope, receive, send)
    assert statuses == [499]


@pytest.mark.parametrize(("fast_seconds", "most"), [(60.0, 4 * 1024 * 1024), (-1.0, 512 * 1024)])
async def test_only_clients_that_take_much_are_given_large_pieces(
    hub: HubCalls, monkeypatch: pytest.MonkeyPatch, fast_seconds: float, most: int
) -> None:
    """What a slow client is being sent is held for as long as it takes."""
    content = b"x" * 20_000_000
    await hub.client.put(f"{FILES}/f", content=content)
    monkeypatch.setattr("penstock.hub.files.sending._FAST_SECONDS", fast_seconds)
    asked: list[int] = []
    run = FileWork.run

    async def counted(self: FileWork, function: Any, *arguments: Any) -> Any:
        asked.extend(each for each in arguments if isinstance(each, int))
        return await run(self, function, *arguments)

    monkeypatch.setattr(FileWork, "run", counted)
    assert (await hub.client.get(f"{FILES}/f")).content == content
    assert (asked[0], max(asked)) == (512 * 1024, most)
