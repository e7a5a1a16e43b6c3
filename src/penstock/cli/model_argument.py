"""MODEL and --registry as commands take them, turned into a directory or a loaded model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from penstock.artifacts import CachedPackage
    from penstock.loading import LoadedModel, LoadOptions
    from penstock.machine.interpreters import Interpreter
    from penstock.package import PackagedModel
    from penstock.registry import Registry
    from penstock.registry.references import ModelReference


F = TypeVar("F", bound=Callable[..., Any])


def registry_option(command: F) -> F:
    """--registry for commands that have no other settings; what is not given comes from the variables."""
    return _registry_option(_registry_url)(command)


def registry_if_needed(command: F) -> F:
    """The same for commands that take a MODEL, as it was given: a path or URL needs no registry, and then the settings,
    whose library takes a while to import, are not asked."""
    return _registry_option(None)(command)


def _registry_option(callback: Callable[..., Any] | None) -> Callable[[F], F]:
    return click.option(
        "--registry",
        metavar="URL",
        callback=callback,
        help="The registry: a directory, a database's URL, or an MLflow server's http://….  [default: "
        "./penstock-registry]  [PENSTOCK_REGISTRY, MLFLOW_REGISTRY_URI, MLFLOW_TRACKING_URI]",
    )


def _registry_url(context: click.Context, parameter: click.Parameter, given: str | None) -> str:
    from penstock.config import registry_url  # here, so that help imports no pydantic

    return registry_url(given, os.environ)


def fetch(model: str, registry: str | None) -> Path:
    """The package's directory: its own, or a copy on this machine that stays until the command ends. `registry` is as
    given by `registry_if_needed`. Raises what resolving and fetching raise."""
    from penstock.loading import fetch_reference

    with _resolvable(model, registry) as (reference, source):
        return _until_the_end(fetch_reference(reference, source)[1])


def directory_of(package: str) -> str | Path:
    """The directory of a package, or of the copy of one at a URL, which stays until the command ends. Raises what
    fetching raises."""
    if "://" not in package:
        return package
    from penstock.loading import fetch_reference
    from penstock.registry.references import parse_reference

    return _until_the_end(fetch_reference(parse_reference(package), None)[1])


def _until_the_end(package: CachedPackage) -> Path:
    """The package's directory; it is let go of when the command ends."""
    click.get_current_context().call_on_close(package.close)
    return package.path


def load(
    model: str,
    registry: str | None,
    options: LoadOptions,
    environment: Callable[[PackagedModel], Interpreter] | None = None,
) -> tuple[str, str, LoadedModel]:
    """Name, version and the loaded model, in a process of its own where an `environment` is given for it. Raises what
    resolving, fetching, building and loading raise."""
    from penstock.loading import fetch_reference

    with _resolvable(model, registry) as (reference, source):
        version, package = fetch_reference(reference, source)
        with package:
            loaded = load_directory(package.path, options, environment)
        return reference.name or reference.served_as, version or loaded.digest[:12], loaded


def load_directory(
    path: Path, options: LoadOptions, environment: Callable[[PackagedModel], Interpreter] | None
) -> LoadedModel:
    """The package in a directory, loaded and proven, here or apart."""
    from penstock.loading import load_path
    from penstock.package import PackagedModel

    if environment is None:
        return load_path(path, options)
    from penstock.model_process.client.sync_client import load_apart

    package = PackagedModel.open(path)
    return load_apart(package, options, environment(package))


@contextmanager
def _resolvable(model: str, registry: str | None) -> Iterator[tuple[ModelReference, Registry | None]]:
    """What a user wrote, and the registry to look it up in; None where none is needed."""
    from penstock.registry.references import parse_reference

    reference = parse_reference(model)
    if not reference.needs_registry:
        yield reference, None
        return
    from penstock.config import registry_url
    from penstock.registry import open_registry

    source = open_registry(
        registry_url(registry, os.environ), artifacts=os.environ.get("PENSTOCK_ARTIFACTS"), read_only=True
    )
    try:
        yield reference, source
    finally:
        source.close()
