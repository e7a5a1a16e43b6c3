"""Asks a real MLflow server what tests/registry/test_mlflow*.py ask, and writes its answers to mlflow_answers.json.

.venv/bin/python tests/services/record_mlflow.py     (after make mlflow-env)
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from penstock.artifacts import PackageCache
from penstock.errors import PenstockError
from penstock.mlflow_api.client import MlflowRestClient
from penstock.registry.mlflow.store import MlflowRegistry
from registry.replay import ANSWERS, Replay
from services.mlflow_servers import client_of, running


def record() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        options = ("--artifacts-destination", str(place / "artifacts"), "--serve-artifacts")
        with running(place, *options) as server, client_of(server.url) as client:
            first = client.log(name="fraud")
            second = client.log(name="fraud", width=4)
            third = client.log_into_run(name="fraud")
            client.alias(name="fraud", alias="production", version="1")
            client.alias(name="fraud", alias="champion", version="3")
            client.stage(name="fraud", version="2", stage="Production")
            client.stage(name="fraud", version="3", stage="Staging")
            client.register(name="elsewhere")
            replay = Replay(server.url)
            registry = MlflowRegistry(MlflowRestClient(replay.url), PackageCache(place / "cache"))

            def ask(what: Callable[..., object], *arguments: str) -> None:
                try:
                    what(*arguments)
                except PenstockError as error:
                    print(error)

            def fetch(name: str, number: str) -> object:
                return registry.fetch(registry.version(name, number))

            def signature(name: str, number: str) -> object:
                return registry.signature(registry.version(name, number))

            ask(registry.models)
            for name in ("fraud", "elsewhere", "absent", "FRAUD"):
                ask(registry.model, name)
                ask(registry.versions, name)
                ask(registry.latest, name)
                for alias in ("production", "staging", "archived", "champion", "absent"):
                    ask(registry.resolve, name, alias)
                for number in ("1", "2", "3", "9"):
                    ask(fetch, name, number)
                    ask(signature, name, number)
            uris = {
                "logged": f"models:/{first['model']}",
                "no_logged": "models:/m-" + "0" * 32,
                "run3": f"runs:/{second['run']}/model",
                "run2": f"runs:/{third['run']}/the model",
                "no_run": "runs:/absent/model",
                "no_path": f"runs:/{first['run']}/absent",
                "artifacts": f"mlflow-artifacts:/0/models/{first['model']}/artifacts",
                "no_artifacts": "mlflow-artifacts:/0/absent",
                "version": "models:/fraud/1",
                "alias": "models:/fraud@champion",
            }
            for uri in uris.values():
                ask(registry.fetch_uri, uri)
            registry.close()
            replay.close()
    recorded = {"facts": uris, **dict(sorted(replay.recorded.items()))}
    ANSWERS.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(replay.recorded)} answers, {ANSWERS.stat().st_size} bytes")


if __name__ == "__main__":
    record()
