"""`penstock hub`: the server of tracking, registry and artifacts."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from penstock.cli.hub.backup import backup, restore
from penstock.cli.hub.gc import gc
from penstock.cli.hub.importing import import_command
from penstock.cli.hub.migrate import migrate
from penstock.cli.hub.options import DEFAULT_PORT, PortType, artifacts_of, artifacts_option, store_option
from penstock.cli.hub.tokens import token
from penstock.cli.serve import announce, keep_memory_together, use_uvloop
from penstock.defaults import DRAIN_TIMEOUT

if TYPE_CHECKING:
    import socket

    from penstock.assembly.hub import HubOptions
    from penstock.http.run import RunOptions
    from penstock.logs import LogFormat
    from penstock.machine.exit_limit import ExitLimit


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@store_option
@artifacts_option
@click.option(
    "--host", default="127.0.0.1", show_default=True, envvar="PENSTOCK_HUB_HOST", help="Address to listen on."
)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=PortType(0, 65535),
    envvar="PENSTOCK_HUB_PORT",
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--open-to-everybody",
    is_flag=True,
    envvar="PENSTOCK_HUB_OPEN_TO_EVERYBODY",
    help="Ask for no tokens, whoever can reach the hub.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    envvar="PENSTOCK_HUB_ALLOWED_HOSTS",
    help="A host name that callers use for the hub, besides addresses and localhost. May be repeated.",
)
@click.option(
    "--drain-delay",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    envvar="PENSTOCK_DRAIN_DELAY",
    help="Seconds after SIGTERM in which new connections are accepted, while a balancer notices.",
)
@click.option(
    "--drain-timeout",
    default=DRAIN_TIMEOUT,
    show_default=True,
    type=click.FloatRange(min=0),
    envvar="PENSTOCK_DRAIN_TIMEOUT",
    help="Seconds after the drain delay in which requests in flight may finish.",
)
@click.option(
    "--log-format",
    default="plain",
    show_default=True,
    type=click.Choice(["plain", "json"]),
    envvar="PENSTOCK_LOG_FORMAT",
    help="Log lines for people or for programs.",
)
@click.option(
    "--workers",
    "-w",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    envvar="PENSTOCK_HUB_WORKERS",
    help="Processes that answer, all on the same port. More than one needs a store in PostgreSQL.",
)
@click.option("--access-log", is_flag=True, envvar="PENSTOCK_ACCESS_LOG", help="A line of JSON for each request.")
@click.pass_context
def hub(
    context: click.Context,
    store: str,
    artifacts: str | None,
    host: str,
    port: int,
    open_to_everybody: bool,
    allowed_hosts: tuple[str, ...],
    drain_delay: float,
    drain_timeout: float,
    log_format: LogFormat,
    workers: int,
    access_log: bool,
) -> None:
    """Serve experiment tracking and the model registry to the stock MLflow client, until SIGTERM or Ctrl-C.

    Set MLFLOW_TRACKING_URI to the hub's address, and training code logs its runs, models and files there. Only this
    machine reaches the hub unless --host says otherwise; a hub that others reach asks for tokens.

    \b
    Examples:
      penstock hub
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py

    \b
    For other machines:
      penstock hub token add ann --role write
      penstock hub --host 0.0.0.0
      MLFLOW_TRACKING_URI=http://hub:5000 MLFLOW_TRACKING_TOKEN=pst_… \\
        python train.py

    \b
    In a container, with the first token from a secret:
      PENSTOCK_HUB_ADMIN_TOKEN=… penstock hub --host 0.0.0.0 \\
        --store /var/lib/penstock

    \b
    A database and an object store of your own:
      penstock hub --store postgresql://penstock@db/penstock migrate
      penstock hub --store postgresql://penstock@db/penstock \\
        --artifacts s3://bucket/artifacts --workers 4
    """
    context.obj = store
    if context.invoked_subcommand is None:
        from penstock.assembly.hub import HubOptions
        from penstock.http.run import RunOptions
        from penstock.hub.access.given_tokens import given_tokens
        from penstock.logs import set_up_logging

        set_up_logging(format=log_format)
        where = HubOptions(store, artifacts_of(store, artifacts), access_log=access_log, log_format=log_format)
        given = {} if open_to_everybody else given_tokens(os.environ)
        options = replace(where, open_to_everybody=open_to_everybody, allowed_hosts=allowed_hosts, given_tokens=given)
        _serve(options, host, port, RunOptions(drain_delay=drain_delay, drain_timeout=drain_timeout), workers)


hub.add_command(token)
hub.add_command(migrate)
hub.add_command(gc)
hub.add_command(backup)
hub.add_command(restore)
hub.add_command(import_command)


def _serve(given: HubOptions, host: str, port: int, run_options: RunOptions, workers: int) -> None:
    from penstock.http.run import bind
    from penstock.machine.exit_limit import ExitLimit, ended_in_time

    with bind(host, port, flag="--port") as bound:
        keep_memory_together()
        use_uvloop()
        limit = ExitLimit(run_options.exit_seconds)
        options = replace(given, loopback=ipaddress.ip_address(bound.getsockname()[0]).is_loopback)
        with ended_in_time(limit):
            asyncio.run(_run(options, bound, run_options, workers, limit))


async def _run(
    options: HubOptions, bound: socket.socket, run_options: RunOptions, workers: int, limit: ExitLimit
) -> None:
    announce = partial(_announce, options)
    if workers == 1:
        from penstock.assembly.hub import serve_hub

        await serve_hub(options, bound, run_options, announce, limit=limit)
    else:
        from penstock.assembly.hub_workers import supervise_hub

        with limit.after():
            await supervise_hub(options, bound, run_options, workers, announce, limit=limit)


def _announce(options: HubOptions, url: str, asks_for_tokens: bool) -> None:
    """Says who may come in, and then the line that scripts wait for."""
    if options.open_to_everybody:
        click.echo("open to everybody who can reach it: no tokens are asked for", err=True)
    elif options.loopback:
        click.echo(f"only this machine can reach it{', and callers need a token' * asks_for_tokens}", err=True)
    else:
        click.echo("callers need a token", err=True)
    announce(url)
