"""The settings: each declared once, with its type, bounds, default and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from penstock import defaults
from penstock.errors import ConfigError
from penstock.sizes import parse_size

PREFIX = "PENSTOCK_"

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


Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]
Limit = Annotated[int, BeforeValidator(_limit), Field(ge=0)]


class Settings(BaseModel):
    """What `penstock serve` runs with. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    models: tuple[str, ...] = Field(
        (), description="The models to serve: paths, URLs, names, patterns of names, models:/… or NAME=MODEL."
    )
    default_model: str | None = Field(None, description="The model that /invocations means where several are served.")
    registry: str = Field(
        "./penstock-registry",
        description="The registry: a directory, a database's URL, or an MLflow server's http://….",
        json_schema_extra=_mlflow("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"),
    )
    artifacts: str | None = Field(None, description="Where the registry keeps packages, if not beside its database.")
    cache: str | None = Field(
        None,
        description="Where packages from S3, other stores or an MLflow server are copied to, beside what the registry "
        "last said; default ~/.cache/penstock.",
    )
    cache_size: Size = Field(
        "10GiB",
        validate_default=True,
        description="The most that stays there, in bytes or with a unit; what is served now is never removed.",
    )
    host: str = Field(
        "127.0.0.1",
        description="The address to listen on; 0.0.0.0 is every one.",
        json_schema_extra=_mlflow("MLFLOW_HOST"),
    )
    port: int = Field(
        8080,
        ge=0,
        le=65535,
        description="The port to listen on; 0 picks a free one.",
        json_schema_extra=_mlflow("MLFLOW_PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"),
    )
    admin_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="A port of their own for metrics, model listings and docs; --port then has predictions and probes.",
    )
    timeout: PerModel[float] = Field(
        defaults.TIMEOUT,
        gt=0,
        description="How long a request may take; X-Request-Timeout may ask for less.",
        json_schema_extra=_mlflow("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"),
    )
    workers: int = Field(
        1,
        ge=0,
        le=256,
        description="Worker processes; 0 is one for each core.",
        json_schema_extra=_mlflow("MLFLOW_MODELS_WORKERS"),
    )
    worker_timeout: float = Field(
        defaults.WORKER_TIMEOUT,
        gt=0,
        description="A worker process that gives no sign of life for so long is killed, and another started.",
    )
    env_manager: PerModel[Literal["local", "virtualenv", "uv", "conda"]] = Field(
        "local",
        description="The libraries that models run with: local, those beside Penstock; uv, those that each package "
        "lists, in an environment of its own (virtualenv means the same).",
    )
    wheels: str | None = Field(
        None, description="A directory of wheels that environments are built from, offline; default: uv's index."
    )
    api_token: SecretStr = Field(SecretStr(""), description="Ask every caller for this bearer token. Use the variable.")
    flavor: PerModel[str | None] = Field(
        None, description="Load packages as this flavor of theirs, not as the one that they name first."
    )
    trust_code: PerModel[bool] = Field(
        False, description="Load packages that run code of their own: pickles, Python sources."
    )
    strict_env: PerModel[bool] = Field(
        False, description="Refuse a model made with another minor version of its library."
    )
    isolation: PerModel[Literal["auto", "process", "none"]] = Field(
        "auto",
        description="Where a model runs: in a process of its own, or (none) in the gateway's; auto: packages that "
        "carry code in a process.",
    )
    instances: PerModel[int] = Field(
        1, ge=1, le=256, description="Processes of a version that runs in processes of its own."
    )
    memory_limit: PerModel[Limit] = Field(
        0, description="The memory that each of these processes may use: bytes, or like 512MiB or 2GiB; 0: any."
    )
    poll_interval: float = Field(defaults.POLL_INTERVAL, gt=0, description="Time between questions to the registry.")
    allow_breaking: PerModel[bool] = Field(
        False, description="Follow an MLflow alias also to a version that would break the callers of the current one."
    )
    keep_previous: PerModel[float] = Field(
        defaults.KEEP_PREVIOUS, ge=0, description="How long a replaced version is kept warm for a roll-back."
    )
    max_rows: PerModel[int] = Field(defaults.MAX_ROWS, ge=1, description="The most rows that a model is given at once.")
    max_queue_rows: PerModel[int] = Field(
        defaults.MAX_QUEUE_ROWS, ge=1, description="The most rows that may wait for a model."
    )
    max_wait: PerModel[float] = Field(
        defaults.MAX_WAIT,
        gt=0,
        description="The work that a burst of more than 256 requests may pile up for a model, by its measured rate; "
        "a queue that stays is held to a twentieth.",
    )
    max_inflight: int = Field(8192, ge=1, description="The most requests at once, of all models.")
    max_inflight_bytes: int = Field(
        256 * 1024 * 1024, ge=1024, description="The most bytes of request bodies at once; a lone one may be larger."
    )
    concurrency: PerModel[int | None] = Field(
        None, ge=1, description="Requests at once to a model whose rows cannot be joined; default min(32, cores + 4)."
    )
    threads: PerModel[int] = Field(
        0,
        ge=0,
        description="Threads a model may use for one batch; 0: its library's choice, with several workers their share.",
    )
    nan_words: bool = Field(False, description="Answer NaN and Infinity as bare words, as MLflow does, not as null.")
    predict_route: str | None = Field(
        None,
        pattern="^/",
        description="One more path for predictions of the default model, in Vertex AI's form.",
        json_schema_extra=_mlflow("AIP_PREDICT_ROUTE"),
    )
    health_route: str | None = Field(
        None,
        pattern="^/",
        description="One more path that says whether the server is ready.",
        json_schema_extra=_mlflow("AIP_HEALTH_ROUTE"),
    )
    max_body_bytes: int = Field(defaults.MAX_BODY_BYTES, ge=1024, description="The largest request body.")
    keep_alive: float = Field(defaults.KEEP_ALIVE, ge=1, description="How long an idle connection is kept.")
    drain_delay: float = Field(
        defaults.DRAIN_DELAY, ge=0, description="After SIGTERM, how long to accept while already not ready."
    )
    drain_timeout: float = Field(
        defaults.DRAIN_TIMEOUT, ge=0, description="After that, how long to finish what is in flight."
    )
    log_format: Literal["plain", "json"] = Field("plain", description="Log lines for people or for machines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum log level.")
    access_log: bool = Field(False, description="Log a line of JSON on stderr for every request for predictions.")
    access_log_sample: float = Field(1.0, gt=0, le=1, description="The share of requests in the access log, by chance.")
    otlp_endpoint: str | None = Field(
        None,
        description="Send OpenTelemetry traces to this collector (OTLP over HTTP), as http://collector:4318.",
        json_schema_extra=_mlflow("OTEL_EXPORTER_OTLP_ENDPOINT"),  # OpenTelemetry's own, and MLflow reads it too
    )
    trace_sample: float = Field(
        1.0, ge=0, le=1, description="The share of requests that are traced, where their traceparent does not say."
    )

    @field_validator("api_token")
    @classmethod
    def _strip(cls, token: SecretStr) -> SecretStr:
        """Secrets come from files that end in a newline. A blank one would be a door that looks locked."""
        plain = token.get_secret_value().strip()
        if not plain and token:
            raise ValueError("it is blank")
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
