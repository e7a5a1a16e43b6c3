"""Run by the MLflow environment's Python: MLflow's own client, unchanged, through every registry call it has, against
the hub at MLFLOW_TRACKING_URI. Prints a line when all is as MLflow's own server would have it."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import mlflow  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.pyfunc import PythonModel  # noqa: E402

logging.disable(logging.WARNING)
client = mlflow.MlflowClient()


class Doubles(PythonModel):  # type: ignore[misc]
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return model_input * 2


def refused(code: str, call, *arguments, **named) -> None:  # type: ignore[no-untyped-def]
    told = None
    try:
        call(*arguments, **named)
    except MlflowException as error:
        told = error.error_code
    assert told == code, (call, arguments, told)


def registered_models() -> None:
    client.create_registered_model("fraud", tags={"team": "risk"}, description="first words")
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "fraud")
    client.create_registered_model("churn")
    client.update_registered_model("fraud", description="finds fraud")
    client.set_registered_model_tag("fraud", "owner", "ann")
    client.set_registered_model_tag("fraud", "gone", "x")
    client.delete_registered_model_tag("fraud", "gone")
    found = client.get_registered_model("fraud")
    assert (found.description, found.tags) == ("finds fraud", {"team": "risk", "owner": "ann"})
    assert found.latest_versions == []
    client.rename_registered_model("churn", "leavers")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "churn")
    assert [m.name for m in client.search_registered_models("name ILIKE 'FR%'")] == ["fraud"]
    page = client.search_registered_models(max_results=1, order_by=["name DESC"])
    assert [m.name for m in page] == ["leavers"]
    page = client.search_registered_models(max_results=1, order_by=["name DESC"], page_token=page.token)
    assert ([m.name for m in page], page.token or "") == (["fraud"], "")


def versions() -> None:
    with mlflow.start_run() as run:
        info = mlflow.pyfunc.log_model(name="model", python_model=Doubles(), registered_model_name="fraud")
        mlflow.pyfunc.log_model(name="model", python_model=Doubles())
        with tempfile.TemporaryDirectory() as place:
            mlflow.pyfunc.save_model(Path(place, "old"), python_model=Doubles())
            mlflow.log_artifacts(str(Path(place, "old")), "old")
    assert str(info.registered_model_version) == "1"
    assert str(mlflow.register_model(f"runs:/{run.info.run_id}/model", "fraud").version) == "2"
    assert str(mlflow.register_model(f"runs:/{run.info.run_id}/old", "fraud", tags={"kind": "old"}).version) == "3"
    made = client.create_model_version(
        "fraud",
        f"models:/{info.model_id}",
        run.info.run_id,
        {"a": "b"},
        "http://x/r",
        "by hand",
        model_id=info.model_id,
    )
    assert (made.version, made.status, made.run_id) == ("4", "READY", run.info.run_id)
    copied = client.copy_model_version("models:/fraud/1", "copies")
    assert (copied.name, copied.version) == ("copies", "1")
    client.update_model_version("fraud", "1", description="the first")
    client.set_model_version_tag("fraud", "1", "checked", "yes")
    client.set_model_version_tag("fraud", "1", "gone", "x")
    client.delete_model_version_tag("fraud", "1", "gone")
    found = client.get_model_version("fraud", "1")
    assert (found.description, found.tags["checked"], "gone" in found.tags) == ("the first", "yes", False)
    assert client.get_model_version_download_uri("fraud", "1").startswith("mlflow-artifacts:/")
    assert [v.version for v in client.search_model_versions("name = 'fraud'", order_by=["version_number ASC"])] == [
        "1", "2", "3", "4",
    ]  # fmt: skip
    assert [v.version for v in client.search_model_versions("tags.kind = 'old'")] == ["3"]
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "fraud", "99")
    refused("INVALID_PARAMETER_VALUE", client.create_model_version, "fraud", "/etc")
    for uri in ("models:/fraud/1", "models:/fraud/2", "models:/fraud/3", "models:/fraud/4", "models:/copies/1"):
        assert mlflow.pyfunc.load_model(uri).predict(21) == 42, uri


def stages_and_aliases() -> None:
    client.transition_model_version_stage("fraud", "1", "Production")
    client.transition_model_version_stage("fraud", "2", "Production", archive_existing_versions=True)
    client.set_model_version_tag("fraud", key="live", value="1", stage="Production")
    assert client.get_model_version("fraud", "2").tags["live"] == "1"
    assert {v.version: v.current_stage for v in client.get_latest_versions("fraud")} == {
        "1": "Archived", "2": "Production", "4": "None",
    }  # fmt: skip
    assert [v.version for v in client.get_latest_versions("fraud", ["Production"])] == ["2"]
    client.set_registered_model_alias("fraud", "champion", "1")
    client.set_registered_model_alias("fraud", "champion", "3")
    assert client.get_model_version_by_alias("fraud", "champion").version == "3"
    assert client.get_registered_model("fraud").aliases == {"champion": "3"}
    for uri in ("models:/fraud@champion", "models:/fraud/latest", "models:/fraud/Production"):
        assert mlflow.pyfunc.load_model(uri).predict(21) == 42, uri
    client.delete_registered_model_alias("fraud", "champion")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, "fraud", "champion")


def prompts() -> None:
    mlflow.genai.register_prompt("greeting", "Hello {{name}}", commit_message="first", tags={"tone": "warm"})
    mlflow.genai.set_prompt_alias("greeting", "production", 1)
    assert mlflow.genai.load_prompt("prompts:/greeting@production").template == "Hello {{name}}"
    assert "greeting" not in [m.name for m in client.search_registered_models()]
    assert [p.name for p in mlflow.genai.search_prompts()] == ["greeting"]


def deleting() -> None:
    client.set_registered_model_alias("fraud", "champion", "3")
    client.delete_model_version("fraud", "3")
    assert client.get_registered_model("fraud").aliases == {}
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "fraud", "3")
    client.delete_registered_model("fraud")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "fraud")


if __name__ == "__main__":
    for part in (registered_models, versions, stages_and_aliases, prompts, deleting):
        part()
    print("as MLflow has it")
