"""Series on which alerts fire, and others on which they must not."""

from __future__ import annotations

from dataclasses import dataclass

READY = 'penstock_ready{job="penstock", instance="a:8080", namespace="ml"}'
UP = 'up{job="penstock", instance="a:8080", namespace="ml"}'
HERE = 'namespace="ml", job="penstock", instance="a:8080"'
M = f'{HERE}, model="m", version="1"'
OK = f'penstock_requests_total{{{M}, protocol="invocations", outcome="ok"}}'

HUB = 'job="hub", instance="h:5000", namespace="ml"'
HUB_READY = f"penstock_hub_ready{{{HUB}}}"
HUB_UP = f"up{{{HUB}}}"
RUNS, FILES = "/api/2.0/mlflow/runs/create", "/api/2.0/mlflow-artifacts/artifacts/{path...}"


def outcome(name: str) -> str:
    return OK.replace('"ok"', f'"{name}"')


def histogram(name: str, labels: str, rates: dict[str, int], minutes: int = 60) -> dict[str, str]:
    """Series of a histogram whose buckets grow so much a minute."""
    return {f'{name}_bucket{{{labels}, le="{le}"}}': f"0+{rate}x{minutes}" for le, rate in rates.items()}


def answered(endpoint: str, status: str) -> str:
    """The series of a hub's answers."""
    return f'penstock_hub_request_seconds_count{{{HUB}, endpoint="{endpoint}", status="{status}"}}'


def disk(free: int) -> dict[str, str]:
    return {
        f'penstock_hub_disk_{what}_bytes{{{HUB}, place="store"}}': f"{n}x30"
        for what, n in (("free", free), ("size", 100))
    }


@dataclass(frozen=True)
class Case:
    """Series in promtool's notation, a value a minute; after `minutes` the alert fires so often."""

    alert: str
    name: str
    series: dict[str, str]
    minutes: int
    firing: int = 0


