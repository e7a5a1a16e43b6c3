"""Requests about experiments, runs, what they log, and logged models."""

from __future__ import annotations

from typing import Any

from hub.recorded.player import Asked

_E, _R, _M, _L = "experiments/", "runs/", "metrics/", "logged-models"
_LONG = 1_000


def post(path: str, keep: str = "", /, **fields: Any) -> Asked:
    return Asked("POST", path, fields, keep=keep)


def get(path: str, /, **fields: Any) -> Asked:
    return Asked("GET", path, fields)


def experiments() -> list[Asked]:
    one, two = {"experiment_id": "{ONE}"}, {"experiment_id": "{TWO}"}
    return [
        get(_E + "get", experiment_id="0"),
        get(_E + "get-by-name", experiment_name="Default"),
        post(_E + "create", "ONE", name="one", tags=[{"key": "team", "value": "risk"}]),
        post(_E + "create", name="twice", tags=[{"key": "team", "value": "risk"}, {"key": "team", "value": "x"}]),
        post(_E + "create", name="one"),
        post(_E + "create", "TWO", name="two", artifact_location="s3://bucket/two"),
        post(_E + "create", name="n" * 501),
        post(_E + "create", name="n" * 500),
        *(
            post(_E + "create", name=f"at {place}", artifact_location=place)
            for place in (
                "s3://bucket/x?a=../b", "s3://bucket/x#frag", "s3://bucket/../x", "file:///etc", "relative", "gs://b",
                "ftp://host/x", "mlflow-artifacts:/own", "s3://" + "x" * 2050, "dbfs:/x", "nonsense://x",
            )
        ),
        post(_E + "create", name="tagged", tags=[{"key": "k" * 251, "value": "v"}]),
        post(_E + "create", name="tagged", tags=[{"key": "k", "value": "v" * 5001}]),
        post(_E + "create", name="tagged", tags=[{"key": "a/b c.d-e_f", "value": "v"}]),
        post(_E + "create", name="tagged too", tags=[{"key": "a\nb", "value": "v"}]),
        get(_E + "get", **one), get(_E + "get", **two), get(_E + "get", experiment_id="999"),
        get(_E + "get-by-name", experiment_name="two"), get(_E + "get-by-name", experiment_name="absent"),
        post(_E + "set-experiment-tag", **one, key="team", value="other"),
        post(_E + "set-experiment-tag", **one, key="empty"),
        post(_E + "set-experiment-tag", **one, key="k" * 251, value="v"),
        post(_E + "set-experiment-tag", **one, key="long", value="v" * 20_001),
        post(_E + "set-experiment-tag", experiment_id="999", key="k", value="v"),
        get(_E + "get", **one),
        post(_E + "delete-experiment-tag", **one, key="team"),
        post(_E + "delete-experiment-tag", **one, key="team"),
        post(_E + "delete-experiment-tag", experiment_id="999", key="team"),
        post(_E + "update", **one, new_name="renamed"),
        post(_E + "update", **one, new_name="renamed"),
        post(_E + "update", **one, new_name="n" * 501),
        post(_E + "update", experiment_id="999", new_name="x"),
        post(_R + "create", "RUN", **one, start_time=1, run_name="r"),
        post(_E + "delete", **one), post(_E + "delete", **one), post(_E + "delete", experiment_id="999"),
        get(_E + "get", **one), get(_E + "get-by-name", experiment_name="renamed"), get(_R + "get", run_id="{RUN}"),
        post(_E + "create", name="renamed"),
        post(_E + "update", **one, new_name="again"),
        post(_E + "set-experiment-tag", **one, key="k", value="v"),
        post(_R + "create", **one, start_time=1),
        post(_R + "log-metric", run_id="{RUN}", key="m", value=1, timestamp=1),
        post(_E + "restore", **one), post(_E + "restore", **one), post(_E + "restore", experiment_id="999"),
        get(_E + "get", **one), get(_R + "get", run_id="{RUN}"),
    ]  # fmt: skip


