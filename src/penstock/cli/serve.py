"""`penstock serve`."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.assembly.environments import builds_environments
from penstock.cli.setting_flags import config_option, given, settings_options
from penstock.config import Origins, ServerSettings, Settings, load_settings, settings_file, unknown_variables
from penstock.errors import ConfigError

if TYPE_CHECKING:
    from penstock.assembly.live.reloading import SettingsFile
    from penstock.machine.exit_limit import ExitLimit

log = logging.getLogger("penstock.cli")


@click.command(context_settings={"help_option_names": ["--help"]})  # -h is the host, as in MLflow
@click.argument("models", nargs=-1, metavar="MODEL...")
@click.option(
    "-m",
    "--model-uri",
    "--models",
    "model_uri",
    multiple=True,
    metavar="MODEL",
    help="A model, as mlflow models serve takes it, or a name pattern. May be repeated.",
)
@config_option
@click.option("--no-conda", is_flag=True, help="Same as --env-manager local, as in MLflow.")
@click.option(
    "--install-mlflow",
    is_flag=True,
    help="Accepted for compatibility; has no effect, since Penstock does not need MLflow.",
)
@click.option(
    "--enable-mlserver", is_flag=True, help="Not supported: Penstock is the server and does not use MLServer."
)
@settings_options(leave_out=("models",))
def serve(
    models: tuple[str, ...],
    model_uri: tuple[str, ...],
    file: Path | None,
    no_conda: bool,
    install_mlflow: bool,
    enable_mlserver: bool,
    **flags: Any,
) -> None:
    """Serve one or more models over HTTP, until SIGTERM or Ctrl-C.

    MODEL is a package's directory, the URL of one in an object store (s3://…, gs://…), or a name in the registry: NAME
    (its production version), models:/NAME@alias, models:/NAME/3, models:/NAME/latest. The server follows an alias:
    promote another version, and the server switches to it within seconds. Any other MODEL stays fixed until a restart.
    A pattern such as 'team-*' serves every model with a matching name and the alias, including models registered later.
    Their settings are in the table [models."team-*"] of the settings file. Quote the pattern, or the shell expands it.

    If the registry is an MLflow server, models:/NAME/Production, models:/m-ID, runs:/RUN/PATH and
    mlflow-artifacts:/PATH work too. Write NAME=MODEL to serve a model under another name.

    To give single models their own settings, write a table [models.NAME] for each into the settings file. These
    settings override flags and variables, which apply to all models. penstock config show prints the settings in
    effect.

    The flags of mlflow models serve have the same meaning here, but the default port is 8080.

    \b
    Examples:
      penstock serve ./model
      penstock serve fraud churn --registry ./penstock-registry --port 9000
      penstock serve models:/fraud@canary champion=models:/fraud/3
      penstock serve models:/fraud@champion --registry http://mlflow:5000
      penstock serve fraud --workers 4
      penstock serve fraud churn --env-manager uv
      penstock serve fraud --host 0.0.0.0 --admin-port 8081
      penstock serve fraud=s3://bucket/models/fraud-v7
      penstock serve --config penstock.toml
      penstock serve 'models:/team-*@champion' fraud
      penstock serve -m runs:/8f2c…/model -h 0.0.0.0 -p 5000 -t 60 --env-manager local

    \b
    Then:
      curl localhost:8080/invocations -H 'Content-Type: application/json' \\
           -d '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}'
    """
    values = given(flags)
    _check_mlflow_flags(values, no_conda, install_mlflow, enable_mlserver)
    if models or model_uri:
        values["models"] = (*models, *model_uri)
    path = settings_file(os.environ, file)
    read = partial(_read, values, dict(os.environ), path)
    settings, origins = read()
    if not settings.models:
        raise click.UsageError("Name a model to serve: a package's directory or URL, or a name in the registry.")
    _serve(settings, origins, None if path is None else (path, read))


def _read(flags: Mapping[str, Any], environ: Mapping[str, str], path: Path | None) -> tuple[ServerSettings, Origins]:
    """The settings. Where nobody names a model, a platform may have brought one. Raises ConfigError."""
    settings, origins = load_settings(flags, environ, path)
    if not settings.models:
        settings = settings.model_copy(update={"models": platform_models(environ)})
    return settings, origins


def _read_again(path: Path, read: Callable[[], tuple[ServerSettings, Origins]]) -> ServerSettings:
    """For a server that runs. Raises ConfigError."""
    settings, _ = read()
    if not settings.models:
        raise ConfigError(f"{path} names no model to serve.", hint="End the server to serve none.")
    return settings


def _serve(
    settings: ServerSettings,
    origins: Origins,
    file: tuple[Path, Callable[[], tuple[ServerSettings, Origins]]] | None,
) -> None:
    from penstock.assembly.live.reloading import SettingsFile
    from penstock.assembly.observers import why_untraced
    from penstock.assembly.options import run_options_of
    from penstock.http.run import bind
    from penstock.logs import set_up_logging
    from penstock.machine.cores import usable_cores
    from penstock.machine.exit_limit import ExitLimit, ended_in_time

    followed = None if file is None else SettingsFile(file[0], settings, partial(_read_again, *file))
    untraced = why_untraced(settings, origins["otlp_endpoint"])
    set_up_logging(format=settings.log_format, level=settings.log_level)
    if builds_environments(settings.env_manager) and settings.env_manager != "uv":
        log.info("--env-manager %s: uv builds the environments of models.", settings.env_manager)
    for unknown in unknown_variables(os.environ):
        logging.getLogger("penstock").warning(unknown)
    if untraced:
        logging.getLogger("penstock").warning(untraced)
        settings = settings.model_copy(update={"otlp_endpoint": None})
    settings = settings.model_copy(update={"workers": settings.workers or usable_cores()})
    with ExitStack() as sockets:  # before anything is loaded: a busy port is known at once
        bound = sockets.enter_context(bind(settings.host, settings.port, flag="--port"))
        admin = None
        if settings.admin_port is not None:
            admin = sockets.enter_context(bind(settings.host, settings.admin_port, flag="--admin-port"))
        keep_memory_together()
        use_uvloop()
        limit = ExitLimit(run_options_of(settings).exit_seconds)
        with ended_in_time(limit):
            asyncio.run(_run(settings, bound, admin, limit, followed))


async def _run(
    settings: Settings,
    bound: socket.socket,
    admin: socket.socket | None,
    limit: ExitLimit,
    file: SettingsFile | None,
) -> None:
    from penstock.http.run import url_of

    say = partial(announce, admin=None if admin is None else url_of(admin))
    with limit.after():
        if settings.workers == 1:
            from penstock.assembly.gateway import serve_forever

            await serve_forever(settings, bound, say, admin, limit=limit, file=file)
        else:
            from penstock.assembly.workers import supervise

            await supervise(settings, bound, say, admin, limit=limit, file=file)


def _check_mlflow_flags(values: dict[str, Any], no_conda: bool, install_mlflow: bool, enable_mlserver: bool) -> None:
    """What MLflow's flags without a setting of their own mean here. Raises ConfigError."""
    if enable_mlserver:
        raise ConfigError(
            "--enable-mlserver is not supported: Penstock is the server.",
            hint="Omit the flag. Penstock has its own batching, metrics and workers.",
        )
    if no_conda and values.setdefault("env_manager", "local") != "local":
        raise click.UsageError(f"--no-conda and --env-manager {values['env_manager']} cannot be combined.")
    if install_mlflow:
        click.echo("--install-mlflow has no effect: Penstock does not need MLflow.", err=True)


