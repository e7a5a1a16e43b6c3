"""Run by the MLflow environment's Python: all that the stock client can see at MLFLOW_TRACKING_URI, as JSON."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import mlflow  # noqa: E402
from mlflow.entities import ViewType  # noqa: E402


def experiments(client: mlflow.MlflowClient) -> dict[str, Any]:
    return {each.experiment_id: dict(each) for each in client.search_experiments(ViewType.ALL)}


def runs(client: mlflow.MlflowClient, ids: list[str]) -> dict[str, Any]:
    found = {}
    token: str | None = None
    while True:
        page = client.search_runs(ids, run_view_type=ViewType.ALL, max_results=500, page_token=token)
        for each in page:
            given = each.to_dictionary()
            for listed in ("dataset_inputs", "model_inputs"):
                given["inputs"][listed] = sorted(given["inputs"].get(listed) or [], key=repr)
            outputs = sorted(given.pop("outputs", {}).get("model_outputs") or [], key=repr)
            history = {key: _history(client, each.info.run_id, key) for key in each.data.metrics}
            found[each.info.run_id] = {**given, "outputs": outputs, "history": history}
        token = page.token
        if not token:
            return found


def logged_models(client: mlflow.MlflowClient, ids: list[str]) -> dict[str, Any]:
    found = {}
    for each in client.search_logged_models(ids, max_results=1000):
        given = each.to_dictionary()
        given["metrics"] = sorted((dict(metric) for metric in each.metrics or ()), key=repr)
        found[each.model_id] = given
    return found


def registry(client: mlflow.MlflowClient) -> dict[str, Any]:
    found = {}
    for model in client.search_registered_models(max_results=1000):
        given = dict(model)
        given["latest_versions"] = sorted((_version(each) for each in model.latest_versions), key=repr)
        versions = {each.version: _version(each) for each in client.search_model_versions(f"name = '{model.name}'")}
        aliases = {
            alias: client.get_model_version_by_alias(model.name, alias).version
            for alias in client.get_registered_model(model.name).aliases
        }
        files = {number: client.get_model_version_download_uri(model.name, number) for number in versions}
        found[model.name] = {**given, "versions": versions, "by_alias": aliases, "files": files}
    return found


def _history(client: mlflow.MlflowClient, run_id: str, key: str) -> list[Any]:
    return [(each.step, each.timestamp, repr(each.value)) for each in client.get_metric_history(run_id, key)]


def _version(each: Any) -> dict[str, Any]:
    given = dict(each)
    given["aliases"] = sorted(given["aliases"])
    return given


def main() -> None:
    client = mlflow.MlflowClient()
    found = experiments(client)
    ids = sorted(found)
    walked = {
        "experiments": found,
        "runs": runs(client, ids),
        "logged models": logged_models(client, ids),
        "registered models": registry(client),
    }
    print(json.dumps(walked, sort_keys=True, default=str))


if __name__ == "__main__":
    main()