def runs() -> list[Asked]:
    e, r = {"experiment_id": "{EXP}"}, {"run_id": "{RUN}"}
    tag = {"key": "mlflow.runName", "value": "by tag"}
    return [
        post(_E + "create", "EXP", name="runs"),
        post(_R + "create", **e), post(_R + "create", "RUN", **e, start_time=5, run_name="first", user_id="ann"),
        post(_R + "create", **e, run_name="by name", tags=[tag]), post(_R + "create", **e, tags=[tag]),
        post(_R + "create", **e, run_name="by tag", tags=[tag]), post(_R + "create", **e, run_name=""),
        post(_R + "create", **e, tags=[{"key": "mlflow.user", "value": "cat"}, {"key": "a", "value": "1"}]),
        post(_R + "create", **e, run_name="twice", tags=[{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]),
        post(_R + "create", **e, run_name="n" * 300), post(_R + "create", experiment_id="999"),
        post(_R + "create", **e, start_time=-5, run_name="early"),
        post(_R + "create", **e, run_name="long tag", tags=[{"key": "t", "value": "v" * 8001}]),
        get(_R + "get", **r), get(_R + "get", run_uuid="{RUN}"), get(_R + "get", run_id="0" * 32),
        get(_R + "get", run_id="not an id"),
        # What runs log.
        *(post(_R + "log-parameter", **r, key="p", value=value) for value in ("1", "1", "2", "")),
        post(_R + "log-parameter", **r, key="empty", value=""), post(_R + "log-parameter", **r, key="none"),
        post(_R + "log-parameter", **r, key="long", value="v" * 6001),
        *(
            post(_R + "log-parameter", **r, key=key, value="v")
            for key in ("a/b", "a b", "a:b", "../a", "/a", "a//b", "a/", ".", "ü", "a\nb", "k" * 250, "k" * 251, "a,b")
        ),
        *(post(_R + "set-tag", **r, key=key, value="v") for key in ("t", "../t", "k" * 251, "mlflow.note.content")),
        post(_R + "set-tag", **r, key="t", value="w"), post(_R + "set-tag", **r, key="empty", value=""),
        post(_R + "set-tag", **r, key="mlflow.runName", value="renamed by tag"),
        post(_R + "set-tag", **r, key="long", value="v" * 8001),
        post(_R + "delete-tag", **r, key="t"), post(_R + "delete-tag", **r, key="t"),
        post(_R + "delete-tag", run_id="0" * 32, key="t"),
        *(post(_R + "log-metric", run_id="0" * 32, key="m", value=1, timestamp=1) for _ in "x"),
        *(post(_R + "log-parameter", run_id="0" * 32, key="m", value="1") for _ in "x"),
        post(_R + "set-tag", run_id="0" * 32, key="m", value="1"),
        get(_R + "get", **r),
        # Batches.
        post(_R + "log-batch", **r),
        post(_R + "log-batch", **r, params=[{"key": "b", "value": "1"}, {"key": "b", "value": "2"}]),
        post(_R + "log-batch", **r, params=[{"key": "b", "value": "1"}, {"key": "b", "value": "1"}]),
        post(_R + "log-batch", **r, params=[{"key": "p", "value": "other"}]),
        post(_R + "log-batch", **r, tags=[{"key": "b", "value": "1"}, {"key": "b", "value": "2"}]),
        post(_R + "log-batch", **r, tags=[{"key": "mlflow.runName", "value": "renamed in a batch"}]),
        post(_R + "log-batch", **r, params=[{"key": f"p{i}", "value": "1"} for i in range(101)]),
        post(_R + "log-batch", **r, tags=[{"key": f"t{i}", "value": "1"} for i in range(101)]),
        post(_R + "log-batch", **r, metrics=[{"key": "m", "value": 1, "timestamp": i} for i in range(1001)]),
        post(
            _R + "log-batch", **r, metrics=[{"key": "m", "value": 1, "timestamp": i} for i in range(950)],
            params=[{"key": f"p{i}", "value": "1"} for i in range(51)],
        ),
        post(_R + "log-batch", run_id="0" * 32, tags=[{"key": "b", "value": "1"}]),
        get(_R + "get", **r),
        # Ending, deleting, restoring.
        post(_R + "update", **r, status="FINISHED", end_time=99), post(_R + "update", **r, run_name="renamed"),
        post(_R + "update", **r), post(_R + "update", **r, status="RUNNING"), post(_R + "update", **r, status="KILLED"),
        post(_R + "update", **r, status="NOTHING"), post(_R + "update", run_id="0" * 32, status="FAILED"),
        post(_R + "update", **r, run_name="", status="FAILED", end_time=3),
        get(_R + "get", **r),
        post(_R + "delete", **r), post(_R + "delete", **r), post(_R + "delete", run_id="0" * 32), get(_R + "get", **r),
        post(_R + "log-metric", **r, key="m", value=1, timestamp=1), post(_R + "log-parameter",
        **r, key="x", value="1"),
        post(_R + "set-tag", **r, key="x", value="1"), post(_R + "delete-tag", **r, key="empty"),
        post(_R + "update", **r, status="FINISHED"), post(_R + "log-batch", **r, tags=[{"key": "x", "value": "1"}]),
        post(_R + "log-inputs", **r, datasets=[]),
        post(_R + "restore", **r), post(_R + "restore", **r), post(_R + "restore", run_id="0" * 32),
        get(_R + "get", **r),
    ]  # fmt: skip


def metrics() -> list[Asked]:
    r = {"run_id": "{RUN}"}
    points = [(1, 10, 0), (0.5, 20, 1), (0.5, 20, 1), (2, 5, 1), ("NaN", 30, 2), (-1, 30, 2), (7, 1, -3)]
    interval, ajax = _M + "get-history-bulk-interval", "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    return [
        post(_E + "create", "EXP", name="metrics"),
        post(_R + "create", "RUN", experiment_id="{EXP}", run_name="r"),
        post(_R + "create", "OTHER", experiment_id="{EXP}", run_name="o"),
        *(post(_R + "log-metric", **r, key="m", value=v, timestamp=t, step=s) for v, t, s in points),
        get(_R + "get", **r), get(_M + "get-history", **r, metric_key="m"),
        *(
            post(_R + "log-metric", **r, key="words", value=value, timestamp=1, step=step)
            for step, value in enumerate(("NaN", "Infinity", "-Infinity", "1e400", "inf", "0x1", "1_0",
            " 1", 1e308))
        ),
        Asked("POST", _R + "log-metric", body=b'{"run_id": "x", "key": "bare", "value": NaN, "timestamp": 1}'),
        Asked("POST", _R + "log-metric", body=b'{"run_id": "x", "key": "bare", "value": 1e999, "timestamp": 1}'),
        get(_M + "get-history", **r, metric_key="words"),
        *(post(_R + "log-metric", **r, key="when", value=1, timestamp=t) for t in (0, 2**62, "5", 1.0, 1.5, 2**63)),
        *(post(_R + "log-metric", **r, key="at", value=1, timestamp=1, step=s) for s in (2**63 - 1, -(2**63),
        "7", 2.0)),
        *(
            post(_R + "log-metric", **r, key=key, value=1, timestamp=1)
            for key in ("a/b", "../a", "/a", "a//b", "a b", "a,b", "a:b", "ü", "k" * 250, "k" * 251)
        ),
        post(_R + "log-metric", run_uuid="{RUN}", key="uuid", value=1, timestamp=1),
        get(_M + "get-history", **r, metric_key="when"), get(_M + "get-history", **r, metric_key="at"),
        # Pages.
        *(
            post(_R + "log-batch", run_id=run,
                 metrics=[{"key": "long",
                 "value": i % 7 - 3, "timestamp": 1000 + i, "step": 2 * i} for i in range(count)])
            for run, count in (("{RUN}", 100), ("{OTHER}", 37))
        ),
        get(_M + "get-history", **r, metric_key="long", max_results=3),
        get(_M + "get-history", **r, metric_key="long", max_results=3, page_token="{TOKEN}"),
        get(_M + "get-history", **r, metric_key="long", max_results=0), get(_M + "get-history", **r, metric_key="none"),
        get(_M + "get-history", **r, metric_key="long", max_results=2, page_token="nonsense"),
        get(_M + "get-history", **r), get(_M + "get-history", metric_key="m"),
        # Of several runs.
        get(ajax, run_id=["{RUN}", "{OTHER}"], metric_key="m"),
        get(ajax, run_id="{RUN}", metric_key="long", max_results=4),
        get(ajax, run_id=["{OTHER}", "{RUN}"], metric_key="long"), get(ajax, metric_key="m"),
        get(ajax, run_id="{RUN}"), get(ajax, run_id=["0" * 32], metric_key="m"),
        get(ajax, run_id=[f"{i:032x}" for i in range(101)], metric_key="m"),
        get(interval, run_ids="{RUN}", metric_key="m"), get(interval, run_ids="{RUN}", metric_key="long"),
        *(get(interval, run_ids="{RUN}", metric_key="long", max_results=n) for n in (1, 2, 3, 10, 99, 100, 0, 2501)),
        get(interval, run_ids=["{RUN}", "{OTHER}"], metric_key="long", max_results=5),
        get(interval, run_ids="{RUN}", metric_key="long", start_step=10, end_step=31, max_results=4),
        get(interval, run_ids="{RUN}", metric_key="long", start_step=31, end_step=10),
        get(interval, run_ids="{RUN}", metric_key="long", start_step=5),
        get(interval, run_ids="{RUN}", metric_key="long", end_step=5),
        get(interval, run_ids="{RUN}", metric_key="long", start_step=5, end_step=5),
        get(interval, run_ids=[f"{i:032x}" for i in range(101)], metric_key="m"),
        post(_R + "log-metric", **r, key="m", value=1, timestamp=1, model_id="m-" + "0" * 32),
    ]  # fmt: skip


