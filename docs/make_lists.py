"""Writes docs/settings.md, docs/metrics.md, docs/endpoints.md and docs/hub-endpoints.md from the code: python docs/make_lists.py"""

from __future__ import annotations

from pathlib import Path

from penstock.config import Settings, mlflow_variables_of, per_model_settings, variable_of
from penstock.hub.handlers.table import ROUTES
from penstock.metrics import HubMetrics, Metrics
from penstock.server.app import make_app
from penstock.serving.gateway import Gateway

HERE = Path(__file__).parent

SETTINGS = """# Settings

Every setting of `penstock serve`. The key in `penstock.toml` is the flag's name with underscores. A flag overrides a variable,
a variable overrides the file, and each of them overrides a variable of MLflow's or OpenTelemetry's, which has the same meaning here as there.
`penstock config show` prints each setting in effect and where it comes from; with models and flags, as `penstock serve` would use them.

The file is `penstock.toml` in the working directory, or the one that `--config` or `PENSTOCK_CONFIG` names. Paths in it (of models, and of
`registry`, `artifacts`, `cache`, `wheels`, `tokens_file`) are relative to the file; those in flags and variables to the working directory.

| flag | variable | default | meaning |
|---|---|---|---|
{rows}

```toml
# penstock.toml
models = ["iris", "champion=models:/iris/3"]
default_model = "iris"
host = "0.0.0.0"
port = 9000
```

## Settings of one model

Instead of a list, `models` may be a table for each model, by the name that it is served under:

```toml
# penstock.toml
host = "0.0.0.0"
max_rows = 512

[models.iris]                     # without a line `model`: the production version of iris

[models.fraud]
model = "models:/fraud@champion"  # as on the command line; a path is relative to this file
max_rows = 256
timeout = 5.0
trust_code = true
```

The table of a model overrides settings for all models, whether these come from the file, a variable or a flag.
So `penstock serve --max-rows 100` changes iris here, and not fraud. Which models are served is a setting like any
other: with `penstock serve fraud`, or `PENSTOCK_MODELS=fraud`, it is fraud alone, still with the settings of its table.

The name may be a pattern, `[models."team-*"]`: it serves every model that matches, and its settings apply to all of them; the
table of a single name overrides that of a pattern.

A model may have its own {own}. The other settings apply to the whole server, and are refused in a table.

## Changes while the server runs

A running server follows its file: models that are added, removed or changed there apply without a restart, within two seconds of saving
the file, or at once after `kill -HUP`. The other settings wait for a restart, and the log names them.
[serving.md](serving.md#changing-models-without-a-restart) says what happens to requests, and what is done about a file that cannot be used.
"""

METRICS = """# Metrics

`GET /metrics`, in Prometheus' text format. Durations are in seconds: those of requests histograms, those of loads and swaps a sum and a count. `model` and `version` are those of loaded versions,
empty for requests that reached none; the series of a closed version are removed ten minutes later. The server also exports the metrics of
the process (`process_*`, `python_*`). Several workers are shown as one: [serving.md](serving.md#several-workers) says how.

| metric | type | labels | meaning |
|---|---|---|---|
{rows}

**How many series.** A version has about 100 (half of them are the buckets of its four stages, a fifth those of whole requests), a model 20 more, and the
server itself about 120, whatever it serves: two models have some 360, a hundred 12,000. `penstock_requests_total`, `penstock_request_seconds`,
`penstock_overloaded_total` and the gauges are what alerts and autoscaling look at. Whoever has many models and looks at no stage of a request leaves
out nearly half when scraping; the panels "p99 by stage" and "Rows a batch" have no quantiles then:

```yaml
metric_relabel_configs:
  - source_labels: [__name__]
    regex: penstock_(stage_seconds|batch_rows)_bucket
    action: drop
```

| label | values |
|---|---|
| `protocol` | invocations |
| `outcome` | of a request: ok, client_error, model_error, rejected, timeout, internal: what happened, whatever the status; of a load or a step of one: ok, failed; of a trial: proven, known (proven before, with the same libraries), refused (by an error), lost (the process ended or hung); of a prediction at the fast path: taken, declined; of a reading of the settings file or the file of tokens: applied, refused |
| `stage` | of a request: decode, queue, predict, encode; of a load: fetch, environment (found or built), trial (in a process of its own), verify (open it, compare it with its seal), load, prove (and warm up) |
| `reason` | why a batch was sent to the model: idle (the model had nothing to do), freed (it had just finished another), full (`--max-rows` reached), alone (requests that are not batched); why a prediction was declined by the fast path, empty for one that was taken: size (no body, or one over 64 KiB), headers (an encoding, `Expect`, chunks, `Upgrade`), path (percent-encoded), slow_body (not there within 50 ms), draining, token (missing or wrong), model (unknown, or not loaded yet), input (the caller's mistake), overloaded, closing (the version), reader (a reader process reads it), other; a reason that never was has no series; of a refused version: the code of the error, such as `proof_failed`, `seal_broken`, `code_not_trusted` or `internal`; of a request that was [refused by who asks](access.md#what-a-caller-is-told): no_token, unknown_token, role (another one is needed), models (the token is for other ones), and by a hub also host (a name that it does not answer for) and origin (a page of another site) |
| `limit` | the limit that a refused request reached: rows (`--max-queue-rows`), wait (`--max-wait`), deadline (its own), requests (`--max-inflight`), bytes (`--max-inflight-bytes`), readers (too many bodies wait for a reader process) |
| `task` | what a reader process does: read (a body), write (an answer) |
| `kind` | load (first version), swap, revert (back to the version kept warm) |
| `state` | of a version: current, previous (kept warm); of a worker: starting, serving, waiting (to start again); of a model process: starting, ready, waiting (to start again), failed (it keeps ending; still tried) |
| `worker` | the number of a worker process, from 1, or supervisor |

Useful questions:

```promql
# p99 by model and version
histogram_quantile(0.99, sum by (le, model, version) (rate(penstock_request_seconds_bucket[5m])))
# share of requests that failed by our or the model's fault
sum(rate(penstock_requests_total{{outcome=~"model_error|timeout|internal"}}[5m])) / sum(rate(penstock_requests_total[5m]))
# share of requests that were refused, by the limit they met
sum by (model, limit) (rate(penstock_overloaded_total[5m])) / on (model) group_left () sum by (model) (rate(penstock_requests_total[5m]))
# rows a batch
sum by (model) (rate(penstock_rows_total[5m])) / sum by (model) (rate(penstock_batches_total[5m]))
```

## The hub

Metrics of [penstock hub](hub.md), at its own `GET /metrics`. `endpoint` is a path of the [table of endpoints](hub-endpoints.md), empty for paths that
are none.

| metric | type | labels | meaning |
|---|---|---|---|
{hub_rows}
"""


