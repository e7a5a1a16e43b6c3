"""Files by whose they are: a run's, a logged model's, a version's; and transfers that the hub leaves to others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.conftest import HubCalls

FILES = "/api/2.0/mlflow-artifacts/artifacts"
PAGES = "/ajax-api/2.0/mlflow"


async def logged_model(hub: HubCalls) -> str:
    answer = await hub.post("logged-models", experiment_id="0", name="model")
    return str(answer.json()["model"]["info"]["model_id"])


async def put(hub: HubCalls, path: str, content: bytes = b"x") -> None:
    assert (await hub.client.put(f"{FILES}/{path}", content=content)).status_code == 200


async def test_files_of_a_logged_model(hub: HubCalls) -> None:
    model_id = await logged_model(hub)
    await put(hub, f"0/models/{model_id}/artifacts/MLmodel", b"flavors: {}")
    await put(hub, f"0/models/{model_id}/artifacts/data/a.bin")
    listed = (await hub.get(f"logged-models/{model_id}/artifacts/directories")).json()
    assert listed == {
        "root_uri": f"mlflow-artifacts:/0/models/{model_id}/artifacts",
        "files": [{"path": "MLmodel", "is_dir": False, "file_size": 11}, {"path": "data", "is_dir": True}],
    }
    place = f"logged-models/{model_id}/artifacts/directories"
    below = (await hub.get(place, artifact_directory_path="data")).json()
    assert below["files"] == [{"path": "data/a.bin", "is_dir": False, "file_size": 1}]
    answer = await hub.get(f"{PAGES}/logged-models/{model_id}/artifacts/files", artifact_file_path="MLmodel")
    assert (answer.content, answer.headers["content-type"]) == (b"flavors: {}", "text/plain; charset=utf-8")
    assert (await hub.get(f"{PAGES}/logged-models/{model_id}/artifacts/files")).status_code == 400
    assert (await hub.get("logged-models/m-0/artifacts/directories")).status_code == 404


async def test_files_of_a_version_wherever_they_are_registered_from(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    await put(hub, f"0/{run_id}/artifacts/model/MLmodel", b"flavors: {}")
    await hub.post("registered-models/create", name="m")
    made = await hub.post("model-versions/create", name="m", source=f"runs:/{run_id}/model", run_id=run_id)
    assert made.status_code == 200
    answer = await hub.get("/model-versions/get-artifact", name="m", version="1", path="MLmodel")
    assert (answer.status_code, answer.content) == (200, b"flavors: {}")
    for query, status in (
        ({"name": "m", "version": "2", "path": "MLmodel"}, 404),
        ({"name": "m", "version": "1", "path": "nothing"}, 404),
        ({"name": "m", "version": "1"}, 400),
        ({"name": "m", "version": "1", "path": "../../MLmodel"}, 400),
        ({"name": "m", "version": "1", "path": "MLmodel", "presigned": "true"}, 501),
    ):
        assert (await hub.get("/model-versions/get-artifact", **query)).status_code == status, query


async def test_pages_upload_small_files_of_a_run(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    place = f"{PAGES}/upload-artifact?run_uuid={run_id}&path="
    assert (await hub.client.post(f"{place}tables/a.json", content=b"[]")).json() == {}
    assert (await hub.get("/get-artifact", run_uuid=run_id, path="tables/a.json")).content == b"[]"
    assert (await hub.client.post(f"{place}a", content=b"")).status_code == 400
    assert (await hub.client.post(f"{place}../a", content=b"x")).status_code == 400
    assert (await hub.client.post(place, content=b"x")).status_code == 400
    assert (await hub.client.post(f"{place}a", content=b"x" * (10 * 1024 * 1024 + 1))).status_code == 413
    assert (await hub.client.post(f"{PAGES}/upload-artifact?path=a", content=b"x")).status_code == 400
    assert (await hub.client.post(f"/api/2.0/mlflow/upload-artifact?run_id={run_id}&path=a")).status_code == 404


@pytest.mark.parametrize("method", ["create", "complete", "abort"])
async def test_uploads_in_parts_are_refused_as_the_client_understands(hub: HubCalls, method: str) -> None:
    for beginning in ("api", "ajax-api"):
        place = f"/{beginning}/2.0/mlflow-artifacts/mpu/{method}/1/r/artifacts"
        answer = await hub.client.post(place, json={"path": "f", "num_parts": 2})
        assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
    assert (await hub.client.post(place.replace("/r/", "/%2e%2e/"), json={"path": "f"})).status_code == 400


async def test_signed_urls_are_refused(hub: HubCalls) -> None:
    assert (await hub.get("/api/2.0/mlflow-artifacts/presigned/1/r/f")).status_code == 501
    run_id, model_id = await hub.made_run(), await logged_model(hub)
    for place, fields, status in (
        ("upload", {"run_id": run_id, "path": "f"}, 400),
        ("upload", {"model_id": model_id, "path": "f"}, 400),
        ("upload", {"run_id": run_id, "model_id": model_id, "path": "f"}, 400),
        ("upload", {"run_id": run_id}, 400),
        ("download", {"run_id": run_id, "path": "f"}, 400),
        ("download", {"run_id": "nothing", "path": "f"}, 404),
    ):
        assert (await hub.post(f"artifacts/presigned-{place}-url", **fields)).status_code == status, (place, fields)


async def test_an_experiment_elsewhere_keeps_its_files_from_the_hub(hub: HubCalls, tmp_path: Path) -> None:
    """Neither the hub's disk nor another host is read because somebody says that an experiment is there."""
    made = await hub.post("experiments/create", name="disk", artifact_location=f"file://{tmp_path}")
    run_id = await hub.made_run(made.json()["experiment_id"])
    (tmp_path / run_id / "artifacts").mkdir(parents=True)
    (tmp_path / run_id / "artifacts" / "secret").write_text("secret")
    asked: list[Any] = [
        await hub.get("artifacts/list", run_id=run_id),
        await hub.get("/get-artifact", run_id=run_id, path="secret"),
        await hub.client.post(f"{PAGES}/upload-artifact?run_id={run_id}&path=a", content=b"x"),
    ]
    assert [answer.status_code for answer in asked] == [400, 400, 400]
    refused = await hub.post("experiments/create", name="host", artifact_location="http://169.254.169.254/latest")
    assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


async def test_a_location_below_the_artifacts_is_the_same_place(hub: HubCalls, tmp_path: Path) -> None:
    """Else whoever spells it as a URL changes what a version was registered with."""
    location = f"{tmp_path}/artifacts/team"
    made = await hub.post("experiments/create", name="team", artifact_location=location)
    run_id = await hub.made_run(made.json()["experiment_id"])
    await put(hub, f"team/{run_id}/artifacts/f", b"here")
    assert (await hub.get("/get-artifact", run_id=run_id, path="f")).content == b"here"