def inputs() -> list[Asked]:
    r = {"run_id": "{RUN}"}

    def dataset(name: str, digest: str, context: str = "", **more: str) -> dict[str, Any]:
        tags = [{"key": "mlflow.data.context", "value": context}] if context else []
        return {
            "dataset": {"name": name, "digest": digest, "source_type": "local", "source": "{}", **more},
            "tags": tags,
        }

    return [
        post(_E + "create", "EXP", name="inputs"),
        post(_R + "create", "RUN", experiment_id="{EXP}", run_name="r"),
        post(_R + "create", "OTHER", experiment_id="{EXP}", run_name="o"),
        post(_L, "MODEL", experiment_id="{EXP}", name="model", source_run_id="{RUN}"),
        post(_R + "log-inputs", **r, datasets=[dataset("d", "1", "train", schema="[]", profile='{"rows": 3}')]),
        post(_R + "log-inputs", **r, datasets=[dataset("d", "1", "train")]),
        post(_R + "log-inputs", **r, datasets=[dataset("d", "1", "eval")]),
        post(_R + "log-inputs", **r, datasets=[dataset("d", "2"), dataset("e", "1", "test")]),
        post(_R + "log-inputs", run_id="{OTHER}", datasets=[dataset("d", "1", "train", profile="other")]),
        post(_R + "log-inputs", **r, datasets=[]), post(_R + "log-inputs", **r),
        post(_R + "log-inputs", **r, datasets=[dataset("n" * 501, "1")]),
        post(_R + "log-inputs", **r, datasets=[dataset("d", "g" * 37)]),
        post(_R + "log-inputs", run_id="0" * 32, datasets=[dataset("d", "1")]),
        post(_R + "log-inputs", run_id="{OTHER}", models=[{"model_id": "{MODEL}"}]),
        post(_R + "outputs", **r, models=[{"model_id": "{MODEL}", "step": 3}]),
        post(_R + "outputs", run_id="0" * 32, models=[{"model_id": "{MODEL}", "step": 3}]),
        get(_R + "get", **r), get(_R + "get", run_id="{OTHER}"),
        Asked("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": ["{EXP}"]}),
        Asked("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": ["999"]}),
        *(
            post(_R + "search", experiment_ids=["{EXP}"], filter=text, order_by=["attributes.run_name ASC"])
            for text in ("dataset.name = 'd'", "dataset.name = 'e'", "dataset.digest = '2'", "datasets.name LIKE '%'",
                         "dataset.context = 'train'", "dataset.context = 'absent'", "dataset.name IN ('e', 'f')")
        ),
        post(_R + "outputs", **r, models=[{"model_id": "{MODEL}", "step": 4}]),
    ]  # fmt: skip


