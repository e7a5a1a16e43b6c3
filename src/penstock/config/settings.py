"""The settings: each declared once, with its type, bounds, default and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from penstock import defaults
from penstock.errors import ConfigError
from penstock.http.origins import parse_origins
from penstock.sizes import parse_size

PREFIX = "PENSTOCK_"
# Where runs are logged: models that were registered with them are in the same place.
TRACKING_VARIABLE = f"{PREFIX}TRACKING_URI"

_PER_MODEL = object()
T = TypeVar("T")
# The type of a setting that one model may have a value of its own for.
PerModel = Annotated[T, _PER_MODEL]


def _mlflow(*variables: str) -> dict[str, Any]:
    """Marks a setting that MLflow, Vertex AI or SageMaker has a variable for; the first one that is set counts."""
    return {"mlflow": list(variables)}


def _size(given: object) -> object:
    """A size as people write it; anything else is pydantic's to refuse."""
    if not isinstance(given, str):
        return given
    try:
        return parse_size(given)
    except ConfigError as error:
        raise ValueError(f"{error.message} {error.hint}".rstrip(".")) from None


def _limit(given: object) -> object:
    """The same, where nothing said is no limit."""
    return 0 if isinstance(given, str) and not given.strip() else _size(given)


def _origins(given: object) -> object:
    """Origins as a list, or as a text with blanks or commas between them; anything else is pydantic's to refuse."""
    if isinstance(given, str):
        given = tuple(given.replace(",", " ").split())
    if isinstance(given, (list, tuple)) and all(isinstance(origin, str) for origin in given):
        return parse_origins(tuple(given))
    return given


# The pattern is for those who write a configuration: it is looser than what is read.
Origin = Annotated[str, Field(pattern=r"^(\*|[A-Za-z][A-Za-z0-9+.-]*://[^/?#@*\s]+/?)$")]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_origins)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
Limit = Annotated[int, BeforeValidator(_limit), Field(ge=0)]


