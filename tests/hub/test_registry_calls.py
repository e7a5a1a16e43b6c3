"""The registry over MLflow's REST: models, versions, stages, aliases, and whose files a version may have."""

from __future__ import annotations

from typing import Any

import pytest

from hub.conftest import API, HubCalls
from penstock.package import PackagedModel
from penstock.registry import NewVersion
from penstock.registry.entries import ModelQuery

FILES = "/api/2.0/mlflow-artifacts/artifacts"
MANIFEST = b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\nmodel_uuid: x\n"


async def sent(hub: HubCalls, method: str, path: str, **content: Any) -> dict[str, Any]:
    answer = await hub.client.request(method, f"{API}{path}", json=content)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def logged_model(hub: HubCalls, *files: str) -> tuple[str, str]:
    """A logged model with files: its id, and the path of its files with the hub."""
    answer = await hub.post("logged-models", experiment_id="0", name="model")
    info = answer.json()["model"]["info"]
    place = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    for name in files:
        await hub.client.put(f"{FILES}/{place}/{name}", content=MANIFEST)
    return info["model_id"], place


async def registered(hub: HubCalls, name: str = "fraud") -> tuple[dict[str, Any], str]:
    """A version of a logged model: as it was answered, and the path of its files."""
    await hub.post("registered-models/create", name=name)
    model_id, place = await logged_model(hub, "MLmodel", "data/model.pkl")
    version = await sent(
        hub, "POST", "model-versions/create", name=name, source=f"models:/{model_id}", model_id=model_id
    )
    return version["model_version"], place


async def test_a_version_of_a_logged_model_is_read_when_it_is_registered(hub: HubCalls) -> None:
    version, place = await registered(hub)
    assert (version["version"], version["status"], version["current_stage"]) == ("1", "READY", "None")
    known = hub.opened.registry.version("fraud", "1")
    assert known.digest is not None
    assert (known.flavors, known.size_bytes) == (("python_function",), 2 * len(MANIFEST))
    assert known.registered_by == "anonymous"
    assert known.source.endswith(place)
    with hub.opened.registry.fetch(known) as fetched:
        assert PackagedModel.open(fetched.path).digest == known.digest
    uri = await hub.get("model-versions/get-download-uri", name="fraud", version="1")
    assert uri.json() == {"artifact_uri": f"mlflow-artifacts:/{place}"}
    model = (await hub.get(f"logged-models/{known.logged_model}")).json()["model"]["info"]
    assert {"key": "mlflow.modelVersions", "value": '[{"name": "fraud", "version": 1}]'} in model["tags"]


async def test_files_of_a_registered_version_stay_as_they_are(hub: HubCalls) -> None:
    _, place = await registered(hub)
    for method, path in (
        ("PUT", f"{place}/MLmodel"),
        ("PUT", f"{place}/new/file"),
        ("DELETE", f"{place}/MLmodel"),
        ("DELETE", place),
        ("DELETE", place.rpartition("/")[0]),
    ):
        answer = await hub.client.request(method, f"{FILES}/{path}", content=b"x" if method == "PUT" else b"")
        assert (answer.status_code, answer.json()["error_code"]) == (409, "RESOURCE_CONFLICT"), path
        assert "version 1 of model 'fraud'" in answer.json()["message"]
    assert (await hub.client.get(f"{FILES}/{place}/MLmodel")).content == MANIFEST
    assert (await hub.client.put(f"{FILES}/{place}2/MLmodel", content=b"x")).status_code == 200
    await sent(hub, "DELETE", "model-versions/delete", name="fraud", version="1")
    assert (await hub.client.put(f"{FILES}/{place}/MLmodel", content=b"x")).status_code == 200


async def test_a_copy_has_the_files_of_what_it_was_copied_from(hub: HubCalls) -> None:
    first, place = await registered(hub)
    await hub.post("registered-models/create", name="copy")
    copied = await sent(hub, "POST", "model-versions/create", name="copy", source="models:/fraud/1")
    assert copied["model_version"]["source"] == "models:/fraud/1"
    again = await sent(hub, "POST", "model-versions/create", name="copy", source="models:/copy/1")
    for number in ("1", again["model_version"]["version"]):
        uri = await hub.get("model-versions/get-download-uri", name="copy", version=number)
        assert uri.json() == {"artifact_uri": f"mlflow-artifacts:/{place}"}
    assert hub.opened.registry.version("copy", "2").digest == hub.opened.registry.version("fraud", "1").digest
    assert first["source"].startswith("models:/m-")


