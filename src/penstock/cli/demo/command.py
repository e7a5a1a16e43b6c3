"""`penstock demo`: everything once, for real, on the sample models of the checkout."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from penstock.cli.demo.shell import Shell

STAY_DIRECTORY = "penstock-demo"

# Two flowers between versicolor and virginica: version 1 and version 2 answer them differently.
FLOWERS = (
    '{"dataframe_split": {"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], '
    '"data": [[6.7, 3.0, 5.0, 1.7], [6.3, 2.8, 5.1, 1.5]]}}'
)
# Asked of the registry often, so that a promotion shows at once; the default is every two seconds.
FAST = ("--poll-interval", "0.2")
METRICS = ("penstock_requests_total", "penstock_rows_total", "penstock_swaps_total", "penstock_model_info")


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The directory to work in. Models that an earlier demo made there are used again. Default: a temporary "
    "directory; with --stay, ./penstock-demo.",
)
@click.option(
    "--keep/--no-keep", default=None, help="Keep the directory afterwards. Default: keep it only if --dir names it."
)
@click.option("--stay", is_flag=True, help="Prepare the models, then serve them in the foreground until Ctrl-C.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="The port that --stay serves on."
)
def demo(directory: Path | None, keep: bool | None, stay: bool, port: int) -> None:
    """Train, package, register, serve, promote, roll back and score three sample models; then log an experiment to a
    hub, and serve the model of its best run.

    Needs a checkout of Penstock, and its sklearn, onnx and parquet extras with skl2onnx.

    \b
    Examples:
      penstock demo
      penstock demo --stay
    """
    from penstock.cli.console import console
    from penstock.cli.demo.sample_models import find_samples, prepare
    from penstock.cli.demo.shell import Shell

    signal.signal(signal.SIGTERM, _on_sigterm)  # by default it would leave the demo's server running
    find_samples()
    if stay and directory is None:
        directory = Path(STAY_DIRECTORY)
    with _work_directory(directory, keep) as work:
        shell = Shell(work, console())
        with _failures_named(shell):
            if stay:
                prepare(shell)
            else:
                _show_all(shell)
        if stay:
            _serve_in_foreground(shell, port)


def _on_sigterm(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


@contextmanager
def _work_directory(directory: Path | None, keep: bool | None) -> Iterator[Path]:
    """The directory to work in; removed afterwards if that is wanted, and if it is the demo's own."""
    from penstock.cli.demo.sample_models import MARKER
    from penstock.cli.demo.shell import DemoFailed

    try:
        if directory is None:
            work, keep = Path(tempfile.mkdtemp(prefix="penstock-demo-")), bool(keep)
        else:
            work, keep = directory.absolute(), keep is not False
            work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoFailed(f"Cannot create the work directory: {error}") from error
    try:
        yield work
    finally:
        if not keep and (directory is None or (work / MARKER).exists()):
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _failures_named(shell: Shell) -> Iterator[None]:
    """Turns whatever fails into one sentence that names the step. Raises DemoFailed."""
    from http.client import HTTPException
    from subprocess import SubprocessError

    from penstock.cli.demo.shell import DemoFailed
    from penstock.errors import PenstockError

    try:
        yield
    except DemoFailed as error:
        raise DemoFailed(f"The demo failed {shell.where}: {error.message}") from error
    except (OSError, HTTPException, SubprocessError, ImportError, PenstockError) as error:
        raise DemoFailed(f"The demo failed {shell.where}: {error or type(error).__name__}") from error


def _show_all(shell: Shell) -> None:
    from penstock.cli.demo.experiment import show_experiment
    from penstock.cli.demo.sample_models import CANCER, IRIS, prepare
    from penstock.cli.demo.server import serving

    shell.say(f"The demo runs all commands in {shell.work}.")
    reused = prepare(shell)
    shell.step("Serve the scikit-learn and the ONNX model: neither runs code of its own")
    if reused:
        shell.run(["penstock", "registry", "promote", IRIS, "1", "--reason", "another demo begins"])
    with serving(shell, IRIS, CANCER, "--default-model", IRIS, "--port", "0", *FAST) as url:
        _ask(shell, url)
        _promote(shell, url)
        _roll_back(shell, url)
        _metrics(shell, url)
        shell.step("Stop the server")
    _score(shell)
    _code_carrying(shell)
    show_experiment(shell)
    _what_next(shell)


def _ask(shell: Shell, url: str) -> None:
    from penstock.cli.demo.sample_models import CANCER, MODELS
    from penstock.cli.demo.server import ask

    shell.step("Send prediction requests over HTTP, in MLflow's format: columns or arrays")
    ask(shell, f"{url}/invocations", FLOWERS)
    ask(shell, f"{url}/models/{CANCER}/invocations", f"@{MODELS}/{CANCER}/request.json")


