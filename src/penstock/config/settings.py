"""All settings of a server, in one frozen object. One declaration gives the flag, the PENSTOCK_* variable, the key in
penstock.toml and the documentation. A flag wins over a variable, a variable over the file.

Some settings can also come from a variable of MLflow's, of OpenTelemetry's or of a platform that runs containers, which
means here what it means there. Whatever is said to Penstock itself, also in the file, wins over it.

Settings of a PerModel type may stand in a table [models.NAME] of the file too. What is said of one model there wins
over what is said of all, wherever that was said: the narrower statement counts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator

from penstock.errors import ConfigError, PenstockError
from penstock.payload import shortened
from penstock.sizes import parse_size

FILE_NAME = "penstock.toml"
PREFIX = "PENSTOCK_"
FILE_VARIABLE = "PENSTOCK_CONFIG"


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


Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]


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
        60.0,
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
        60.0,
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
    memory_limit: PerModel[str] = Field(
        "", description="The memory that each of these processes may use: bytes, or like 512MiB or 2GiB; empty: any."
    )
    poll_interval: float = Field(2.0, gt=0, description="Time between questions to the registry.")
    allow_breaking: PerModel[bool] = Field(
        False, description="Follow an MLflow alias also to a version that would break the callers of the current one."
    )
    keep_previous: PerModel[float] = Field(
        300.0, ge=0, description="How long a replaced version is kept warm for a roll-back."
    )
    max_rows: PerModel[int] = Field(1024, ge=1, description="The most rows that a model is given at once.")
    max_queue_rows: PerModel[int] = Field(65_536, ge=1, description="The most rows that may wait for a model.")
    max_wait: PerModel[float] = Field(
        1.0,
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
    max_body_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="The largest request body.")
    keep_alive: float = Field(75.0, ge=1, description="How long an idle connection is kept.")
    drain_delay: float = Field(0.0, ge=0, description="After SIGTERM, how long to accept while already not ready.")
    drain_timeout: float = Field(30.0, ge=0, description="After that, how long to finish what is in flight.")
    log_format: Literal["plain", "json"] = Field("plain", description="Log lines for people or for machines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level to log.")
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

    @field_validator("memory_limit", mode="before")
    @classmethod
    def _check_size(cls, size: Any) -> str:
        text = str(size).strip()
        try:
            if text:
                parse_size(text)
        except ConfigError as error:
            raise ValueError(error.message.rstrip(".")) from None
        return text

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


class ServerSettings(Settings):
    """The settings, and what the file says of single models: for each name, its own values as the file has them."""

    own: Mapping[str, Mapping[str, Any]] = {}

    def of(self, model: str) -> Settings:
        everybody = {name: getattr(self, name) for name in Settings.model_fields}
        own = {key: value for table in self.tables_of(model) for key, value in self.own[table].items()}
        return Settings(**{**everybody, **own})

    def tables_of(self, model: str) -> list[str]:
        """The tables that are about a model, the one that wins last: its own, and before it those of patterns."""
        return sorted((t for t in self.own if t == model or fnmatchcase(model, t)), key=lambda t: t == model)


Origins = dict[str, str]

_SECRET = frozenset({"api_token"})


def load_settings(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None
) -> tuple[ServerSettings, Origins]:
    """The settings, and for each where its value came from: a flag, a variable, the file, or the default.

    `flags` holds only what was given. `file` None means the one that PENSTOCK_CONFIG names, or ./penstock.toml where
    there is one. Raises ConfigError, which names the setting and its origin.
    """
    if file is None and environ.get(FILE_VARIABLE):
        file = Path(environ[FILE_VARIABLE])
    values: dict[str, Any] = {}
    origins: Origins = dict.fromkeys(Settings.model_fields, "default")
    for name, (variable, text) in _read_mlflow_variables(environ).items():
        values[name], origins[name] = text, variable
    path = file or Path(FILE_NAME)
    content = _read_file(file)
    tables = _take_tables(path, content)
    layers = [(str(path), content), ("variable", _read_variables(environ)), ("flag", dict(flags))]
    for origin, layer in layers:
        for name, value in layer.items():
            values[name] = value
            origins[name] = _origin(origin, name)
    try:
        settings = ServerSettings(**values, own=tables)
    except ValidationError as error:
        raise _cannot_be(error, origins) from None
    for model, table in tables.items():
        try:
            settings.of(model)
        except ValidationError as error:
            raise _cannot_be(error, dict.fromkeys(table, _in_table(path, model))) from None
    return settings, origins


def _cannot_be(error: ValidationError, origins: Origins) -> ConfigError:
    first = error.errors()[0]
    name = str(first["loc"][0])
    shown = "what was given" if name in _SECRET else shortened(first["input"])
    return ConfigError(
        f"The setting {name} ({origins.get(name, 'unknown')}) cannot be {shown}: {first['msg']}.",
        hint="penstock config show lists every setting.",
    )


def _origin(layer: str, name: str) -> str:
    if layer == "variable":
        return variable_of(name)
    return f"--{name.replace('_', '-')}" if layer == "flag" and name != "models" else layer


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def per_model_settings() -> list[str]:
    """The settings that a model may have a value of its own for."""
    return [name for name, field in Settings.model_fields.items() if _PER_MODEL in field.metadata]


def origins_of(model: str, settings: ServerSettings, origins: Origins) -> Origins:
    """For each of a model's settings where its value came from."""
    found = {name: origins[name] for name in per_model_settings()}
    for table in settings.tables_of(model):
        found |= dict.fromkeys(settings.own[table], f"[models.{table}]")
    return found