async def test_a_runs_model_is_found_in_its_artifacts_or_among_its_logged_models(
    hub: HubCalls, caplog: pytest.LogCaptureFixture
) -> None:
    run = await hub.made_run()
    await hub.client.put(f"{FILES}/0/{run}/artifacts/old/MLmodel", content=MANIFEST)
    made = await hub.post("logged-models", experiment_id="0", name="new", source_run_id=run)
    place = made.json()["model"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    await hub.client.put(f"{FILES}/{place}/MLmodel", content=MANIFEST)
    await hub.post("registered-models/create", name="fraud")
    for name in ("old", "new"):
        source = f"runs:/{run}/{name}"
        found = await sent(hub, "POST", "model-versions/create", name="fraud", source=source, run_id=run)
        assert (found["model_version"]["source"], found["model_version"]["run_id"]) == (source, run)
    known = hub.opened.registry
    assert known.version("fraud", "1").source.endswith(f"0/{run}/artifacts/old")
    assert known.version("fraud", "2").source.endswith(place)
    (told,) = [line for line in caplog.messages if "was given as a source" in line]
    assert f"runs:/{run}/new" in told
    assert told.endswith(f"Register models:/{made.json()['model']['info']['model_id']} for it.")
    assert None not in [version.digest for version in known.versions("fraud")]


async def test_files_that_are_no_package_are_registered_without_a_digest(
    hub: HubCalls, caplog: pytest.LogCaptureFixture
) -> None:
    run = await hub.made_run()
    await hub.post("registered-models/create", name="fraud")
    source = f"mlflow-artifacts:/0/{run}/artifacts/nothing"
    await sent(hub, "POST", "model-versions/create", name="fraud", source=source, run_id=run)
    await sent(hub, "POST", "model-versions/create", name="fraud", source="s3://bucket/model")
    assert [v.digest for v in hub.opened.registry.versions("fraud")] == [None, None]
    assert f"There is no MLmodel at '0/{run}/artifacts/nothing' to load a version from" in caplog.text
    assert hub.opened.registry.version("fraud", "2").source == "s3://bucket/model"


@pytest.mark.parametrize(
    "source",
    [
        "/etc/passwd",
        "etc",
        "file:///etc",
        "file://localhost/etc",
        "s3://bucket/../x",
        "s3://bucket/%2e%2e/x",
        "s3://bucket/%252e%252e%252fx",
        "s3://bucket/a#/../x",
        "s3://bucket/a%23b",
        "s3://bucket/a%00",
        "s3://bucket/a\\..\\b",
        "http://169.254.169.254/latest",
        "https://localhost/api/2.0/mlflow-artifacts/artifacts/0/x",
        "ftp://host/x",
        "mlflow-artifacts:/0/other/artifacts",
        "mlflow-artifacts:/",
        "mlflow-artifacts:/0/{run}/artifacts2/model",
        "mlflow-artifacts:/0/{run}/artifacts/..;/x/../../y",
        "mlflow-artifacts://elsewhere/0/{run}/artifacts/model",
        "runs:/00000000000000000000000000000000/model",
        "runs://host/{run}/model",
        "runs:/{run}",
        "models:/m-00000000000000000000000000000000",
        "models://host/fraud/1",
    ],
)
async def test_a_source_that_may_lead_elsewhere_is_refused(hub: HubCalls, source: str) -> None:
    run = await hub.made_run()
    await hub.post("registered-models/create", name="fraud")
    answer = await hub.post("model-versions/create", name="fraud", source=source.replace("{run}", run), run_id=run)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert hub.opened.registry.versions("fraud") == []


async def test_ids_must_say_whose_artifact_a_source_is(hub: HubCalls) -> None:
    model_id, place = await logged_model(hub, "MLmodel")
    other_id, _ = await logged_model(hub)
    run = await hub.made_run()
    await hub.post("registered-models/create", name="fraud")
    for source, ids in (
        (f"models:/{model_id}", {}),
        (f"models:/{model_id}", {"model_id": other_id}),
        (f"models:/{model_id}", {"run_id": run}),
        (f"mlflow-artifacts:/{place}", {}),
        (f"mlflow-artifacts:/{place}", {"model_id": other_id}),
        (f"mlflow-artifacts:/{place}", {"run_id": "absent"}),
        (f"runs:/{run}/model", {}),
        (f"runs:/{run}/model", {"run_id": run, "model_id": model_id}),
    ):
        answer = await hub.post("model-versions/create", name="fraud", source=source, **ids)
        assert answer.status_code == 400, (source, ids, answer.text)
    accepted = await hub.post(
        "model-versions/create", name="fraud", source=f"mlflow-artifacts:/{place}", model_id=model_id
    )
    assert accepted.status_code == 200


async def test_a_local_path_is_taken_inside_the_runs_own_directory(hub: HubCalls, tmp_path: Any) -> None:
    made = await hub.post("experiments/create", name="local", artifact_location=f"file://{tmp_path}/runs")
    run = await hub.made_run(made.json()["experiment_id"])
    place = tmp_path / "runs" / run / "artifacts"
    (place / "model").mkdir(parents=True)
    (place / "link").symlink_to("/etc")
    await hub.post("registered-models/create", name="fraud")
    for source, status in (
        (f"{place}/model", 200),
        (f"file://{place}/model", 200),
        (f"{place}/link", 400),
        ("/etc", 400),
    ):
        answer = await hub.post("model-versions/create", name="fraud", source=source, run_id=run)
        assert answer.status_code == status, answer.text


async def test_prompts_are_registered_models_that_searches_hide(hub: HubCalls) -> None:
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "mlflow.prompt.text", "value": "Hello {x}"}]
    await hub.post("registered-models/create", name="greeting", tags=tags[:1])
    made = await sent(
        hub, "POST", "model-versions/create", name="greeting", source="dummy-source", tags=tags, description="first"
    )
    assert made["model_version"]["source"] == "dummy-source"
    assert (await hub.post("model-versions/create", name="greeting", source="x", tags=tags)).status_code == 400
    assert (await hub.get("registered-models/search")).json() == {}
    found = await hub.get("registered-models/search", filter="tag.`mlflow.prompt.is_prompt` = 'true'")
    assert [model["name"] for model in found.json()["registered_models"]] == ["greeting"]
    await hub.post("registered-models/create", name="fraud")
    copied = await hub.post("model-versions/create", name="fraud", source="models:/greeting/1")
    assert copied.status_code == 400