def platform_models(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The model that a platform gives to its container: what AIP_STORAGE_URI names (Vertex AI), or what was unpacked
    (SageMaker); nothing anywhere else. Sources: Vertex AI, "Custom container requirements for prediction"; Amazon
    SageMaker, "Use your own inference code with hosting services"."""
    from penstock.manifest import FILE_NAME as MANIFEST  # here, since it brings yaml along

    if place := environ.get("AIP_STORAGE_URI", "").strip():  # empty where the model has no artifacts
        return (f"model={place}",)
    unpacked = Path(environ.get("SM_MODEL_DIR") or "/opt/ml/model")
    found = [path.parent for path in (unpacked / MANIFEST, *sorted(unpacked.glob(f"*/{MANIFEST}"))) if path.is_file()]
    return (f"model={found[0]}",) if found else ()


def announce(url: str, *, admin: str | None = None) -> None:
    """The line that scripts wait for, and before it the other port's, so that who waits has both."""
    if admin is not None:
        click.echo(f"admin on {admin}")
    click.echo(f"serving on {url}")


def keep_memory_together() -> None:
    """One pool of memory for all threads, where the C library is GNU's: with a pool for each, a few threads keep
    megabytes that no other may use. They take turns at the interpreter anyway."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, 1)


# The number of the parameter in <malloc.h>.
_M_ARENA_MAX = -8


def use_uvloop() -> None:
    try:
        import uvloop
    except ImportError:  # Windows
        return
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
