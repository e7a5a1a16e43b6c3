"""`penstock hub`: the server of tracking, registry and artifacts."""

from __future__ import annotations

import asyncio

import click

from penstock.cli.serve import announce, keep_memory_together, use_uvloop


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--store", default="./penstock-registry", show_default=True, envvar="PENSTOCK_STORE")
@click.option("--artifacts", default=None, envvar="PENSTOCK_ARTIFACTS")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=5000, show_default=True, type=click.IntRange(0, 65535))
def hub(store: str, artifacts: str | None, host: str, port: int) -> None:
    """Serve experiment tracking and the model registry to the stock MLflow client, until SIGTERM or Ctrl-C.

    \b
    Examples:
      penstock hub
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py
    """
    from penstock.assembly.hub import HubOptions, serve_hub
    from penstock.http.run import RunOptions, bind
    from penstock.logs import set_up_logging
    from penstock.machine.exit_limit import ExitLimit, ended_in_time

    set_up_logging(format="plain", level="info")
    run_options = RunOptions(drain_delay=0.0)
    with bind(host, port, flag="--port") as bound:
        keep_memory_together()
        use_uvloop()
        limit = ExitLimit(run_options.exit_seconds)
        options = HubOptions(store, artifacts or f"{store}/artifacts")
        with ended_in_time(limit):
            asyncio.run(serve_hub(options, bound, run_options, announce, limit=limit))