async def test_who_changed_what_is_kept_with_the_tokens_name(hub: HubCalls) -> None:
    await registered(hub)
    await sent(hub, "POST", "registered-models/alias", name="fraud", alias="champion", version="1")
    await sent(hub, "DELETE", "model-versions/delete", name="fraud", version="1")
    registry = hub.opened.registry
    assert [(c.kind, c.by) for c in registry.changes("fraud")] == [
        ("create", "anonymous"),
        ("register", "anonymous"),
        ("delete", "anonymous"),
    ]
    assert [(m.kind, m.to_version, m.by) for m in registry.history("fraud")] == [
        ("promote", "1", "anonymous"),
        ("remove", None, "anonymous"),
    ]
    assert registry.find_models(ModelQuery()).items[0].aliases == {}


async def test_what_the_command_line_registered_is_read_through_the_hub(hub: HubCalls) -> None:
    hub.opened.registry.register("fraud", NewVersion("fraud/abc"))
    found = (await hub.get("model-versions/get", name="fraud", version="1")).json()["model_version"]
    assert found["source"] == "mlflow-artifacts:/fraud/abc"
    assert (await hub.client.put(f"{FILES}/fraud/abc/MLmodel", content=b"x")).status_code == 409


async def test_errors_say_what_clients_look_for_in_them(hub: HubCalls) -> None:
    """The words of MLflow's server, of what the request names, and of nothing else."""
    await hub.post("registered-models/create", name="fraud")

    async def told(method: str, path: str, **fields: Any) -> str:
        query, content = (fields, None) if method == "GET" else (None, fields)
        asked = hub.client.request(method, f"{API}{path}", params=query, json=content)
        answer: dict[str, str] = (await asked).json()
        return answer["message"]

    absent = "Registered Model with name=absent not found."
    assert await told("GET", "registered-models/get", name="absent") == absent
    assert await told("POST", "model-versions/create", name="absent", source="s3://b/x") == absent
    assert await told("POST", "registered-models/rename", name="absent", new_name="x") == absent
    taken = "Registered Model (name=fraud) already exists."
    assert await told("POST", "registered-models/create", name="fraud") == taken
    await hub.post("registered-models/create", name="churn")
    assert await told("POST", "registered-models/rename", name="churn", new_name="fraud") == taken
    gone = "Model Version (name=fraud, version=9) not found."
    assert await told("GET", "model-versions/get", name="fraud", version="9") == gone
    stage = {"name": "fraud", "version": "9", "stage": "Staging"}
    assert await told("POST", "model-versions/transition-stage", **stage) == gone
    assert (
        await told("GET", "registered-models/alias", name="fraud", alias="x") == "Registered model alias x not found."
    )
    copied = await told("POST", "model-versions/create", name="fraud", source="models:/absent/1")
    assert copied == absent
    assert "name=fraud" not in copied


async def test_a_source_that_is_no_version_is_named_in_mlflows_words(hub: HubCalls) -> None:
    await hub.post("registered-models/create", name="m")
    for source, told in (
        ("models:/m/99", "Model Version (name=m, version=99) not found."),
        ("models:/m@x", "Registered model alias x not found."),
        ("models:/nobody/1", "Registered Model with name=nobody not found."),
    ):
        answer = await hub.post("model-versions/create", name="m", source=source)
        assert answer.json()["message"] == told
    answer = await hub.client.request("DELETE", f"{API}model-versions/delete", json={"name": "m", "version": 99})
    assert "99" in answer.json()["message"]
