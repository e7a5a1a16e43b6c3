"""Settings to option objects: what each part of a server is given instead of the settings."""

from __future__ import annotations

from collections.abc import Callable

from penstock.assembly.environments import builds_environments, environments_of, interpreter_for
from penstock.config import ServerSettings, Settings
from penstock.errors import ConfigError, remedy
from penstock.http.run import RunOptions
from penstock.loading import LoadOptions
from penstock.machine.cores import threads_each, usable_cores
from penstock.machine.interpreters import Interpreter
from penstock.machine.memory import machine_memory, process_memory
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.reader_process.limits import ReaderLimits
from penstock.reader_process.pool import ReaderPool
from penstock.serving.batching.admission import InflightLimits
from penstock.serving.runners.isolation import GRACE, Isolation, own_interpreter
from penstock.serving.servable import ServingOptions, slots_of
from penstock.serving.swap.follower import FollowOptions
from penstock.wire.mlflow.codec import pandas_installed

# One reader is left to small bodies while others have large ones.
_LEAST_READERS, _MOST_READERS = 2, 4


def run_options_of(settings: Settings) -> RunOptions:
    return RunOptions(settings.keep_alive, settings.drain_delay, settings.drain_timeout)


def inflight_limits_of(settings: Settings) -> InflightLimits:
    return InflightLimits(settings.max_inflight, settings.max_inflight_bytes)


def follow_options_of(settings: Settings) -> FollowOptions:
    return FollowOptions(settings.poll_interval, settings.keep_previous)


def load_options_of(settings: Settings) -> LoadOptions:
    return LoadOptions(settings.trust_code, settings.strict_env, settings.flavor, settings.threads)


def serving_options_of(settings: Settings) -> ServingOptions:
    return ServingOptions(
        settings.max_rows,
        settings.max_queue_rows,
        settings.concurrency,
        settings.max_wait,
        settings.timeout,
        settings.max_text_cell,
        settings.mlflow_exact,
        settings.strict_params,
    )


def check_mlflow_exact(settings: Settings) -> None:
    """Raises ConfigError where every answer of some model is to be MLflow's, and pandas is missing, which decides what
    those are."""
    own = settings.own.values() if isinstance(settings, ServerSettings) else ()
    asked = settings.mlflow_exact or any(table.get("mlflow_exact") for table in own)
    if asked and not pandas_installed():
        raise ConfigError("mlflow_exact needs pandas, which is not installed.", hint="Install it: pip install pandas.")


def readers_of(settings: Settings, metrics: Metrics) -> ReaderPool:
    """The reader processes of one server process. None is started before there is something to read."""
    return ReaderPool(
        reader_count(settings), ReaderLimits(settings.read_timeout, settings.reader_memory), metrics.readers
    )


def reader_count(settings: Settings) -> int:
    """The most reader processes of one server process."""
    return settings.readers or min(max(usable_cores(), _LEAST_READERS), _MOST_READERS)


def threads_of(settings: Settings) -> int:
    """How many threads the models of one server process may use: all cores, or a worker's share."""
    return settings.threads or threads_each(usable_cores(), max(1, settings.workers))


def isolation_of(settings: Settings) -> Isolation:
    """Raises ConfigError for settings that cannot be combined."""
    mode = settings.isolation
    interpreter: Callable[[PackagedModel], Interpreter] = own_interpreter
    if builds_environments(settings.env_manager):
        if mode == "none":
            raise ConfigError(
                f"A model cannot run in the gateway's process with the environment manager {settings.env_manager}.",
                hint="Set isolation to auto or process.",
                remedy=remedy("isolate"),
            )
        environments = environments_of(settings.cache, settings.wheels)
        options = load_options_of(settings)
        interpreter = interpreter_for(
            environments, trust_code=options.trust_code, strict_env=options.strict_env, flavor=options.flavor
        )
        mode = "process"
    return Isolation(
        mode=mode,
        instances=settings.instances,
        memory_limit=process_memory(machine_memory()) if settings.memory_limit is None else settings.memory_limit,
        threads=settings.threads or (0 if settings.instances == 1 else threads_of(settings) // settings.instances or 1),
        slots=slots_of(serving_options_of(settings)),
        time_limit=settings.timeout + GRACE,
        load_timeout=settings.load_timeout,
        interpreter=interpreter,
    )
