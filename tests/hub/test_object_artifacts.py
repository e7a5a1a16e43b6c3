"""A hub whose artifacts are in S3, or with Google: all that one on a disk does, and what is said where it cannot."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hub.conftest import HubCalls, hub_over
from penstock.package.seal import digest_of
from support.gcs import gcs_server, gcs_variables
from support.http_stand_in import answering

fsspec: Any = pytest.importorskip("fsspec")

# gcsfs hands aiohttp each part as bytes, in a thread's loop where they hold up nobody.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

FILES = "/api/2.0/mlflow-artifacts/artifacts"
CONTENT = bytes(range(256)) * 36_000  # 9.2 MB: two parts


@pytest.fixture(scope="module")
def gcs_endpoint() -> Iterator[str]:
    with gcs_server() as url:
        yield url


@pytest.fixture
def gcs(gcs_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    for name, value in gcs_variables(gcs_endpoint).items():
        monkeypatch.setenv(name, value)
    from gcsfs.core import GCSFileSystem

    GCSFileSystem.clear_instance_cache()
    return f"gs://models/{request.node.name.partition('[')[0]}"


@pytest_asyncio.fixture(params=["bucket", "gcs"])
async def stored(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[HubCalls]:
    async with hub_over(str(tmp_path / "store"), f"{request.getfixturevalue(request.param)}/artifacts") as hub:
        yield hub


@pytest.fixture
def s3_hub(bucket: str, tmp_path: Path) -> Any:
    return hub_over(str(tmp_path / "store"), f"{bucket}/artifacts")


async def test_files_go_both_ways_in_parts_and_away(stored: HubCalls) -> None:
    run_id = await stored.made_run()
    place = f"0/{run_id}/artifacts"
    for name, content in (("a%20b+c%25.bin", CONTENT), ("d/empty", b""), ("d/page.html", b"<script>")):
        answer = await stored.client.put(f"{FILES}/{place}/{name}", content=content)
        assert answer.status_code == 200, answer.text
        assert (await stored.client.get(f"{FILES}/{place}/{name}")).content == content
    listed = (await stored.get("artifacts/list", run_id=run_id)).json()["files"]
    assert listed == [
        {"path": "a b+c%.bin", "is_dir": False, "file_size": len(CONTENT)},
        {"path": "d", "is_dir": True},
    ]
    assert [each["path"] for each in (await stored.get(FILES, path=f"{place}/d")).json()["files"]] == [
        "empty",
        "page.html",
    ]
    assert (await stored.get(FILES, path=f"{place}/d/empty")).json() == {}
    assert (await stored.get(FILES, path=f"{place}/d/page.html")).json() == {}
    assert (await stored.get(FILES, path="nowhere")).json() == {}
    whole = await stored.client.get(f"{FILES}/{place}/a%20b+c%25.bin", headers={"Range": "bytes=7-5000006"})
    assert (whole.status_code, whole.content) == (206, CONTENT[7:5000007])
    known = {"If-None-Match": whole.headers["etag"]}
    assert (await stored.client.get(f"{FILES}/{place}/a%20b+c%25.bin", headers=known)).status_code == 304
    assert (await stored.client.head(f"{FILES}/{place}/d/page.html")).headers["content-length"] == "8"
    assert (await stored.client.get(f"{FILES}/{place}/d")).status_code == 400
    assert (await stored.client.delete(f"{FILES}/{place}/d")).json() == {}
    assert (await stored.client.get(f"{FILES}/{place}/d/empty")).status_code == 404
    assert (await stored.client.delete(f"{FILES}/{place}/d")).status_code == 404


async def cut_off(hub: HubCalls, content: bytes) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield content
        raise ConnectionError("gone")

    assert (await hub.client.put(f"{FILES}/half", content=half())).status_code >= 500
    assert (await hub.get(FILES)).json() == {}
    assert (await hub.client.get(f"{FILES}/half")).status_code == 404


async def test_an_upload_that_is_cut_off_leaves_nothing(stored: HubCalls) -> None:
    await cut_off(stored, CONTENT[:1_000_000])


async def test_nothing_of_an_upload_that_was_cut_off_is_paid_for(s3_hub: Any, bucket: str) -> None:
    async with s3_hub as hub:
        await cut_off(hub, CONTENT)
    driver = fsspec.filesystem("s3")
    assert driver.call_s3("list_multipart_uploads", Bucket=bucket.removeprefix("s3://")).get("Uploads") is None


async def test_registered_files_stay_whatever_their_place_is_called(s3_hub: Any, bucket: str) -> None:
    async with s3_hub as hub:
        run_id = await hub.made_run()
        model = f"0/{run_id}/artifacts/model"
        await hub.client.put(f"{FILES}/{model}/MLmodel", content=b"flavors: {}")
        await hub.post("registered-models/create", name="m")
        await hub.post("model-versions/create", name="m", source=f"runs:/{run_id}/model", run_id=run_id)
        for location in (f"{bucket}/artifacts/{model}", f"{bucket.replace('s3:', 's3a:')}/artifacts/{model}"):
            experiment = await hub.post("experiments/create", name=location, artifact_location=location)
            assert experiment.status_code == 200
            other = await hub.made_run(experiment.json()["experiment_id"])
            place = f"/ajax-api/2.0/mlflow/upload-artifact?run_id={other}&path=x"
            assert (await hub.client.post(place, content=b"x")).status_code == 409
        assert (await hub.client.put(f"{FILES}/{model}/MLmodel", content=b"x")).status_code == 409
        assert (await hub.client.delete(f"{FILES}/0")).status_code == 409
        version = hub.opened.registry.version("m", "1")
        assert len(version.digest) == 64


MANIFEST = b"""flavors: {sklearn: {}, python_function: {loader_module: x}}
signature: {inputs: '[{"type": "double", "name": "a", "required": true}]', outputs: null}
"""


async def test_what_a_version_in_a_bucket_says_is_known_once_it_is_registered(s3_hub: Any, bucket: str) -> None:
    """By MLflow's call, and by our own."""
    files = {"MLmodel": MANIFEST, "w": b"123"}
    digest = digest_of({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    async with s3_hub as hub:
        run_id = await hub.made_run()
        for place in (f"0/{run_id}/artifacts/model", f"m/{digest}"):
            for name, content in files.items():
                await hub.client.put(f"{FILES}/{place}/{name}", content=content)
        await hub.post("registered-models/create", name="m")
        first = await hub.post("model-versions/create", name="m", source=f"runs:/{run_id}/model", run_id=run_id)
        told = {"name": "m", "source": f"m/{digest}", "digest": digest}
        second = await hub.client.post("/api/penstock/v1/registry/versions/register", json=told)
        assert (first.status_code, second.status_code) == (200, 200), (first.text, second.text)
        for found in hub.opened.registry.versions("m"):
            assert (found.status, found.digest, found.size_bytes) == ("READY", digest, len(MANIFEST) + 3)
            assert found.flavors == ("sklearn", "python_function")
            assert found.signature is not None
            assert '"name": "a"' in found.signature["inputs"]


async def test_an_experiment_in_another_bucket_is_read_and_not_written(s3_hub: Any, bucket: str) -> None:
    async with s3_hub as hub:
        made = await hub.post("experiments/create", name="direct", artifact_location=f"{bucket}/direct")
        run_id = await hub.made_run(made.json()["experiment_id"])
        fsspec.filesystem("s3").pipe_file(f"{bucket}/direct/{run_id}/artifacts/f", b"logged")
        assert (await hub.get("artifacts/list", run_id=run_id)).json()["files"][0]["path"] == "f"
        assert (await hub.get("/get-artifact", run_id=run_id, path="f")).content == b"logged"
        place = f"/ajax-api/2.0/mlflow/upload-artifact?run_id={run_id}&path=x"
        assert (await hub.client.post(place, content=b"x")).status_code == 400


async def test_a_name_is_no_pattern_and_no_version(s3_hub: Any) -> None:
    """Drivers read more in a name than there is: deleting `d*` took `d1` along, and `?versionId=` named what is old."""
    async with s3_hub as hub:
        for path in ("d%2A/f", "d1/f", "d%5B1%5D/f"):
            assert (await hub.client.put(f"{FILES}/{path}", content=b"x")).status_code == 200
        for path in ("d%2A", "d%5B1%5D"):
            assert (await hub.client.delete(f"{FILES}/{path}")).status_code == 200
        assert (await hub.get(FILES)).json() == {"files": [{"path": "d1", "is_dir": True}]}
        for path in ("d1/f%3FversionId=1", "d1/f%3FversionId=", "d1%3Fversionid=2/f"):
            assert (await hub.client.get(f"{FILES}/{path}")).status_code == 400
            assert (await hub.client.put(f"{FILES}/{path}", content=b"y")).status_code == 400
        assert (await hub.client.get(f"{FILES}/d1/f")).content == b"x"


async def _answers(hub: HubCalls) -> list[Any]:
    return [
        await hub.client.put(f"{FILES}/f", content=b"x"),
        await hub.client.get(f"{FILES}/f"),
        await hub.get(FILES, path="d"),
        await hub.client.delete(f"{FILES}/f"),
    ]


async def test_a_bucket_that_is_not_there_is_named(s3_endpoint: str, bucket: str, tmp_path: Path) -> None:
    async with hub_over(str(tmp_path / "store"), "s3://no-such-bucket/artifacts") as hub:
        for answer in await _answers(hub):
            assert answer.status_code == 502
            assert "s3://no-such-bucket" in answer.json()["message"]
            assert "Create the bucket" in answer.json()["message"]


async def test_credentials_that_are_wrong_are_said(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    with answering(403, denied) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        async with hub_over(str(tmp_path / "store"), "s3://closed/artifacts") as hub:
            for answer in await _answers(hub):
                assert answer.status_code == 502, answer.text
                assert "AWS_ACCESS_KEY_ID" in answer.json()["message"]


async def test_a_store_that_is_away_is_unavailable(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    async with hub_over(str(tmp_path / "store"), "s3://away/artifacts") as hub:
        answer = await hub.client.get(f"{FILES}/f")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert "cannot be reached" in answer.json()["message"]
        assert (await hub.get("experiments/get", experiment_id="0")).status_code == 200


async def test_a_store_that_fails_at_the_first_piece_is_told_by_a_status(
    s3_hub: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with s3_hub as hub:
        await hub.client.put(f"{FILES}/f", content=b"x")

        async def failing(*_: Any, **__: Any) -> bytes:
            raise OSError("reset")

        monkeypatch.setattr("s3fs.core._inner_fetch", failing, raising=False)
        monkeypatch.setattr("s3fs.core.S3FileSystem._cat_file", failing)
        answer = await hub.client.get(f"{FILES}/f")
        assert (answer.status_code, "failed: reset" in answer.text) == (503, True)