CASES = [
    Case("PenstockDown", "a gateway that stops answering", {READY: "1x10 _x10", UP: "1x10 0x10"}, 14, 1),
    Case("PenstockDown", "not at once", {READY: "1x10 _x10", UP: "1x10 0x10"}, 12),
    Case("PenstockDown", "a pod that was taken away", {READY: "1x10 _x10", UP: "1x10 _x10"}, 18),
    Case("PenstockDown", "somebody else's target", {READY: "1x20", 'up{job="node", instance="n:9100"}': "0x20"}, 18),
    Case("PenstockDown", "without a namespace",
         {'penstock_ready{job="x", instance="b"}': "1x10 _x10", 'up{job="x", instance="b"}': "1x10 0x10"}, 14, 1),
    Case("PenstockAbsent", "nobody is scraped", {READY: "1x10 _x20"}, 25, 1),
    Case("PenstockAbsent", "one of two is", {READY: "1x10 _x20", READY.replace("a:", "b:"): "1x30"}, 25),
    Case("PenstockNoneReady", "all are loading", {READY: "0x10", READY.replace("a:", "b:"): "0x10"}, 5, 1),
    Case("PenstockNoneReady", "one of two is ready", {READY: "0x10", READY.replace("a:", "b:"): "1x10"}, 5),
    Case("PenstockNoneReady", "another job is ready", {READY: "0x10", READY.replace('"penstock"', '"other"'): "1x10"}, 5, 1),
    Case("PenstockGatewayNotReady", "one of two", {READY: "0x30", READY.replace("a:", "b:"): "1x30"}, 20, 1),
    Case("PenstockGatewayNotReady", "a start that takes its time", {READY: "0x10 1x20"}, 20),
    Case("PenstockErrorsFast", "two in a hundred for an hour", {OK: "0+980x90", outcome("model_error"): "0+20x90"}, 80, 1),
    Case("PenstockErrorsFast", "one in a hundred", {OK: "0+990x90", outcome("model_error"): "0+10x90"}, 80),
    Case("PenstockErrorsFast", "over since ten minutes", {OK: "0+980x90", outcome("timeout"): "0+200x70 14000x20"}, 80),
    Case("PenstockErrorsFast", "callers' own faults", {OK: "0+500x90", outcome("client_error"): "0+500x90"}, 80),
    Case("PenstockErrorsFast", "nobody asks", {OK: "100x90", outcome("internal"): "0x90"}, 80),
    Case("PenstockErrorsFast", "every kind counts",
         {OK: "0+970x90", **{outcome(o): "0+8x90" for o in ("model_error", "timeout", "internal")}}, 80, 1),
    Case("PenstockErrorsSlow", "eight in a thousand for hours", {OK: "0+992x400", outcome("internal"): "0+8x400"}, 390, 1),
    Case("PenstockErrorsSlow", "four in a thousand", {OK: "0+996x400", outcome("internal"): "0+4x400"}, 390),
    Case("PenstockErrorsSlow", "over since an hour", {OK: "0+992x400", outcome("internal"): "0+80x330 26400x70"}, 390),
    Case("PenstockSlow", "two in a hundred take seconds",
         histogram("penstock_request_seconds", f'{M}, protocol="invocations"', {"0.5": 980, "1": 980, "2.5": 1000, "+Inf": 1000}), 30, 1),
    Case("PenstockSlow", "all within a second",
         histogram("penstock_request_seconds", f'{M}, protocol="invocations"', {"0.5": 500, "1": 1000, "2.5": 1000, "+Inf": 1000}), 30),
    Case("PenstockSlow", "not before ten minutes",
         histogram("penstock_request_seconds", f'{M}, protocol="invocations"', {"1": 980, "2.5": 1000, "+Inf": 1000}), 8),
    Case("PenstockLoopBlocked", "half a second late",
         histogram("penstock_event_loop_lag_seconds", HERE, {"0.25": 500, "0.5": 600, "+Inf": 600}), 30, 1),
    Case("PenstockLoopBlocked", "on time", histogram("penstock_event_loop_lag_seconds", HERE, {"0.25": 600, "0.5": 600, "+Inf": 600}), 30),
    Case("PenstockRefusing", "one in ten", {OK: "0+900x30", outcome("rejected"): "0+100x30"}, 20, 1),
    Case("PenstockRefusing", "one in a hundred", {OK: "0+990x30", outcome("rejected"): "0+10x30"}, 20),
    Case("PenstockRefusing", "a burst", {OK: "0+900x30", outcome("rejected"): "0+400x2 800x28"}, 20),
    Case("PenstockQueueFull", "nine tenths", {f"penstock_queue_rows{{{M}}}": "900x10", f"penstock_queue_limit_rows{{{M}}}": "1000x10"}, 6, 1),
    Case("PenstockQueueFull", "half", {f"penstock_queue_rows{{{M}}}": "500x10", f"penstock_queue_limit_rows{{{M}}}": "1000x10"}, 6),
    Case("PenstockReaderKills", "one a minute", {f'penstock_reader_kills_total{{{HERE}, reason="memory"}}': "0+1x40"}, 30, 1),
    Case("PenstockReaderKills", "now and then", {f'penstock_reader_kills_total{{{HERE}, reason="crash"}}': "0 1 2 3 4x40"}, 30),
    Case("PenstockReaderKills", "callers who leave", {f'penstock_reader_kills_total{{{HERE}, reason="caller"}}': "0+9x40"}, 30),
    Case("PenstockSwapFailing", "a version that cannot be served", {f'penstock_swap_failing{{{HERE}, model="m"}}': "0x3 1x10"}, 8, 1),
    Case("PenstockSwapFailing", "a second try that works", {f'penstock_swap_failing{{{HERE}, model="m"}}': "0x3 1 0x10"}, 8),
    Case("PenstockRegistryStale", "it is", {f'penstock_registry_stale{{{HERE}, model="m"}}': "0x3 1x20"}, 10, 1),
    Case("PenstockRegistryStale", "for a minute", {f'penstock_registry_stale{{{HERE}, model="m"}}': "0x3 1 0x20"}, 10),
    Case("PenstockAliasMissing", "it is", {f'penstock_alias_missing{{{HERE}, model="m"}}': "0x3 1x20"}, 10, 1),
    Case("PenstockAliasMissing", "moved in two steps", {f'penstock_alias_missing{{{HERE}, model="m"}}': "0x3 1 0x20"}, 10),
    Case("PenstockConfigRefused", "a mistake in the file", {f"penstock_config_refused{{{HERE}}}": "0x3 1x20"}, 10, 1),
    Case("PenstockConfigRefused", "mended at once", {f"penstock_config_refused{{{HERE}}}": "0x3 1 0x20"}, 10),
    Case("PenstockTokensRefused", "a mistake in the file", {f"penstock_tokens_refused{{{HERE}}}": "0x3 1x20"}, 10, 1),
    Case("PenstockTokensRefused", "mended at once", {f"penstock_tokens_refused{{{HERE}}}": "0x3 1 0x20"}, 10),
    Case("PenstockModelProcessRestarts", "again and again", {f"penstock_model_process_restarts_total{{{M}}}": "0+1x20"}, 15, 1),
    Case("PenstockModelProcessRestarts", "twice", {f"penstock_model_process_restarts_total{{{M}}}": "0 1 2x20"}, 15),
    Case("PenstockWorkerRestarts", "again and again",
         {f'penstock_worker_restarts_total{{{HERE}, worker="1"}}': "0+1x20", f'penstock_worker_restarts_total{{{HERE}, worker="2"}}': "0x20"}, 15, 1),
    Case("PenstockWorkerRestarts", "twice", {f'penstock_worker_restarts_total{{{HERE}, worker="1"}}': "0 1 2x20"}, 15),
    Case("PenstockWorkerRestarts", "once", {f'penstock_worker_restarts_total{{{HERE}, worker="1"}}': "0 1x20"}, 15),
    Case("PenstockWorkersMissing", "one waits",
         {f'penstock_workers{{{HERE}, state="serving"}}': "1x20", f'penstock_workers{{{HERE}, state="waiting"}}': "1x20",
          f'penstock_workers{{{HERE}, state="starting"}}': "0x20"}, 15, 1),
    Case("PenstockWorkersMissing", "all serve",
         {f'penstock_workers{{{HERE}, state="serving"}}': "2x20", f'penstock_workers{{{HERE}, state="waiting"}}': "0x20",
          f'penstock_workers{{{HERE}, state="starting"}}': "0x20"}, 15),
    Case("PenstockHubDown", "a hub that stops answering", {HUB_READY: "1x10 _x10", HUB_UP: "1x10 0x10"}, 14, 1),
    Case("PenstockHubDown", "not at once", {HUB_READY: "1x10 _x10", HUB_UP: "1x10 0x10"}, 12),
    Case("PenstockHubDown", "a gateway, which has an alert of its own", {READY: "1x10 _x10", UP: "1x10 0x10"}, 18),
    Case("PenstockHubAbsent", "the only one is gone", {HUB_READY: "1x10 _x20"}, 25, 1),
    Case("PenstockHubAbsent", "one of two is", {HUB_READY: "1x10 _x20", HUB_READY.replace("h:", "i:"): "1x30"}, 25),
    Case("PenstockHubAbsent", "there was never one", {READY: "1x30"}, 25),
    Case("PenstockHubStoreUnavailable", "away for two minutes", {f"penstock_hub_store_up{{{HUB}}}": "1x5 0x10"}, 8, 1),
    Case("PenstockHubStoreUnavailable", "a restart of the database", {f"penstock_hub_store_up{{{HUB}}}": "1x5 0 1x10"}, 8),
    Case("PenstockHubWritesNotTaken", "for minutes", {f"penstock_hub_writes_not_taken_total{{{HUB}}}": "0x5 1+1x10"}, 12, 1),
    Case("PenstockHubWritesNotTaken", "long ago", {f"penstock_hub_writes_not_taken_total{{{HUB}}}": "0 7x30"}, 20),
    Case("PenstockHubErrors", "three in a hundred", {answered(RUNS, "2xx"): "0+97x30", answered(RUNS, "5xx"): "0+3x30"}, 20, 1),
    Case("PenstockHubErrors", "one in a hundred", {answered(RUNS, "2xx"): "0+99x30", answered(RUNS, "5xx"): "0+1x30"}, 20),
    Case("PenstockHubErrors", "callers' own", {answered(RUNS, "2xx"): "0+50x30", answered(RUNS, "4xx"): "0+50x30"}, 20),
    Case("PenstockHubArtifactsFailing", "of many other requests",
         {answered(RUNS, "2xx"): "0+9999x30", answered(FILES, "2xx"): "0+9x30", answered(FILES, "5xx"): "0+1x30"}, 20, 1),
    Case("PenstockHubArtifactsFailing", "what fails is no file",
         {answered(RUNS, "5xx"): "0+50x30", answered(FILES, "2xx"): "0+10x30", answered(FILES, "5xx"): "0x30"}, 20),
    Case("PenstockHubCommitsSlow", "two in a hundred take seconds",
         histogram("penstock_hub_commit_seconds", HUB, {"0.5": 980, "1": 980, "5": 1000, "+Inf": 1000}), 30, 1),
    Case("PenstockHubCommitsSlow", "half a second each",
         histogram("penstock_hub_commit_seconds", HUB, {"0.25": 0, "0.5": 1000, "1": 1000, "5": 1000, "+Inf": 1000}), 30),
    Case("PenstockHubDiskFilling", "nine of a hundred are left", disk(9), 20, 1),
    Case("PenstockHubDiskFilling", "eleven are", disk(11), 20),
]  # fmt: skip
