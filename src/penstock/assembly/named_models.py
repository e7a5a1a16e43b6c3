"""What a user names as MODEL, turned into a package on this machine or a loaded model: for commands and for Python.

MODEL is a package's directory, the URL of one in an object store, a name in the registry, or one of MLflow's URIs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.artifacts import CachedPackage
from penstock.assembly.environments import FindInterpreter, own_environment
from penstock.errors import ConfigError
from penstock.loading import LoadedModel, LoadOptions, fetch_reference, load_path
from penstock.loading.local_model import LocalModel
from penstock.package import PackagedModel
from penstock.payload import shortened
from penstock.registry import Registry, open_registry
from penstock.registry.references import ModelReference, directories_told, parse_reference

if TYPE_CHECKING:
    from penstock.machine.interpreters import Interpreter

# A registry's place, an open one, or None for the one that the environment's variables name.
RegistryLike: TypeAlias = "str | Path | Registry | None"


def fetch_model(model: str | Path, registry: RegistryLike = None) -> CachedPackage:
    """The package in its own directory, or a copy on this machine that stays until it is closed. Raises what resolving
    and fetching raise."""
    with looked_up(model, registry) as (reference, source):
        return fetch_reference(reference, source)[1]


def fetch_directory(package: str) -> CachedPackage:
    """The same for a package that is given by its directory or URL, not by a name. Raises what fetching raises."""
    if "://" not in package:
        return CachedPackage(Path(package))
    return fetch_reference(parse_reference(package), None)[1]


def load_named(
    model: str | Path,
    registry: RegistryLike,
    options: LoadOptions,
    environment: FindInterpreter | None = None,
) -> LocalModel:
    """The model, loaded and proven, in a process of its own where an `environment` is given for it. Raises what
    resolving, fetching, building and loading raise."""
    with looked_up(model, registry) as (reference, source):
        version, package = fetch_reference(reference, source)
        with package:
            loaded = load_directory(package.path, options, environment)
        return LocalModel(reference.name or reference.served_as, version or loaded.digest[:12], loaded)


def load_directory(path: Path, options: LoadOptions, environment: FindInterpreter | None = None) -> LoadedModel:
    """The package in a directory, loaded and proven, in this process or in one of its own."""
    if environment is None:
        return load_path(path, options)
    from penstock.model_process.client.sync_client import load_apart

    package = PackagedModel.open(path)
    return load_apart(package, options, environment(package))


def model_text(model: Any) -> str:
    """MODEL as text; a Path is never taken for a name. Raises ConfigError for what is neither."""
    if isinstance(model, Path):
        return str(model.absolute())
    if not isinstance(model, str):
        raise ConfigError(f"MODEL is a path, URL or name, not {shortened(model)}.")
    return model


@contextmanager
def looked_up(model: str | Path, registry: RegistryLike) -> Iterator[tuple[ModelReference, Registry | None]]:
    """What a user wrote, parsed, and the registry to look it up in; None where none is needed. A registry that was
    opened here is closed at the end; one that the caller opened stays open."""
    reference = parse_reference(model_text(model))
    if not reference.needs_registry:
        yield reference, None
        return
    if isinstance(registry, Registry):
        with directories_told([reference]):
            yield reference, registry
        return
    from penstock.config import registry_url  # here, since the settings' library takes a while to import

    place = registry_url(None if registry is None else str(registry), os.environ)
    source = open_registry(place, artifacts=os.environ.get("PENSTOCK_ARTIFACTS"), read_only=True)
    try:
        with directories_told([reference]):
            yield reference, source
    finally:
        source.close()


def load_model(
    model: str | Path,
    *,
    registry: RegistryLike = None,
    trust_code: bool = False,
    strict_env: bool = False,
    flavor: str | None = None,
    threads: int = 0,
    isolation: str = "none",
    env_manager: str = "local",
    wheels: str | Path | None = None,
) -> LocalModel:
    """Loads a model, proves that it answers as recorded, and returns it, ready to predict.

    `model` is what the command line takes as MODEL: a package's directory, the URL of one in an object store
    (`s3://…`, `gs://…`), a bare name (its production version), `models:/name@alias`, `models:/name/3`,
    `models:/name/latest`, or, where the registry is an MLflow server, `models:/m-ID` and `runs:/RUN/PATH`.

    `registry` is a directory, a database's URL, an MLflow server's `http://…`, or what `open_registry` returned. By
    default it is the one that PENSTOCK_REGISTRY, MLFLOW_REGISTRY_URI, PENSTOCK_TRACKING_URI or MLFLOW_TRACKING_URI
    names, else `./penstock-registry`.

    `trust_code` loads a package that runs code of its own (a pickle, Python sources). `strict_env` refuses a model
    that was made with another minor version of its library. `flavor` overrides the package's own choice. `threads` is
    how many the model may use for one call, 0 for its library's choice. `isolation="process"` runs the model in a
    process of its own, for packages whose modules have the names of others here. `env_manager="uv"` does so with the
    libraries that its package lists, built from `wheels`, a directory, where one is given.

    Raises PackageNotFound, PackageInvalid, SealBroken, CodeNotTrusted, DependencyMissing, EnvironmentMismatch,
    EnvironmentUnbuildable, ArtifactInvalid, ProofFailed; ModelNotFound, AliasNotFound, VersionNotFound,
    RegistryUnavailable, RegistryDenied for a name; ConfigError for what names no model. All are PenstockError.

        >>> with penstock.load_model("fraud", registry="http://mlflow:5000") as model:
        ...     model.predict({"amount": 12.5, "country": "NL"})
        0.93
    """
    if isolation not in ("none", "process"):
        raise ConfigError(f"isolation is none or process, not {shortened(isolation)}.")
    environment = own_environment(
        env_manager,
        None if wheels is None else str(wheels),
        trust_code=trust_code,
        strict_env=strict_env,
        flavor=flavor,
    )
    if environment is None and isolation == "process":
        from penstock.machine.interpreters import own_interpreter

        def environment(package: PackagedModel) -> Interpreter:
            return own_interpreter()

    return load_named(model, registry, LoadOptions(trust_code, strict_env, flavor, threads), environment)