def mlflow_variables_of(name: str) -> list[str]:
    """The variables of MLflow's that a setting is read from too."""
    extra = Settings.model_fields[name].json_schema_extra
    return list(extra["mlflow"]) if isinstance(extra, dict) and "mlflow" in extra else []  # type: ignore[arg-type]


def registry_url(given: str | None, environ: Mapping[str, str]) -> str:
    """The registry for a command that has no other settings: flag, our variable, MLflow's, the default."""
    default: str = Settings.model_fields["registry"].default
    if given or environ.get(variable_of("registry")):
        return given or environ[variable_of("registry")]
    return _read_mlflow_variables(environ).get("registry", ("", default))[1]


def _read_mlflow_variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Setting -> variable and value. Beside a service called mlflow, Kubernetes sets MLFLOW_PORT=tcp://…, which is no
    port. A registry that is no server means something to MLflow alone, and is marked so."""
    found: dict[str, tuple[str, str]] = {}
    for name in Settings.model_fields:
        for variable in mlflow_variables_of(name):
            value = environ.get(variable, "").strip()
            if value and name not in found and not value.startswith("tcp://"):
                found[name] = (variable, value)
    if "registry" in found:
        from penstock.registry import MLFLOW_STORE  # here, since it brings numpy along

        variable, value = found["registry"]
        served = value.lower().startswith(("http://", "https://"))
        found["registry"] = (variable, value if served else f"{MLFLOW_STORE}{value}")
    return found


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or Path(FILE_NAME)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return {}
        raise ConfigError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    unknown = sorted(content.keys() - Settings.model_fields.keys())
    if unknown:
        raise ConfigError(
            f"{path} holds unknown settings: {', '.join(unknown)}.", hint="penstock config show lists them."
        )
    return content


def _in_table(path: Path, model: str) -> str:
    return f"{path}, [models.{model}]"


def _take_tables(path: Path, content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The models' own settings, by name. Where `models` is a table of them, it becomes the list that it stands for."""
    tables = content.get("models")
    if not isinstance(tables, dict):
        return {}
    content["models"] = tuple(_entry(path, name, table) for name, table in tables.items())
    return {name: {key: value for key, value in table.items() if key != "model"} for name, table in tables.items()}


def _entry(path: Path, name: str, table: Any) -> str:
    """A checked table as NAME=MODEL. Raises ConfigError, which names the file, the model and the key."""
    from penstock.registry import check_name  # here, since it brings numpy along
    from penstock.registry.reference import is_pattern, parse_reference

    where = _in_table(path, name)
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path}: models.{name} is no table.", hint=f'Write a line [models.{name}], and under it model = "…".'
        )
    allowed = per_model_settings()
    for key in table.keys() - {"model", *allowed}:
        if key in Settings.model_fields:
            said = f"{where}: {key} holds for the whole server, not for one model."
            raise ConfigError(said, hint="Write it above the tables.")
        raise ConfigError(f"{where}: there is no setting {key}.", hint=f"A model's own are {', '.join(allowed)}.")
    model = table.get("model", name)
    if not isinstance(model, str):
        raise ConfigError(f"{where}: model cannot be {shortened(model)}.", hint='Write it as text: "models:/fraud@x".')
    try:
        if is_pattern(name):
            if parse_reference(text := model, patterns=True).name != name:
                raise ConfigError(f"{model} is another pattern than {name}.", hint=f'Write model = "models:/{name}@…".')
        else:
            check_name(name)
            parse_reference(text := f"{name}={model}")
    except PenstockError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None
    return text


def _read_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    """Empty variables count as unset, as Kubernetes and shells leave them; so does the PENSTOCK_PORT=tcp://… that
    Kubernetes sets in every pod beside a service of our name (PENSTOCK_ADMIN_PORT for one called penstock-admin)."""
    found = {name: environ.get(variable_of(name), "") for name in Settings.model_fields}
    values: dict[str, Any] = {name: value for name, value in found.items() if value}
    for name in ("port", "admin_port"):
        if str(values.get(name, "")).startswith("tcp://"):
            del values[name]
    if "models" in values:
        values["models"] = tuple(values["models"].split())
    return values
