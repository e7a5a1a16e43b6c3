"""Searches of runs and experiments, in every form that the grammar has and many that it has not; and artifacts."""

from __future__ import annotations

from typing import Any

from hub.recorded.player import Asked
from hub.recorded.tracking import get, post

_FILTERS = (
    "metrics.loss < 0.3", "metrics.loss <= 0.25", "metrics.loss != 0.25", "metric.loss = 0.25", "metrics.`loss` > 0",
    'metrics."loss" > 0', "metrics.nan != 1", "metrics.nan = 1", "metrics.absent > 0", "params.depth = '3'",
    "params.depth != '3'", "param.depth = '3'", "parameters.depth LIKE '3%'", "params.kind ILIKE 'OAK'",
    "params.absent IS NULL", "params.absent IS NOT NULL", "params.depth IS NOT NULL", "tags.team = 'risk'",
    "tags.team IS NULL", "tag.`a key` = 'v'", "attributes.status = 'RUNNING'", "status = 'FINISHED'",
    "attributes.run_name LIKE 'r%'", "run_name = 'r1'", "attributes.`run name` = 'r1'", 'attr."Run name" = \'r1\'',
    "run_id IN ('{R1}', '{R2}')", "run_id NOT IN ('{R1}')", "run_id = '{R1}'", "attributes.start_time > 1",
    "start_time >= 2 AND start_time < 3", "created > 1", "end_time > 0", "user_id = 'ann'",
    "artifact_uri LIKE '%artifacts'", "metrics.loss < 1 and params.depth = '3' AND tags.team = 'risk'", " ",
    # What is refused.
    "metrics.loss < 'x'", "metrics.loss LIKE '1'", "metrics.loss", "metrics.loss <", "< 1", "params.depth > '3'",
    "params.depth = 3", "params.depth = three", "metrics.loss < 1 OR params.depth = '3'", "(metrics.loss < 1)",
    "NOT metrics.loss < 1", "nonsense.x = 1", "nonsense = 'x'", "attributes.nonsense = 'x'", "status > 'RUNNING'",
    "status IN ('RUNNING')", "run_id IN ()", "run_id IN ('a', 1)", "run_id IN 'a'", "start_time > 'x'",
    "start_time LIKE '1'", "metrics.loss IS NULL", "status IS NULL", "metrics.loss < 1 AND", "AND metrics.loss < 1",
    "metrics.loss < 1; DROP TABLE runs", "params.depth = '3", 'params.depth = "3"', "params.depth = `3`",
    "metrics. < 1", "metrics < 1", "dataset.nonsense = 'x'", "dataset.name > 'x'", "lifecycle_stage = 'active'",
    "metrics.loss == 0.25", "metrics.loss <> 0.25", "metrics.loss BETWEEN 0 AND 1", "tags.team = 'it''s'",
    "metrics.loss < 1e-1", "metrics.loss > -1", "metrics.loss > +1", "metrics.loss > .1", "metrics.loss > 0x1",
    "metrics.a.b = 1", "params.'depth' = '3'", "1 < metrics.loss", "TRUE", "metrics.loss < 1 -- x", "\u00fc = 1",
)  # fmt: skip
_ORDERS: tuple[Any, ...] = (
    ["metrics.loss"], ["metrics.loss DESC"], ["metrics.loss asc"], ["metrics.nan"], ["metrics.nan DESC"],
    ["params.depth", "start_time"], ["tags.team DESC"], ["attributes.run_name"], ["start_time ASC"],
    ["end_time"], ["status"], ["`metrics`.`loss`"], ["metrics.`loss` DESC"], [" metrics.loss  DESC "],
    ["metrics.loss", "metrics.loss DESC"], ["metrics.loss UP"], ["nonsense"], ["nonsense.x"], [""],
    ["metrics.loss DESC ASC"],
    ["dataset.name"], ["metrics"], ["attributes.nonsense"], ["metrics.loss,params.depth"],
    ["user_id"],
)  # fmt: skip
_EXPERIMENT_FILTERS = (
    "name = 'alpha'", "name != 'alpha'", "name LIKE 'a%'", "name ILIKE 'A%'", "name IN ('alpha')", "name > 'a'",
    "attribute.name = 'alpha'", "attributes.name = 'alpha'", "attr.name = 'alpha'", "creation_time > 0",
    "creation_time > 'x'", "last_update_time < 1", "experiment_id = '0'", "experiment_id IN ('0', '1')",
    "experiment_id != '0'", "tags.team = 'risk'", "tags.`team` = 'risk'", "tags.team IS NULL", "tags.team IS NOT NULL",
    "tag.team LIKE 'r%'", "metrics.x = 1", "lifecycle_stage = 'active'", "name", "name = alpha",
    "name = 'a' OR name = 'b'",
)  # fmt: skip