def logged_models() -> list[Asked]:
    e, model = {"experiment_id": "{EXP}"}, _L + "/{ONE}"
    told = {"params": [{"key": "depth", "value": "3"}], "tags": [{"key": "team", "value": "risk"}]}
    return [
        post(_E + "create", "EXP", name="models"), post(_R + "create", "RUN", **e, run_name="r"),
        post(_L, "ONE", **e, name="one", source_run_id="{RUN}", model_type="agent", **told),
        post(_L, "TWO", **e, name="two"), post(_E + "create", "OTHERS", name="others"),
        post(_L, "THREE", experiment_id="{OTHERS}"), post(_L, experiment_id="{OTHERS}", name=""),
        post(_L, experiment_id="999", name="x"),
        *(post(_L, **e, name=name) for name in ("a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", "ü", "a b")),
        post(_L, experiment_id="{OTHERS}", name="n" * 501),
        post(_L, experiment_id="{OTHERS}", name="tagged", tags=[{"key": "k" * 251, "value": "v"}]),
        post(_L, experiment_id="{OTHERS}", name="params", params=[{"key": "k", "value": "v" * 6001}]),
        get(model), get(_L + "/m-" + "0" * 32), get(_L + "/nonsense"),
        Asked("PATCH", model, {"model_id": "{ONE}", "status": "LOGGED_MODEL_READY"}),
        Asked("PATCH", _L + "/{THREE}", {"model_id": "{THREE}", "status": 2}),
        Asked("PATCH", _L + "/{THREE}", {"status": "LOGGED_MODEL_READY"}),
        Asked("PATCH", _L + "/{THREE}", {"model_id": "{THREE}"}),
        Asked("PATCH", _L + "/{THREE}", {"model_id": "{THREE}", "status": "NONE"}),
        Asked("PATCH", _L + "/{THREE}", {"model_id": "{THREE}", "status": "LOGGED_MODEL_UPLOAD_FAILED"}),
        Asked("PATCH", _L + "/m-" + "0" * 32, {"model_id": "m-" + "0" * 32, "status": "LOGGED_MODEL_READY"}),
        Asked("PATCH", model + "/tags", {"model_id": "{ONE}", "tags": [{"key": "a", "value": "1"}]}),
        Asked("PATCH", model + "/tags", {"model_id": "{ONE}", "tags": [{"key": "team", "value": "x"}]}),
        Asked("PATCH", _L + "/m-" + "0" * 32 + "/tags", {"tags": [{"key": "a", "value": "1"}]}),
        Asked("DELETE", model + "/tags/a"), Asked("DELETE", model + "/tags/a"),
        Asked("DELETE", _L + "/m-" + "0" * 32 + "/tags/a"),
        post(model + "/params", model_id="{ONE}", params=[{"key": "width", "value": "7"}]),
        post(_L + "/{THREE}/params", model_id="{THREE}", params=[{"key": "width", "value": "7"}]),
        post(_L + "/{THREE}/params", model_id="{THREE}", params=[{"key": "width", "value": "8"}]),
        post(_L + "/m-" + "0" * 32 + "/params", model_id="m-" + "0" * 32, params=[{"key": "a", "value": "8"}]),
        post(_R + "log-metric", run_id="{RUN}", key="loss", value=0.25, timestamp=1, model_id="{ONE}",
             dataset_name="d", dataset_digest="1"),
        post(_R + "log-batch", run_id="{RUN}", metrics=[
            {"key": "loss", "value": 0.5, "timestamp": 2, "step": 1, "model_id": "{ONE}"},
            {"key": "loss", "value": 0.75, "timestamp": 2, "step": 1, "model_id": "{TWO}"},
        ]),
        get(model),
        *(
            post(_L + "/search", experiment_ids=["{EXP}"], filter=text, order_by=[{"field_name": "name",
            "ascending": True}])
            for text in (
                "name = 'one'", "name != 'one'", "name LIKE 'o%'", "name ILIKE 'O%'", "params.depth = '3'",
                "tags.team = 'x'", "metrics.loss < 0.6", "metrics.loss > 0.6", "attributes.status = 'READY'",
                "source_run_id = 'x'", "creation_timestamp > 0", "model_type = 'agent'", "name IN ('one', 'x')", "name",
                "name ~ 'x'", "params.depth > 3", "metrics.loss = 'x'", "nonsense.x = 1", "name = one",
                "model_id = 'x'",
            )
        ),
        *(
            post(_L + "/search", experiment_ids=["{EXP}"], order_by=order)
            for order in (
                [{"field_name": "name", "ascending": False}], [{"field_name": "metrics.loss", "ascending": True}],
                [{"field_name": "metrics.loss", "dataset_name": "d", "dataset_digest": "1"}],
                [{"field_name": "nonsense"}],
                [{"ascending": True}], [{"field_name": "name", "dataset_name": "d"}],
            )
        ),
        post(_L + "/search", experiment_ids=["{EXP}"], datasets=[{"dataset_name": "d"}], filter="metrics.loss > 0"),
        post(_L + "/search", experiment_ids=["{EXP}"], max_results=2, order_by=[{"field_name": "name"}]),
        post(_L + "/search", experiment_ids=["{EXP}"], max_results=2, order_by=[{"field_name": "name"}],
             page_token="{TOKEN}"),
        post(_L + "/search", experiment_ids=["{EXP}"], max_results=3, page_token="{TOKEN}"),
        post(_L + "/search", experiment_ids=["{EXP}"], page_token="nonsense"), post(_L + "/search", experiment_ids=[]),
        post(_L + "/search", experiment_ids=["999"]), post(_L + "/search", experiment_ids=["{EXP}"], max_results=0),
        Asked("DELETE", model), Asked("DELETE", model), get(model), Asked("DELETE", _L + "/m-" + "0" * 32),
        post(_L + "/search", experiment_ids=["{EXP}"], filter="name = 'one'"),
    ]  # fmt: skip
