"""The second half of the demo: an experiment logged to a hub, its best run found, registered, promoted and served."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.cli.demo.sample_models import find_samples
from penstock.cli.demo.server import ask, running, serving
from penstock.cli.demo.shell import Shell

WINE = "wine"
FOLDER = "wine_experiment"
_REQUEST = "wine.json"
_BY_SCORE = ("--order-by", "metrics.f1 DESC", "--order-by", "metrics.loss")

# A wine that the first model takes for another one: the row of scikit-learn's data.
_ROW = 150


@dataclass(frozen=True, slots=True)
class FoundRun:
    """What the demo needs of a run that `penstock runs list --json` tells."""

    run_id: str
    name: str
    f1: float


def show_experiment(shell: Shell) -> None:
    """Raises DemoFailed."""
    shell.step("Start a hub: it keeps the runs of a team, its models, and the files of both")
    with running(shell, "penstock", "hub", "--store", "hub", "--port", "0") as url:
        with shell.exported("MLFLOW_TRACKING_URI", url):
            _log(shell)
            best, first = _search(shell)
            _register(shell, best, first)
            _serve(shell, best)
        shell.step("Stop the hub")


def _log(shell: Shell) -> None:
    shell.step("Train twelve wine classifiers, and log each as a run of an experiment: MLflow is not needed")
    shell.run(["python", str(find_samples() / FOLDER / "train.py")])


def _search(shell: Shell) -> tuple[FoundRun, FoundRun]:
    """The best run and the first one."""
    shell.step("Search the runs in MLflow's filter language, from the command line")
    shell.run(["penstock", "runs", "list", WINE, "--filter", "metrics.f1 > 0.9", *_BY_SCORE])
    shell.say("Programs read the same as JSON:")
    runs = json.loads(shell.read(["penstock", "runs", "list", WINE, *_BY_SCORE, "--json"]))
    first = min(runs, key=lambda run: str(run["started"]))
    best, baseline = (FoundRun(run["run_id"], run["name"], run["metrics"]["f1"]) for run in (runs[0], first))
    shell.say(f"{len(runs)} runs; the best is {best.name}, f1 {best.f1:.3f}. Against the first one:")
    shell.run(["penstock", "runs", "compare", baseline.name, best.name])
    return best, baseline


def _register(shell: Shell, best: FoundRun, first: FoundRun) -> None:
    shell.step("Register the models of the first run and of the best one, and promote the first")
    for run in (first, best):
        shell.run(["python", "-c", _registering(run.run_id)])
    shell.run(["penstock", "registry", "promote", WINE, "1", "--reason", "something to begin with"])


def _registering(run_id: str) -> str:
    made = f'tracking.register_model("runs:/{run_id}/model", "{WINE}")'
    return f'from penstock import tracking; print("{WINE}, version", {made}.version)'


def _serve(shell: Shell, best: FoundRun) -> None:
    shell.step("Serve it from the hub, and promote the best one: the hub tells the gateway, which switches at once")
    (shell.work / _REQUEST).write_text(json.dumps(_rows()), encoding="utf-8")
    with serving(shell, WINE, "--port", "0") as url:
        ask(shell, f"{url}/invocations", f"@{_REQUEST}")
        why = f"f1 {best.f1:.3f}, the best of twelve runs"
        shell.run(["penstock", "registry", "promote", WINE, "2", "--reason", why, "--wait", url])
        ask(shell, f"{url}/invocations", f"@{_REQUEST}")
        shell.say("What is served leads back to the run that made it, and the run to what is served:")
        shell.run(["penstock", "registry", "history", WINE], ["penstock", "runs", "show", best.name])


def _rows() -> dict[str, Any]:
    from sklearn.datasets import load_wine

    wine = load_wine()
    row: Sequence[float] = wine.data[_ROW].tolist()
    return {"dataframe_split": {"columns": list(wine.feature_names), "data": [row]}}