def _promote(shell: Shell, url: str) -> None:
    from penstock.cli.demo.sample_models import IRIS

    shell.step("Promote version 2 of iris while requests keep coming")
    _move(shell, url, ["promote", IRIS, "2", "--reason", "better on borderline flowers"], before="1", after="2")


def _roll_back(shell: Shell, url: str) -> None:
    from penstock.cli.demo.sample_models import IRIS

    shell.step("Roll back while requests keep coming: version 1 is still loaded")
    _move(shell, url, ["rollback", IRIS, "--reason", "only a demo"], before="2", after="1")
    shell.run(["penstock", "registry", "history", IRIS])


def _move(shell: Shell, url: str, command: list[str], *, before: str, after: str) -> None:
    """Moves an alias under a stream of requests, and shows that none of them fails. Raises DemoFailed."""
    from penstock.cli.demo.server import RequestStream, ask
    from penstock.cli.demo.shell import DemoFailed

    with RequestStream(f"{url}/invocations", FLOWERS) as stream:
        stream.wait_for(before, 100)
        shell.run(["penstock", "registry", *command])
        stream.wait_for(after, 100)
    shell.say(str(stream))
    if stream.failed:
        raise DemoFailed(f"{stream.failed} requests failed while version {after} took over.")
    ask(shell, f"{url}/invocations", FLOWERS)


def _metrics(shell: Shell, url: str) -> None:
    from penstock.cli.demo.server import get

    shell.step("Show the server's metrics")
    shell.command(["curl", "-s", f"{url}/metrics"])
    for line in get(f"{url}/metrics").splitlines():
        if line.startswith(METRICS) and not line.endswith(" 0.0"):
            shell.output(line)
    shell.output("…")


def _score(shell: Shell) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    from penstock.cli.demo.sample_models import CANCER, IRIS, MODELS

    shell.step("Score files with the same models: CSV and Parquet")
    shell.run(["penstock", "score", IRIS, f"{MODELS}/{IRIS}/dataset.csv", "-o", "iris-scored.csv", "--keep", "*"])
    with (shell.work / "iris-scored.csv").open(encoding="utf-8") as scored:
        for _ in range(4):
            shell.say(scored.readline().rstrip())
    dataset = shell.work / MODELS / CANCER / "dataset.parquet"
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(dataset.with_suffix(".csv")), dataset)
    shell.run(["penstock", "score", CANCER, f"{MODELS}/{CANCER}/dataset.parquet", "-o", "cancer-scored.parquet"])
    for row in pyarrow.parquet.read_table(shell.work / "cancer-scored.parquet").slice(0, 3).to_pylist():
        shell.say(str(row))


def _code_carrying(shell: Shell) -> None:
    from penstock.cli.demo.sample_models import DIABETES, MODELS
    from penstock.cli.demo.server import ask, serving

    shell.step("Models that carry code are served only with --trust-code")
    shell.say(
        "The diabetes model is a Python function. Loading it would run its author's code, so Penstock refuses it:"
    )
    shell.run(["penstock", "serve", DIABETES, "--port", "0"], code=1)
    shell.say("With --trust-code, the model answers with an interval, reasons, and a warning for unusual inputs:")
    with serving(shell, DIABETES, "--trust-code", "--port", "0") as url:
        ask(shell, f"{url}/invocations", f"@{MODELS}/{DIABETES}/request.json")


def _what_next(shell: Shell) -> None:
    shell.step("What to try next")
    shell.say(
        "penstock demo --stay        prepare the same models and serve them on port 8080 until Ctrl-C (make serve)"
    )
    shell.say("sample_models/README.md     how these models are made, and how to package your own")
    shell.say("docs/tracking.md            how to log your own experiments, with a hub or without one")
    shell.say("penstock --help             everything else")


def _serve_in_foreground(shell: Shell, port: int) -> None:
    """Serves in this process, as `penstock serve` does, until a signal comes."""
    from penstock.cli.demo.sample_models import CANCER, IRIS, MODELS, REGISTRY
    from penstock.cli.serve import serve

    url = f"http://127.0.0.1:{port}"
    registry = os.path.relpath(shell.work / REGISTRY)
    rows = os.path.relpath(shell.work / MODELS / CANCER / "request.json")
    shell.step("Serving until Ctrl-C. In another terminal, try:")
    shell.command(["curl", "-si", f"{url}/invocations", "-H", "Content-Type: application/json", "-d", FLOWERS])
    arrays = ["-H", "Content-Type: application/json", "--data-binary", f"@{rows}"]
    shell.command(["curl", "-si", f"{url}/models/{CANCER}/invocations", *arrays])
    shell.command(["penstock", "registry", "promote", IRIS, "2", "--registry", registry])
    shell.command(["curl", "-s", f"{url}/metrics"])
    shell.say("")
    arguments = [IRIS, CANCER, "--default-model", IRIS, "--registry", registry, "--port", str(port)]
    shell.command(["penstock", "serve", *arguments])
    serve.main(arguments, standalone_mode=False)