class Settings(BaseModel):
    """What `penstock serve` runs with. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    models: tuple[str, ...] = Field(
        (),
        description="The models to serve: paths, URLs, registry names, name patterns, models:/… URIs, or NAME=MODEL.",
    )
    default_model: str | None = Field(None, description="The model behind /invocations when several models are served.")
    registry: str = Field(
        "./penstock-registry",
        description="The registry: a directory, a database's URL, or the http://… of a hub or an MLflow server.",
        json_schema_extra=_mlflow("MLFLOW_REGISTRY_URI", TRACKING_VARIABLE, "MLFLOW_TRACKING_URI"),
    )
    artifacts: str | None = Field(None, description="Where the registry stores packages. Default: beside its database.")
    cache: str | None = Field(
        None,
        description="Directory for packages downloaded from object stores or an MLflow server, and for the "
        "registry's last answers. Default: ~/.cache/penstock.",
    )
    cache_size: Size = Field(
        "10GiB",
        validate_default=True,
        description="Maximum size of the downloaded packages, in bytes or with a unit. Packages in use are never "
        "removed.",
    )
    max_package_size: Size = Field(
        "64GiB",
        validate_default=True,
        description="Maximum size of one downloaded package, in bytes or with a unit. A larger one is refused before "
        "it fills the disk.",
    )
    host: str = Field(
        "127.0.0.1",
        description="The address to listen on. 0.0.0.0 means all interfaces.",
        json_schema_extra=_mlflow("MLFLOW_HOST"),
    )
    port: int = Field(
        8080,
        ge=0,
        le=65535,
        description="The port to listen on. 0 picks a free port.",
        json_schema_extra=_mlflow("MLFLOW_PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"),
    )
    admin_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="A separate port for metrics, model listings and docs. --port then serves only predictions and "
        "probes.",
    )
    timeout: PerModel[float] = Field(
        defaults.TIMEOUT,
        gt=0,
        description="Deadline for a request, in seconds. The header X-Request-Timeout may shorten the deadline, not "
        "extend it.",
        json_schema_extra=_mlflow("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"),
    )
    workers: int = Field(
        1,
        ge=0,
        le=256,
        description="Number of worker processes. 0 means one per core.",
        json_schema_extra=_mlflow("MLFLOW_MODELS_WORKERS"),
    )
    worker_timeout: float = Field(
        defaults.WORKER_TIMEOUT,
        gt=0,
        description="Kill and restart a worker process that sends no heartbeat for this many seconds.",
    )
    env_manager: PerModel[Literal["local", "virtualenv", "uv", "conda"]] = Field(
        "local",
        description="The libraries that models run with. local: those installed with Penstock. uv (or virtualenv): "
        "those that the package lists, in a separate environment for each package.",
    )
    wheels: str | None = Field(
        None, description="Build environments offline, from this directory of wheels. Default: uv's package index."
    )
    api_token: SecretStr = Field(
        SecretStr(""),
        description="Require this bearer token from every caller; it may do everything. Set the variable; a flag is "
        "visible to other users.",
    )
    tokens_file: str | None = Field(
        None,
        description="A file of tokens, a line for each: NAME ROLE SHA256, with the role predict, metrics or admin. "
        "Every caller needs one of them. Changes of the file apply within a second. penstock token add makes a line.",
    )
    cors_origin: Origins = Field(
        (),
        description="An origin whose web pages may send requests and read the answers, such as "
        "https://app.example.com; * for all. May be repeated; a variable holds several with spaces between them.",
    )
    flavor: PerModel[str | None] = Field(
        None, description="Load packages with this flavor instead of the package's preferred flavor."
    )
    trust_code: PerModel[bool] = Field(
        False, description="Allow packages that run their own code: pickles, Python sources."
    )
    strict_env: PerModel[bool] = Field(
        False, description="Refuse a model that was made with another minor version of its library."
    )
    strict_params: PerModel[bool] = Field(
        False,
        description="Refuse requests with params or keys that the model or the protocol does not know. Otherwise they "
        "are ignored, as MLflow ignores them, and named in the header X-Request-Warning.",
    )
    isolation: PerModel[Literal["auto", "process", "none"]] = Field(
        "auto",
        description="Where a model runs. process: in a separate model process. none: in the gateway's process. auto: "
        "in the gateway if it is data-only and the cost of a row is bounded, else in a model process.",
    )
    instances: PerModel[int] = Field(
        1, ge=1, le=256, description="Number of model processes for each version that runs in model processes."
    )
    memory_limit: PerModel[Limit | None] = Field(
        None,
        description="Memory limit of each model process: bytes, or a size such as 512MiB or 2GiB. 0: no limit. "
        "Default: half of the memory of the machine or container, at least 1 GiB.",
    )
    load_timeout: PerModel[float] = Field(
        defaults.LOAD_TIMEOUT,
        gt=0,
        description="Maximum seconds to load and prove a version in a separate process, which comes before the version "
        "is loaded to serve. A version that takes longer is refused.",
    )
    watch_config: bool = Field(
        True,
        description="Apply changes of models in the settings file while the server runs, two seconds after they are "
        "saved. Without it, SIGHUP applies them.",
    )
    poll_interval: float = Field(defaults.POLL_INTERVAL, gt=0, description="Seconds between polls of the registry.")
    allow_breaking: PerModel[bool] = Field(
        False,
        description="Follow an MLflow alias even to a version whose signature breaks callers of the current version.",
    )
    keep_previous: PerModel[float] = Field(
        defaults.KEEP_PREVIOUS, ge=0, description="Seconds that a replaced version stays loaded for a quick rollback."
    )
    max_rows: PerModel[int] = Field(defaults.MAX_ROWS, ge=1, description="Maximum number of rows in a batch.")
    max_queue_rows: PerModel[int] = Field(
        defaults.MAX_QUEUE_ROWS, ge=1, description="Maximum number of rows that may wait for a model."
    )
    max_wait: PerModel[float] = Field(
        defaults.MAX_WAIT,
        gt=0,
        description="Maximum queued work for a model, in seconds at its measured rate, when more than 256 requests "
        "arrive in a burst. A standing queue may hold a twentieth of it.",
    )
    max_text_cell: PerModel[Size] = Field(
        defaults.MAX_TEXT_CELL,
        ge=1,
        description="Maximum bytes of a text in a request to a model that runs in the gateway. Such a model only looks "
        "texts up; models that work through texts run in model processes, and take any.",
    )
    max_inflight: int = Field(8192, ge=1, description="Maximum number of requests in flight, over all models.")
    max_inflight_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024,
        description="Maximum bytes of request bodies in memory, over all requests. A single body may exceed the limit.",
    )
    concurrency: PerModel[int | None] = Field(
        None,
        ge=1,
        description="Concurrent requests to a model whose rows cannot be batched. Default: min(32, cores + 4).",
    )
    threads: PerModel[int] = Field(
        0,
        ge=0,
        description="Threads that a model may use for one batch. 0: the library's default, or with several workers "
        "an equal share of the cores.",
    )
    nan_words: bool = Field(False, description="Write NaN and Infinity as bare words, as MLflow does, instead of null.")
    mlflow_exact: PerModel[bool] = Field(
        False,
        description="Answer bit for bit as MLflow does, also where MLflow changes numbers without a word (truncation, "
        "overflow, boolean words, NaN words). For migrations in which no answer may change. Needs pandas.",
    )
    predict_route: str | None = Field(
        None,
        pattern="^/",
        description="An additional path for predictions of the default model, in Vertex AI's format.",
        json_schema_extra=_mlflow("AIP_PREDICT_ROUTE"),
    )
    health_route: str | None = Field(
        None,
        pattern="^/",
        description="An additional path for the readiness probe.",
        json_schema_extra=_mlflow("AIP_HEALTH_ROUTE"),
    )
    max_body_bytes: int = Field(
        defaults.MAX_BODY_BYTES, ge=1024, description="Maximum size of a request body in bytes."
    )
    readers: int = Field(
        0,
        ge=0,
        description="Maximum number of processes that read large bodies and write large answers, for each server "
        "process. 0: as many as it has cores, between 2 and 4.",
    )
    read_timeout: float = Field(
        defaults.READ_TIMEOUT,
        gt=0,
        description="Processor time that a reader process may spend on a body; each 10 MiB of it add a second.",
    )
    reader_memory: Size = Field(
        defaults.READER_MEMORY,
        ge=64 * 1024**2,
        description="Maximum memory that a reader process may take for a body of 64 MiB or more, in bytes or as 512MiB "
        "or 2GiB. A smaller body may take its share of that, and 96 MiB.",
    )
    keep_alive: float = Field(defaults.KEEP_ALIVE, ge=1, description="Seconds that an idle connection stays open.")
    drain_delay: float = Field(
        defaults.DRAIN_DELAY,
        ge=0,
        description="Seconds after SIGTERM in which the server accepts connections while its readiness probe fails.",
    )
    drain_timeout: float = Field(
        defaults.DRAIN_TIMEOUT, ge=0, description="Seconds after the drain delay to wait for requests in flight."
    )
    log_format: Literal["plain", "json"] = Field(
        "plain", description="Format of log lines: plain for people, json for machines."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum log level.")
    access_log: bool = Field(False, description="Write a JSON line to stderr for every prediction request.")
    access_log_sample: float = Field(
        1.0, gt=0, le=1, description="Fraction of requests in the access log, chosen at random."
    )
    otlp_endpoint: str | None = Field(
        None,
        description="Send OpenTelemetry traces to this collector (OTLP over HTTP), for example http://collector:4318.",
        json_schema_extra=_mlflow("OTEL_EXPORTER_OTLP_ENDPOINT"),  # OpenTelemetry's own, and MLflow reads it too
    )
    trace_sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Fraction of requests to trace when the request's traceparent header does not decide.",
    )

    @field_validator("api_token")
    @classmethod
    def _strip(cls, token: SecretStr) -> SecretStr:
        """Secrets come from files that end in a newline. A blank one would be a door that looks locked."""
        plain = token.get_secret_value().strip()
        if not plain and token:
            raise ValueError("the value is blank")
        return SecretStr(plain)

    def of(self, model: str) -> Settings:
        """The settings as they hold for one model, by the name that it is served under."""
        return self


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def mlflow_variables_of(name: str) -> list[str]:
    """The variables of MLflow's that a setting is read from too."""
    extra = Settings.model_fields[name].json_schema_extra
    return list(extra["mlflow"]) if isinstance(extra, dict) and "mlflow" in extra else []  # type: ignore[arg-type]


def per_model_settings() -> list[str]:
    """The settings that a model may have a value of its own for."""
    return [name for name, field in Settings.model_fields.items() if _PER_MODEL in field.metadata]
