"""Gateways made of settings: what is said of one model reaches that model alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.test_settings import example
from penstock.assembly import options
from penstock.assembly.gateway import app_of, make_gateway
from penstock.assembly.live.changes import own
from penstock.assembly.options import (
    check_mlflow_exact,
    follow_options_of,
    isolation_of,
    load_options_of,
    serving_options_of,
)
from penstock.assembly.packages import fetch_of
from penstock.assembly.references import parse_models, registry_of
from penstock.assembly.workers import worker_model_of
from penstock.config import ServerSettings, Settings, load_settings, per_model_settings
from penstock.errors import CodeNotTrusted, ConfigError, FlavorUnknown
from penstock.loading import LoadedModel, LoadOptions
from penstock.metrics import Metrics
from penstock.registry.memory import MemoryRegistry
from penstock.serving.gateway import Gateway
from penstock.serving.runners.isolation import Isolation
from penstock.serving.served_model import ServedModel
from penstock.serving.swap import version_loader
from penstock.serving.swap.preparing import SignatureGuard
from serving.fakes import loaded


class Unguarded(MemoryRegistry):
    guards_aliases = False


def options_of(settings: Settings) -> dict[str, Any]:
    """Everything that is made of a model's settings."""
    fetch = fetch_of(settings, Unguarded(), lambda: None)
    return {
        "load": load_options_of(settings),
        "serving": serving_options_of(settings),
        "isolation": isolation_of(settings),
        "follow": follow_options_of(settings),
        "guarded": isinstance(getattr(fetch, "__self__", None), SignatureGuard),
    }


@pytest.mark.parametrize("name", per_model_settings())
def test_every_setting_of_one_model_becomes_an_option_of_that_model(name: str) -> None:
    settings = ServerSettings(own={"iris": {name: example(name)[1]}})
    assert options_of(settings.of("iris")) != options_of(settings.of("other"))
    assert options_of(settings.of("other")) == options_of(Settings())


@pytest.mark.parametrize(
    ("everybody", "own", "exact"),
    [
        (False, {}, (False, False)),
        (True, {}, (True, True)),
        (False, {"iris": True}, (True, False)),
        (True, {"iris": False}, (False, True)),
    ],
)
def test_answers_are_mlflows_for_the_models_that_the_settings_say(
    everybody: bool, own: dict[str, bool], exact: tuple[bool, bool]
) -> None:
    tables = {name: {"mlflow_exact": value} for name, value in own.items()}
    settings = ServerSettings(mlflow_exact=everybody, own=tables)
    assert tuple(serving_options_of(settings.of(name)).mlflow_exact for name in ("iris", "other")) == exact


def test_exact_answers_are_refused_where_pandas_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "pandas_installed", lambda: False)
    with pytest.raises(ConfigError, match="needs pandas"):
        check_mlflow_exact(Settings(mlflow_exact=True))
    with pytest.raises(ConfigError, match="needs pandas"):
        check_mlflow_exact(ServerSettings(own={"iris": {"mlflow_exact": True}}))
    check_mlflow_exact(Settings())


def written(place: Path, content: str) -> Path:
    (place / "models.toml").write_text(content)
    return place / "models.toml"


@asynccontextmanager
async def gateway_of(file: Path) -> AsyncIterator[tuple[Gateway, ServerSettings]]:
    settings, _ = load_settings({}, {}, file)
    references = parse_models(settings)
    with registry_of(settings, references) as registry:
        gateway = make_gateway(settings, references, registry)
        try:
            await gateway.start()
            yield gateway, settings
        finally:
            await gateway.close()


async def test_models_with_settings_of_their_own_in_one_gateway(
    tmp_path: Path, iris_package: Path, python_package: Path
) -> None:
    content = f"""
    timeout = 30.0
    default_model = "iris"
    [models.iris]
    model = {json.dumps(str(iris_package))}
    timeout = 0.5
    max_rows = 16
    max_queue_rows = 100
    flavor = "sklearn"
    [models.adder]
    model = {json.dumps(str(python_package))}
    trust_code = true
    """
    async with gateway_of(written(tmp_path, content)) as (gateway, settings):
        iris, adder = gateway.find("iris"), gateway.find("adder")
        assert (iris.timeout, adder.timeout) == (0.5, 30.0)
        assert (iris.metrics.queue_limit_rows.value, adder.metrics.queue_limit_rows.value) == (100, 65_536)
        transport = httpx.ASGITransport(app_of(settings, gateway, None))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            rows = {"inputs": [{"a": 1, "b": 2}]}
            answer = await client.post("/models/adder/invocations", json=rows)
            assert answer.json() == {"predictions": [6.0]}
            described = (await client.get("/models/iris")).json()
            assert described["versions"][0]["flavor"] == "sklearn"
            columns = ("sepal_length", "sepal_width", "petal_length", "petal_width")
            many = {"inputs": [dict.fromkeys(columns, 1.0)] * 50}
            assert len((await client.post("/invocations", json=many)).json()["predictions"]) == 50
            above = [n for bound, n in iris.metrics.batch_rows.cumulative() if bound in ("16.0", "+Inf")]
            assert above[0] == above[1] > 0
    with pytest.raises(CodeNotTrusted):
        async with gateway_of(written(tmp_path, content.replace("trust_code = true", ""))):
            pass
    with pytest.raises(FlavorUnknown, match="no flavor 'onnx'"):
        async with gateway_of(written(tmp_path, content.replace('"sklearn"', '"onnx"'))):
            pass


async def test_in_a_worker_each_model_is_loaded_by_its_own_settings(
    python_package: Path, iris_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServerSettings(workers=2, own={"a": {"trust_code": True, "threads": 3, "timeout": 7.0}})
    metrics = Metrics(process=False)
    models = {
        name: worker_model_of(ServedModel(name, metrics), settings, metrics, lambda: False) for name in ("a", "b")
    }
    loads: dict[str, LoadOptions] = {}

    def load_served(
        path: Path, options: LoadOptions, isolation: Isolation, who: str, timed: object, launched: object, digest: str
    ) -> LoadedModel:
        loads[path.name] = options
        return loaded(python_package)

    monkeypatch.setattr(version_loader, "load_served", load_served)
    loadings = {name: model._loading_of(own(settings, name)) for name, model in models.items()}
    for name, loading in loadings.items():
        loading.load(Path(name), "1")
    assert loads["b"].threads >= 1
    assert loads["a"] == replace(loads["b"], trust_code=True, threads=3)
    assert (loadings["a"].serving.timeout, loadings["b"].serving.timeout) == (7.0, 60.0)


@pytest.mark.parametrize(
    ("settings", "threads"),
    [({}, 0), ({"instances": 2}, 4), ({"instances": 16}, 1), ({"instances": 2, "workers": 2}, 2),
     ({"instances": 2, "threads": 3}, 3), ({"threads": 3}, 3), ({"workers": 2}, 0)],
)  # fmt: skip
def test_processes_of_one_version_share_the_cores(
    settings: dict[str, Any], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "usable_cores", lambda: 8)
    assert isolation_of(ServerSettings(**settings)).threads == threads