def runs() -> list[Asked]:
    def batch(run: str, depth: str, loss: float, kind: str) -> Asked:
        return post(
            "runs/log-batch", run_id=run, params=[{"key": "depth", "value": depth}, {"key": "kind", "value": kind}],
            metrics=[{"key": "loss", "value": loss, "timestamp": 1}],
        )  # fmt: skip

    everywhere = {"experiment_ids": ["{EXP}"], "order_by": ["attributes.run_name ASC"]}
    return [
        post("experiments/create", "EXP", name="searched"), post("experiments/create", "EMPTY", name="empty"),
        *(
            post("runs/create", f"R{n}", experiment_id="{EXP}", run_name=f"r{n}", start_time=n, user_id="ann")
            for n in (1, 2, 3)
        ),
        batch("{R1}", "3", 0.25, "oak"), batch("{R2}", "30", 0.5, "Oak"), batch("{R3}", "4", -1.5, "elm"),
        post("runs/log-metric", run_id="{R1}", key="nan", value="NaN", timestamp=1),
        post("runs/log-metric", run_id="{R2}", key="nan", value=2, timestamp=1),
        post("runs/set-tag", run_id="{R1}", key="team", value="risk"),
        post("runs/set-tag", run_id="{R2}", key="a key", value="v"),
        post("runs/update", run_id="{R2}", status="FINISHED", end_time=9),
        *(post("runs/search", **everywhere, filter=text) for text in _FILTERS),
        *(post("runs/search", experiment_ids=["{EXP}"], order_by=order) for order in _ORDERS),
        post("runs/search"), post("runs/search", experiment_ids=[]), post("runs/search", experiment_ids=["{EMPTY}"]),
        post("runs/search", experiment_ids=["999"]), post("runs/search", experiment_ids=["{EXP}", "{EMPTY}", "{EXP}"]),
        *(post("runs/search", experiment_ids=["{EXP}"], max_results=n) for n in (1, 0, 50_000, 50_001)),
        post("runs/search", experiment_ids=["{EXP}"], max_results=2),
        post("runs/search", experiment_ids=["{EXP}"], max_results=2, page_token="{TOKEN}"),
        *(post("runs/search", experiment_ids=["{EXP}"], page_token=token) for token in ("x", "====", "e30=", "bm90")),
        post("runs/delete", run_id="{R3}"),
        *(
            post("runs/search", **everywhere, run_view_type=view)
            for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONE", "active_only")
        ),
        post("experiments/delete", experiment_id="{EXP}"),
        *(post("runs/search", **everywhere, run_view_type=view) for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")),
    ]  # fmt: skip


def experiments() -> list[Asked]:
    def search(**fields: Any) -> Asked:
        return post("experiments/search", **{"max_results": 10, **fields})

    return [
        post("experiments/create", name="alpha", tags=[{"key": "team", "value": "risk"}]),
        post("experiments/create", name="beta"), post("experiments/create", "GONE", name="gone"),
        post("experiments/delete", experiment_id="{GONE}"),
        search(), search(order_by=["name"]), get("experiments/search", max_results=10, order_by="name"),
        *(search(filter=text, order_by=["name"]) for text in _EXPERIMENT_FILTERS),
        *(
            search(order_by=order)
            for order in (["name DESC"], ["experiment_id"], ["experiment_id DESC"], ["creation_time ASC"], ["nonsense"],
                          ["tags.team"], ["name UP"], ["last_update_time", "name"], ["name", "name"], [""])
        ),
        *(search(view_type=view, order_by=["name"]) for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONE")),
        search(max_results=1, order_by=["name"]), search(max_results=1, order_by=["name"], page_token="{TOKEN}"),
        search(page_token="nonsense"), search(max_results=50_000), search(max_results=50_001), search(max_results=0),
        get("experiments/search", max_results=1, order_by="name"),
        get("experiments/search", max_results=1, order_by="name", page_token="{TOKEN}"),
    ]  # fmt: skip


def artifacts() -> list[Asked]:
    files = "/api/2.0/mlflow-artifacts/artifacts"
    root = f"{files}/{{EXP}}/{{RUN}}/artifacts"

    def put(path: str, content: bytes) -> Asked:
        return Asked("PUT", f"{root}/{path}", body=content, kind="application/octet-stream")

    return [
        post("experiments/create", "EXP", name="files"),
        post("runs/create", "RUN", experiment_id="{EXP}", run_name="r"),
        get("artifacts/list", run_id="{RUN}"), get("artifacts/list", run_id="{RUN}", path="absent"),
        put("a.txt", b"hello"), put("sub/b.json", b"{}"), put("sub/deep/c.txt", b""),
        put("with space/\u00fc.txt", b"x"),
        put("a.txt", b"hello again"),
        *(get("artifacts/list", run_id="{RUN}", path=path) for path in ("", "sub", "sub/", "sub/deep", "a.txt",
        "with space")),
        *(get("artifacts/list", run_id="{RUN}", path=path) for path in ("..", "../..", "/etc", "sub/../..", "%2e%2e")),
        get("artifacts/list", run_id="0" * 32), get("artifacts/list"), get("artifacts/list", run_uuid="{RUN}"),
        *(
            get(files, path=path)
            for path in ("{EXP}/{RUN}/artifacts", "{EXP}/{RUN}/artifacts/sub", "absent", "..", "/etc", "%2e%2e/x")
        ),
        Asked("GET", f"{root}/a.txt"), Asked("GET", f"{root}/sub/deep/c.txt"), Asked("GET", f"{root}/absent"),
        Asked("GET", f"{root}/sub"), Asked("GET", f"{files}/%2e%2e/etc/passwd"), Asked("GET", f"{files}/..%2fetc"),
        Asked("PUT", f"{files}/%2e%2e/evil", body=b"x", kind="application/octet-stream"),
        Asked("GET", "/get-artifact?run_uuid={RUN}&path=a.txt"), Asked("GET", "/get-artifact?run_id={RUN}&path=a.txt"),
        Asked("GET", "/get-artifact?run_uuid={RUN}&path=absent"), Asked("GET", "/get-artifact?run_uuid={RUN}"),
        Asked("GET", "/get-artifact?path=a.txt"), Asked("GET", "/get-artifact?run_uuid={RUN}&path=../../x"),
        Asked("DELETE", f"{root}/a.txt"), Asked("DELETE", f"{root}/a.txt"), Asked("DELETE", f"{root}/sub"),
        get("artifacts/list", run_id="{RUN}"),
        post("runs/log-model", run_id="{RUN}", model_json="{}"), post("runs/log-model", run_id="{RUN}", model_json="x"),
        post("runs/log-model", run_id="{RUN}", model_json='{"artifact_path": "m", "flavors": {}, "run_id": "r", '
             '"utc_time_created": "now"}'),
        get("runs/get", run_id="{RUN}"),
        Asked("POST", "/api/2.0/mlflow-artifacts/mpu/create/x", {"path": "x", "num_parts": 2}),
        Asked("GET", "/version"), Asked("GET", "/health"),
    ]  # fmt: skip
