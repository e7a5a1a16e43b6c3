"""What the Grafana dashboard shows: rows of panels, each with its question, its queries, unit and thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Where the runbook can be read. Replace it with an address of your own: a hidden variable of the dashboard, and the
# `runbook_url` of every alert.
RUNBOOK = "https://penstock.example/runbook"

HERE = 'namespace=~"$namespace"'
MODEL = f'{HERE}, model=~"$model"'
VERSION = f'{MODEL}, version=~"$version"'
SERVED = f'{VERSION}, model!=""'  # requests that reached no model have series of their own, without one
FAILED = 'outcome=~"model_error|timeout|internal"'
REFUSED = 'outcome="rejected"'
RATE = "[$__rate_interval]"
BY_VERSION = "{{model}} {{version}}"


@dataclass(frozen=True)
class Panel:
    """`queries` are expressions and legends, `thresholds` where the colour turns to orange and to red; `runbook` is the
    heading there that says what to do."""

    title: str
    description: str
    queries: tuple[tuple[str, str], ...]
    unit: str
    thresholds: tuple[float, ...] = ()
    kind: Literal["timeseries", "stat", "heatmap", "table"] = "timeseries"
    worse: Literal["high", "low"] = "high"
    runbook: str = ""
    width: int = 8
    height: int = 8
    stacked: bool = False


def _stat(
    title: str, description: str, query: str, unit: str, thresholds: tuple[float, ...] = (), *,
    worse: Literal["high", "low"] = "high", runbook: str = "",
) -> Panel:  # fmt: skip
    return Panel(title, description, ((query, ""),), unit, thresholds, "stat", worse, runbook, 4, 4)


def quantile(share: float, metric: str, labels: str, by: str = "") -> str:
    """A quantile of a histogram, over all that has the same labels `by`."""
    return f"histogram_quantile({share}, sum by (le{by and ', ' + by}) (rate({metric}_bucket{{{labels}}}{RATE})))"


def rate(metric: str, labels: str, by: str = "") -> str:
    return f"sum{by and f' by ({by})'} (rate({metric}{{{labels}}}{RATE}))"


def mean(metric: str, labels: str, by: str) -> str:
    return f"{rate(metric + '_sum', labels, by)} / {rate(metric + '_count', labels, by)}"


_REQUESTS, _SECONDS, _STAGES = "penstock_requests_total", "penstock_request_seconds", "penstock_stage_seconds"

_OVERVIEW = (
    _stat(
        "Gateways ready", "Gateways whose models are all loaded and proven, and that are not draining.",
        f"sum(penstock_ready{{{HERE}}})", "none", (1,), worse="low", runbook="penstocknoneready",
    ),
    _stat(
        "Not ready", "Gateways that Prometheus scrapes and that are not ready: loading, waiting for a registry, draining.",
        f"count(penstock_ready{{{HERE}}}) - sum(penstock_ready{{{HERE}}})", "none", (1, 2), runbook="penstockgatewaynotready",
    ),
    _stat("Requests", "Requests for predictions a second.", rate(_REQUESTS, VERSION), "reqps"),
    _stat(
        "Failed", "Share of requests that failed through a fault of the model or the gateway: model_error, timeout, internal.",
        f"({rate(_REQUESTS, f'{VERSION}, {FAILED}')} or vector(0)) / {rate(_REQUESTS, VERSION)}", "percentunit", (0.001, 0.01),
        runbook="penstockerrorsfast",
    ),
    _stat(
        "Refused", "Share of requests that were refused, because a limit was reached or no model was loaded.",
        f"({rate(_REQUESTS, f'{VERSION}, {REFUSED}')} or vector(0)) / {rate(_REQUESTS, VERSION)}",
        "percentunit", (0.01, 0.05), runbook="penstockrefusing",
    ),
    _stat(
        "p99", "99 of 100 requests are answered within this time.", quantile(0.99, _SECONDS, VERSION), "s", (0.5, 1),
        runbook="penstockslow",
    ),
)  # fmt: skip

_TRAFFIC = (
    Panel(
        "Requests by model and version", "Requests a second, of the version that answered. During a swap one line passes into another.",
        ((rate(_REQUESTS, VERSION, "model, version"), BY_VERSION),), "reqps", stacked=True, width=12,
    ),
    Panel(
        "Requests by outcome", "The outcome of requests. client_error: a fault of the caller. model_error, timeout, internal: a fault of the model or the gateway. "
        "rejected: refused.",
        ((rate(_REQUESTS, VERSION, "outcome"), "{{outcome}}"),), "reqps", stacked=True, width=12,
    ),
    Panel("Rows by model and version", "Rows predicted a second.", ((rate("penstock_rows_total", SERVED, "model, version"), BY_VERSION),), "suffix: rows/s"),
    Panel(
        "Failed by model and version", "Share of each version's requests that failed through a fault of the model or the gateway. The lines are the alerts' thresholds, "
        "14.4 and 6 times what a goal of 99.9 % allows.",
        ((f"{rate(_REQUESTS, f'{VERSION}, {FAILED}', 'model, version')} / {rate(_REQUESTS, VERSION, 'model, version')}", BY_VERSION),),
        "percentunit", (0.006, 0.0144), runbook="penstockerrorsfast",
    ),
    Panel("Requests by protocol", "Requests a second, by protocol.", ((rate(_REQUESTS, VERSION, "protocol"), "{{protocol}}"),), "reqps"),
)  # fmt: skip

_LATENCY = (
    Panel(
        "Time of a request", "From the first byte read to the answer handed over.",
        tuple((quantile(q, _SECONDS, VERSION), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)), "s", (0.5, 1), runbook="penstockslow",
    ),
    Panel("p99 by model and version", "Compare versions after a swap.", ((quantile(0.99, _SECONDS, VERSION, "model, version"), BY_VERSION),), "s", (0.5, 1), runbook="penstockslow"),
    Panel(
        "Mean time by stage", "Where an answered request's time goes: decode reads the body, queue waits for the model, predict is the model, encode writes the answer.",
        ((mean(_STAGES, VERSION, "stage"), "{{stage}}"),), "s", stacked=True, runbook="penstockslow",
    ),
    Panel("p99 by stage", "The slow tail of each stage.", ((quantile(0.99, _STAGES, VERSION, "stage"), "{{stage}}"),), "s", (0.5, 1), runbook="penstockslow"),
    Panel(
        "How requests spread", "The distribution of request times. Two bands mean two kinds of requests, or a model that stalls now and then.",
        ((f"sum by (le) (increase({_SECONDS}_bucket{{{VERSION}}}{RATE}))", "{{le}}"),), "s", kind="heatmap", width=16,
    ),
)  # fmt: skip

_SATURATION = (
    Panel(
        "Queue", "Rows that wait for the model. Those of large requests wait apart: small requests are not refused because of them.",
        ((f"sum by (model, version) (penstock_queue_rows{{{SERVED}}})", BY_VERSION),
         (f"sum by (model, version) (penstock_queue_large_rows{{{SERVED}}})", f"{BY_VERSION}, large requests")), "suffix: rows",
        runbook="penstockqueuefull",
    ),
    Panel(
        "Shares of the limits", "How full the fullest gateway is: rows that wait (--max-queue-rows), requests being worked on (--max-wait), open requests "
        "(--max-inflight), bodies in memory (--max-inflight-bytes). At 1, requests are refused.",
        ((f"max(penstock_queue_rows{{{SERVED}}} / penstock_queue_limit_rows{{{SERVED}}})", "queued rows"),
         (f"max(penstock_in_flight_requests{{{SERVED}}} / penstock_in_flight_limit_requests{{{SERVED}}})", "requests at work"),
         (f"max(penstock_open_requests{{{HERE}}} / penstock_open_limit_requests{{{HERE}}})", "open requests"),
         (f"max(penstock_body_bytes{{{HERE}}} / penstock_body_limit_bytes{{{HERE}}})", "bodies")),
        "percentunit", (0.5, 0.8), runbook="penstockqueuefull",
    ),
    Panel(
        "Refused by limit", "Requests refused with 429 a second, by the limit that was reached.",
        ((rate("penstock_overloaded_total", VERSION, "model, limit"), "{{model}} {{limit}}"),), "reqps", (1, 10), stacked=True, runbook="penstockrefusing",
    ),
    Panel(
        "In flight", "Open: requests from their headers to their answer, slow bodies included. At work: requests that a model works on or that wait for a model.",
        ((f"sum(penstock_open_requests{{{HERE}}})", "open"), (f"sum(penstock_in_flight_requests{{{SERVED}}})", "at work")), "none", width=6,
    ),
    Panel("Bodies in memory", "Bytes of request bodies that are held.", ((f"sum(penstock_body_bytes{{{HERE}}})", "held"),), "bytes", width=6),
    Panel(
        "Rows a batch", "Rows in one batch. Batches grow with the load.",
        (*((quantile(q, "penstock_batch_rows", VERSION), f"p{int(q * 100)}") for q in (0.5, 0.99)),
         (f"{rate('penstock_rows_total', VERSION)} / {rate('penstock_batches_total', VERSION)}", "mean")),
        "suffix: rows", width=6,
    ),
    Panel(
        "Batches by reason", "Why batches were sent to the model: idle (the model had nothing to do), freed (it had just finished another), full (--max-rows), alone (requests that are not batched).",
        ((rate("penstock_batches_total", VERSION, "reason"), "{{reason}}"),), "suffix: batches/s", stacked=True, width=6,
    ),
    Panel(
        "Rows and what the model could take", "Rows predicted a second, against the rate at which the model answers rows while it works. The gap is spare capacity.",
        ((rate("penstock_rows_total", SERVED, "model"), "{{model}} predicted"), (f"sum by (model) (penstock_drain_rows_per_second{{{SERVED}}})", "{{model}} could take")),
        "suffix: rows/s", width=12,
    ),
    Panel(
        "Event-loop lag", "How late the event loop wakes up. Every request waits this much longer, because something else keeps the processor busy.",
        ((quantile(0.99, "penstock_event_loop_lag_seconds", HERE, "instance"), "{{instance}}"),), "s", (0.05, 0.25), runbook="penstockloopblocked", width=12,
    ),
)  # fmt: skip

_VERSIONS = (
    Panel(
        "Loaded versions", "Every version in memory: current answers, previous is kept warm for a rollback.",
        ((f"max by (model, version, digest, flavor, alias, state, lean) (penstock_model_info{{{MODEL}}})", ""),), "none", kind="table", width=12,
    ),
    Panel("Swaps", "Changes of the version that answers requests.", ((f"sum by (model, kind) "
    f"(increase(penstock_swaps_total{{{MODEL}}}{RATE}))", "{{model}} {{kind}}"),), "none", width=6),
    Panel(
        "Swaps that fail", "1 while the version that the registry names cannot be served; another one answers.",
        ((f"max by (model) (penstock_swap_failing{{{MODEL}}})", "{{model}}"),), "none", (1,), runbook="penstockswapfailing", width=6,
    ),
    Panel("Loads", "Versions loaded and refused.", ((f"sum by (model, outcome) (increase(penstock_loads_total{{{MODEL}}}{RATE}))", "{{model}} {{outcome}}"),), "none", width=6, runbook="penstockswapfailing"),
    Panel(
        "Refused versions by reason", "Why versions could not be served, by the code of the error.",
        ((f"sum by (model, reason) (increase(penstock_load_failures_total{{{MODEL}}}{RATE}))", "{{model}} {{reason}}"),), "none", (1,), stacked=True,
        runbook="penstockswapfailing", width=6,
    ),
    Panel(
        "Time of a load by step", "Mean of the last hour: fetch it, verify it against its seal, load it, prove that it repeats its answers.",
        ((f"sum by (model, stage) (increase(penstock_load_stage_seconds_sum{{{MODEL}}}[1h])) / sum by (model, stage) (increase(penstock_load_stage_seconds_count{{{MODEL}}}[1h]))", "{{model}} {{stage}}"),),
        "s", (60, 300), width=6,
    ),
    Panel(
        "Time from promotion to answer", "Mean of the last hour: from when the registry names another version until that version answers.",
        ((f"sum by (model) (increase(penstock_swap_seconds_sum{{{MODEL}}}[1h])) / sum by (model) (increase(penstock_swap_seconds_count{{{MODEL}}}[1h]))", "{{model}}"),),
        "s", (60, 300), width=6,
    ),
    Panel(
        "Time since the registry answered", "Time since the registry last answered. Normally this is about --poll-interval.",
        ((f"time() - max by (instance, model) (penstock_registry_last_success_timestamp_seconds{{{MODEL}}})", "{{model}} {{instance}}"),),
        "s", (30, 120), runbook="penstockregistrystale", width=6,
    ),
    Panel(
        "Stale", "1 while the version that answers may not be the version that the registry names.",
        ((f"max by (instance, model) (penstock_registry_stale{{{MODEL}}})", "{{model}} {{instance}}"),), "none", (1,),
        runbook="penstockregistrystale", width=6,
    ),
    Panel("Registry errors", "Polls that the registry did not answer.", ((rate("penstock_registry_errors_total", MODEL, "model"), "{{model}}"),), "suffix: errors/s", (0.1,), runbook="penstockregistrystale", width=6),
)  # fmt: skip

_WORKERS = (
    Panel(
        "Workers by state", "Worker processes of --workers N; empty for a single worker.", ((f"sum by (state) (penstock_workers{{{HERE}}})", "{{state}}"),), "none",
        stacked=True, runbook="penstockworkersmissing",
    ),
    Panel(
        "Restarts of workers", "Worker processes that were restarted.", ((f"sum by (instance, worker) "
        f"(increase(penstock_worker_restarts_total{{{HERE}}}{RATE}))", "{{instance}} worker {{worker}}"),),
        "none", (1, 3), runbook="penstockworkerrestarts",
    ),
    Panel(
        "Model processes by state", "Processes that run models which carry code; empty where all models are data. Anything but ready for long is a fault.",
        ((f"sum by (model, version, state) (penstock_model_processes{{{VERSION}}})", f"{BY_VERSION} {{{{state}}}}"),), "none", stacked=True,
        runbook="penstockmodelprocessrestarts",
    ),
    Panel(
        "Restarts of model processes", "Model processes that ended and were started again.",
        ((f"sum by (model, version) (increase(penstock_model_process_restarts_total{{{VERSION}}}{RATE}))", BY_VERSION),), "none", (1, 3),
        runbook="penstockmodelprocessrestarts",
    ),
    Panel(
        "Memory of model processes", "Memory of each version's processes; --memory-limit bounds each process.",
        ((f"sum by (model, version) (penstock_model_process_memory_bytes{{{VERSION}}})", BY_VERSION),), "bytes",
        runbook="penstockmodelprocessrestarts",
    ),
    Panel("Memory by process", "Resident memory of each worker and the supervisor; models are in every worker.", ((f"process_resident_memory_bytes{{{HERE}}} and on (instance) penstock_ready", "{{instance}} {{worker}}"),), "bytes"),
)  # fmt: skip

_READERS = (
    Panel(
        "Large bodies and long answers", "Bodies that reader processes read a second, and answers that they write.",
        ((rate("penstock_reader_task_seconds_count", HERE, "task"), "{{task}}"),), "suffix: tasks/s", stacked=True, width=6,
    ),
    Panel(
        "Wait for a reader process", "How long bodies and answers wait for their turn. Small bodies go before large ones, and clients that have used readers least go first.",
        tuple((quantile(q, "penstock_reader_wait_seconds", HERE, "task"), f"{{{{task}}}} p{int(q * 100)}") for q in (0.5, 0.99)), "s", (1, 5), width=6,
        runbook="penstockreaderkills",
    ),
    Panel(
        "Time in a reader process", "How long a reader process takes for a body or an answer.",
        tuple((quantile(q, "penstock_reader_task_seconds", HERE, "task"), f"{{{{task}}}} p{int(q * 100)}") for q in (0.5, 0.99)), "s", (2, 10), width=6,
        runbook="penstockreaderkills",
    ),
    Panel(
        "Reader processes ended early", "Why reader processes ended before their task: time (--read-timeout), memory (--reader-memory), crash, caller (who left, or whose deadline passed).",
        ((rate("penstock_reader_kills_total", HERE, "reason"), "{{reason}}"),), "suffix: kills/s", (0.02, 0.1), stacked=True, width=6, runbook="penstockreaderkills",
    ),
    Panel("Reader processes", "How many there are, and how many bodies and answers wait for one.",
        ((f"sum(penstock_reader_processes{{{HERE}}})", "processes"), (f"sum(penstock_reader_queue_tasks{{{HERE}}})", "tasks that wait")), "none", width=12,
    ),
)  # fmt: skip

_PROCESS = (
    Panel("Processor", "Cores used, of all processes of a gateway.", ((f"sum by (instance) (rate(process_cpu_seconds_total{{{HERE}}}{RATE}) and on (instance) penstock_ready)", "{{instance}}"),), "suffix: cores", width=6),
    Panel("Memory", "Resident memory of all processes of a gateway.", ((f"sum by (instance) (process_resident_memory_bytes{{{HERE}}} and on (instance) penstock_ready)", "{{instance}}"),), "bytes", width=6),
    Panel(
        "Open files", "Sockets and files, as a share of what may be open.",
        ((f"max by (instance) ((process_open_fds{{{HERE}}} / process_max_fds{{{HERE}}}) and on (instance) penstock_ready)", "{{instance}}"),), "percentunit", (0.7, 0.9), width=6,
    ),
    Panel("Garbage collections", "Full collections (generation 2) a second; each stops everything for a moment.", ((f'sum by (instance) (rate(python_gc_collections_total{{{HERE}, generation="2"}}{RATE}) and on (instance) penstock_ready)', "{{instance}}"),), "suffix: collections/s", width=6),
    Panel("Age of processes", "Time since the process started.", ((f"time() - max by (instance) (process_start_time_seconds{{{HERE}}} and on (instance) penstock_ready)", "{{instance}}"),), "s", width=6),
    Panel("Releases", "Gateways by the release that they run.", ((f"count by (release) (penstock_build_info{{{HERE}}})", "{{release}}"),), "none", stacked=True, width=6),
    Panel("Access log lines dropped", "Lines that were dropped because stderr was too slow; zero if the access log is off.", ((f"sum by (instance) (rate(penstock_access_log_dropped_total{{{HERE}}}{RATE}))", "{{instance}}"),), "suffix: lines/s", (1,), width=6),
    Panel("Refused by who asks", "Requests without a token, with an unknown one, or with one whose role or models are others.", ((rate("penstock_access_refused_total", HERE, "reason"), "{{reason}}"),), "reqps", stacked=True, width=6),
)  # fmt: skip

_HUB_SECONDS, _COMMIT_SECONDS = "penstock_hub_request_seconds", "penstock_hub_commit_seconds"
_HUB_FAILED = f'{HERE}, status="5xx"'
_SEARCHES = f'{HERE}, endpoint=~".*/search"'
_OF_HUBS = "and on (instance) penstock_hub_ready"

_HUB = (
    _stat("Hubs ready", "Hubs whose store is open, and that are not draining.", f"sum(penstock_hub_ready{{{HERE}}})", "none", (1,), worse="low", runbook="penstockhubdown"),
    _stat(
        "Database answers", "0 while the database of any hub does not answer.", f"min(penstock_hub_store_up{{{HERE}}})", "none", (1,), worse="low",
        runbook="penstockhubstoreunavailable",
    ),
    _stat("Requests to hubs", "Requests a second.", rate(f"{_HUB_SECONDS}_count", HERE), "reqps"),
    _stat(
        "Failed requests to hubs", "Share of requests that were answered with 5xx.",
        f"({rate(f'{_HUB_SECONDS}_count', _HUB_FAILED)} or vector(0)) / {rate(f'{_HUB_SECONDS}_count', HERE)}", "percentunit", (0.001, 0.02),
        runbook="penstockhuberrors",
    ),
    _stat("p99 of a commit", "99 of 100 commits take at most this time.", quantile(0.99, _COMMIT_SECONDS, HERE), "s", (0.25, 1), runbook="penstockhubcommitsslow"),
    _stat(
        "Free disk", "Free share of the fullest disk that a hub keeps something on.",
        f"min(penstock_hub_disk_free_bytes{{{HERE}}} / penstock_hub_disk_size_bytes{{{HERE}}})", "percentunit", (0.1,), worse="low", runbook="penstockhubdiskfilling",
    ),
    Panel(
        "Hub requests by endpoint", "Requests a second, by the path's template; without one for paths that are none.",
        ((rate(f"{_HUB_SECONDS}_count", HERE, "endpoint"), "{{endpoint}}"),), "reqps", stacked=True,
    ),
    Panel("Hub requests by status", "4xx are mistakes of callers, 5xx the database, the files, or faults of the hub.",
        ((rate(f"{_HUB_SECONDS}_count", HERE, "status"), "{{status}}"),), "reqps", stacked=True, runbook="penstockhuberrors"),
    Panel(
        "Failed hub requests by endpoint", "Requests that were answered with 5xx, a second.",
        ((rate(f"{_HUB_SECONDS}_count", _HUB_FAILED, "endpoint"), "{{endpoint}}"),), "reqps", (0.1, 1), stacked=True, runbook="penstockhuberrors",
    ),
    Panel(
        "Time of a hub request", "From a request's head to its answer, transfers of files included.",
        tuple((quantile(q, _HUB_SECONDS, HERE), f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)), "s", (1, 5),
    ),
    Panel(
        "Time of a search", "Searches of runs, experiments, models, versions and logged models.",
        tuple((quantile(q, _HUB_SECONDS, _SEARCHES, "endpoint"), f"{{{{endpoint}}}} p{int(q * 100)}") for q in (0.5, 0.99)), "s", (0.5, 2),
    ),
    Panel("p99 by hub endpoint", "The slow tail of each endpoint.", ((quantile(0.99, _HUB_SECONDS, HERE, "endpoint"), "{{endpoint}}"),), "s", (1, 5)),
    Panel("Commits", "Commits to the database a second, and the writes in them.",
        ((rate(f"{_COMMIT_SECONDS}_count", HERE), "commits"), (rate("penstock_hub_commit_writes_sum", HERE), "writes")), "suffix: /s"),
    Panel(
        "Time of a commit", "Whoever logs waits for one commit, or for two.",
        tuple((quantile(q, _COMMIT_SECONDS, HERE), f"p{int(q * 100)}") for q in (0.5, 0.99)), "s", (0.25, 1), runbook="penstockhubcommitsslow",
    ),
    Panel(
        "Writes a commit", "What came while the last commit ran is the next one: the more, the slower the disk or the larger the crowd.",
        (*((quantile(q, "penstock_hub_commit_writes", HERE), f"p{int(q * 100)}") for q in (0.5, 0.99)), (f"{rate('penstock_hub_commit_writes_sum', HERE)} / {rate('penstock_hub_commit_writes_count', HERE)}", "mean")),
        "suffix: writes",
    ),
    Panel(
        "Writes not taken", "Writes that the database did not take, a second: it was away, locked, full or read-only.",
        ((rate("penstock_hub_writes_not_taken_total", HERE, "instance"), "{{instance}}"),), "suffix: writes/s", (0.01, 1), runbook="penstockhubwritesnottaken",
    ),
    Panel("Files", "Bytes of artifacts uploaded and downloaded a second.",
        ((rate("penstock_hub_artifact_received_bytes_total", HERE), "received"), (rate("penstock_hub_artifact_sent_bytes_total", HERE), "sent")), "Bps",
        runbook="penstockhubartifactsfailing"),
    Panel(
        "Free disk by place", "Free share of the disk of the store and of the artifacts, where these are on the hub's machine.",
        ((f"penstock_hub_disk_free_bytes{{{HERE}}} / penstock_hub_disk_size_bytes{{{HERE}}}", "{{instance}} {{place}}"),), "percentunit",
        runbook="penstockhubdiskfilling",
    ),
    Panel(
        "Refused callers of hubs", "Requests that were refused by who asks, by reason.",
        ((rate("penstock_hub_access_refused_total", HERE, "reason"), "{{reason}}"),), "reqps", stacked=True,
    ),
    Panel("Memory of hubs", "Resident memory.", ((f"process_resident_memory_bytes{{{HERE}}} {_OF_HUBS}", "{{instance}}"),), "bytes"),
    Panel("Processor of hubs", "Cores used.", ((f"rate(process_cpu_seconds_total{{{HERE}}}{RATE}) {_OF_HUBS}", "{{instance}}"),), "suffix: cores"),
)  # fmt: skip

ROWS: dict[str, tuple[Panel, ...]] = {
    "Overview": _OVERVIEW,
    "Traffic": _TRAFFIC,
    "Latency": _LATENCY,
    "Saturation and batching": _SATURATION,
    "Versions and swaps": _VERSIONS,
    "Workers and processes": (*_WORKERS, *_READERS),
    "Process": _PROCESS,
    "Hub": _HUB,
}