ENDPOINTS = """# Endpoints of a gateway

What `penstock serve` answers, and what its callers need for it ([access.md](access.md)): `nothing`, a `token` of any role, or one with that role; the
role `admin` is enough for everything. With `--admin-port`, what has an x in the last column is answered on that port alone. `--predict-route` and
`--health-route` add a path that needs `predict`, and one that needs nothing. [serving.md](serving.md#endpoints) says what each is for.

| methods | path | needs | admin port |
|---|---|---|---|
{rows}

Any other path: 401 for strangers, 404 with a `token`.
"""


HUB_ENDPOINTS = """# Endpoints of the hub

What [penstock hub](hub.md) answers. Every path below `/api/` is there below `/ajax-api/`, too. The role is the least that a caller needs
([who may do what](hub.md#who-may-do-what)); `nothing` is for everybody.

| methods | path | role |
|---|---|---|
{rows}
"""


def endpoint_rows() -> list[str]:
    return [
        f"| {', '.join(endpoint.methods)} | `{endpoint.path}` | {endpoint.needs} | {'x' if endpoint.admin_only else ''} |"
        for endpoint in make_app(Gateway([], Metrics(process=False))).routes
    ]


def hub_endpoint_rows() -> list[str]:
    return [
        f"| {', '.join(route.methods)} | `{route.path}` | {route.needs} |"
        for route in sorted(ROUTES, key=lambda route: (route.path, route.methods))
    ]


def hub_metrics_rows() -> list[str]:
    metrics = HubMetrics(process=False)
    metrics.request("/health", 200, 0.0)
    metrics.watch_disk("store", Path("/"))
    labels = {
        family.name: [name for name in family.samples[0].labels if name != "le"]
        for family in metrics.registry.collect()
    }
    return [
        f"| `{name}` | {kind} | {', '.join(f'`{x}`' for x in labels[name.removesuffix('_total')])} | {text} |"
        for name, kind, text in metrics.families()
        if name.startswith("penstock_hub")
    ]


def settings_rows() -> list[str]:
    rows = []
    for name, field in Settings.model_fields.items():
        flag = "`MODEL…`" if name == "models" else f"`--{name.replace('_', '-')}`"
        variables = ", ".join(f"`{v}`" for v in (variable_of(name), *mlflow_variables_of(name)))
        rows.append(f"| {flag} | {variables} | {_default(name, field.default)} | {field.description} |")
    return rows


def _default(name: str, default: object) -> str:
    if default in (None, "", ()) or name == "api_token":
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"`{default}`"


def metrics_rows() -> list[str]:
    metrics = Metrics(process=False)
    metrics.version("m", "1").runs_apart(lambda: 0.0)
    metrics.describe_version("m", "1", digest="d", flavor="f", alias="a", state="current")
    metrics.loads.labels("m", "ok")
    metrics.load_failures.labels("m", "proof_failed")
    metrics.load_seconds.labels("m")
    metrics.load_trials.labels("m", "proven")
    metrics.swaps.labels("m", "load")
    metrics.registry_success.labels("m")
    metrics.registry_errors.labels("m")
    metrics.registry_stale.labels("m")
    metrics.alias_missing.labels("m")
    metrics.config_reloads.labels("applied")
    metrics.token_reloads.labels("applied")
    metrics.workers.labels("serving")
    metrics.worker_restarts.labels("1")
    metrics.load_stage_seconds.labels("m", "load", "ok")
    metrics.expect_model("m")
    labels = {
        family.name: [name for name in family.samples[0].labels if name != "le"]
        for family in metrics.registry.collect()
    }
    return [
        f"| `{name}` | {kind} | {', '.join(f'`{x}`' for x in labels[name.removesuffix('_total')])} | {text} |"
        for name, kind, text in metrics.families()
    ]


if __name__ == "__main__":
    own = ", ".join(f"`{name}`" for name in per_model_settings())
    (HERE / "settings.md").write_text(SETTINGS.format(rows="\n".join(settings_rows()), own=own))
    (HERE / "metrics.md").write_text(
        METRICS.format(rows="\n".join(metrics_rows()), hub_rows="\n".join(hub_metrics_rows()))
    )
    (HERE / "endpoints.md").write_text(ENDPOINTS.format(rows="\n".join(endpoint_rows())))
    (HERE / "hub-endpoints.md").write_text(HUB_ENDPOINTS.format(rows="\n".join(hub_endpoint_rows())))
