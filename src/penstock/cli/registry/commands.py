"""`penstock registry …`: add, list, promote and roll back versions. What is printed is made in `output`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from penstock.cli.registry.options import alias_option, common_options, reason_option, wait_options

if TYPE_CHECKING:
    from penstock.cli.registry.wait import Gateways
    from penstock.registry import AliasMove, ModelVersion, Registry
    from penstock.registry.lineage import VersionLineage
    from penstock.signature import Signature


@click.group()
def registry() -> None:
    """Manage models, their versions, and the aliases that gateways follow.

    The registry of a hub takes the same commands, with a token in MLFLOW_TRACKING_TOKEN where it asks for one.

    \b
    Examples:
      penstock registry add fraud ./fraud-model --alias production
      penstock registry history fraud --registry http://hub:5000
    """


@registry.command()
@click.argument("name")
@click.argument("package")
@click.option("--alias", help="Point this alias at the new version, for example production.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Tag the version. May be repeated.")
@click.option("--description", default="", help="A description of this version.")
@click.option("--reason", default="", help="The reason for moving the alias, kept in the history.")
@common_options
def add(
    name: str,
    package: str,
    alias: str | None,
    tags: tuple[str, ...],
    description: str,
    reason: str,
    registry: str,
    artifacts: str | None,
    as_json: bool,
) -> None:
    """Verify PACKAGE, copy it to the registry and register it as the next version of NAME. PACKAGE is a directory, or
    the URL of one in an object store.

    \b
    Examples:
      penstock registry add fraud ./fraud-model --alias production --tag git=4f2c1e
      penstock registry add fraud s3://bucket/models/fraud
    """
    from penstock.assembly.named_models import fetch_directory
    from penstock.cli.registry import output
    from penstock.publishing import publish

    pairs = dict(_pair(tag) for tag in tags)
    with _opened(registry, artifacts) as target, fetch_directory(package) as fetched:
        version = publish(
            target,
            name,
            fetched.path,
            alias=alias,
            tags=pairs,
            description=description,
            by=_user(),
            reason=reason,
        )
    output.added(version, alias, as_json=as_json)


@registry.command("list")
@common_options
def list_(registry: str, artifacts: str | None, as_json: bool) -> None:
    """List the models with their latest version and aliases.

    \b
    Example:
      penstock registry list --json
    """
    from penstock.cli.registry import output

    with _opened(registry, artifacts, read_only=True) as source:
        models = source.models()
        output.models(models, takes_packages=_takes_packages(source), as_json=as_json)


@registry.command()
@click.argument("name")
@click.argument("version", required=False)
@common_options
def show(name: str, version: str | None, registry: str, artifacts: str | None, as_json: bool) -> None:
    """Show a model and its versions, or the details of one VERSION: its package, who registered it and when, the
    run that produced it, and how its signature differs from the previous version's.

    \b
    Example:
      penstock registry show fraud 3
    """
    from penstock.cli.registry import output

    with _opened(registry, artifacts, read_only=True) as source:
        if version is None:
            versions = [source.known(found) for found in source.versions(name)]
            found_model, takes_packages = source.model(name), _takes_packages(source)
            output.model(found_model, versions, takes_packages=takes_packages, as_json=as_json)
        else:
            found, signature, difference = _described(source, name, version)
            versions = [found]
            output.version(found, signature, difference, as_json=as_json)
        unfetched = [v for v in versions if v.digest is None]
        if unfetched and not as_json and not source.describes_packages:
            output.unfetched(unfetched[-1], source.place)


@registry.command()
@click.argument("name")
@click.argument("version")
@alias_option
@reason_option
@click.option(
    "--allow-breaking",
    is_flag=True,
    help="Promote the version even if its signature breaks callers of the current version.",
)
@wait_options
@common_options
def promote(
    name: str,
    version: str,
    alias: str,
    reason: str,
    allow_breaking: bool,
    urls: tuple[str, ...],
    wait_as: str | None,
    wait_timeout: float,
    registry: str,
    artifacts: str | None,
    as_json: bool,
) -> None:
    """Point an alias of NAME at VERSION. Gateways that follow the alias load the version and switch to it.

    \b
    Examples:
      penstock registry promote fraud 3 --reason "AUC 0.91 on the May data"
      penstock registry promote fraud 3 --wait http://gateway-1:8080 --wait http://gateway-2:8080
    """
    waiting = _Wait(urls, wait_as or name, wait_timeout)
    with _opened(registry, artifacts) as target:
        move = target.promote(name, version, alias, by=_user(), reason=reason, allow_breaking=allow_breaking)
    waiting.see(move, as_json=as_json)


@registry.command()
@click.argument("name")
@alias_option
@reason_option
@wait_options
@common_options
def rollback(
    name: str,
    alias: str,
    reason: str,
    urls: tuple[str, ...],
    wait_as: str | None,
    wait_timeout: float,
    registry: str,
    artifacts: str | None,
    as_json: bool,
) -> None:
    """Point an alias of NAME back at its previous version. Repeat the command to go back further.

    \b
    Examples:
      penstock registry rollback fraud --reason "too many alerts"
      penstock registry rollback fraud --wait http://gateway:8080 --wait-timeout 10
    """
    waiting = _Wait(urls, wait_as or name, wait_timeout)
    with _opened(registry, artifacts) as target:
        move = target.rollback(name, alias, by=_user(), reason=reason)
    waiting.see(move, as_json=as_json)


@registry.command("remove-alias")
@click.argument("name")
@click.argument("alias")
@reason_option
@common_options
def remove_alias(name: str, alias: str, reason: str, registry: str, artifacts: str | None, as_json: bool) -> None:
    """Remove ALIAS from NAME. The history of the alias stays.

    \b
    Example:
      penstock registry remove-alias fraud canary
    """
    from penstock.cli.registry import output

    with _opened(registry, artifacts) as target:
        move = target.remove_alias(name, alias, by=_user(), reason=reason)
    output.move(move, as_json=as_json)


@registry.command()
@click.argument("name")
@click.option("--alias", help="Show only this alias.")
@common_options
def history(name: str, alias: str | None, registry: str, artifacts: str | None, as_json: bool) -> None:
    """Show every move of the aliases of NAME, oldest first: who moved which alias, when, between which versions,
    and why.

    \b
    Example:
      penstock registry history fraud --alias production
    """
    from penstock.cli.registry import output

    with _opened(registry, artifacts, read_only=True) as source:
        moves = source.history(name, alias)
    output.history(name, alias, moves, as_json=as_json)


@registry.command()
@click.argument("name")
@click.argument("tag", metavar="KEY[=VALUE]")
@click.option("--version", help="Tag this version. Default: tag the model.")
@click.option("--delete", is_flag=True, help="Remove the tag KEY.")
@common_options
def tag(
    name: str, tag: str, version: str | None, delete: bool, registry: str, artifacts: str | None, as_json: bool
) -> None:
    """Set a tag of NAME or of one version, or remove it with --delete.

    \b
    Example:
      penstock registry tag fraud owner=risk-team --version 3
    """
    from penstock.cli.registry import output

    if delete and "=" in tag:
        raise click.UsageError("--delete takes the KEY alone.")
    key, value = (tag, None) if delete else _pair(tag)
    with _opened(registry, artifacts) as target:
        if value is None:
            target.delete_tag(name, key, version)
        else:
            target.set_tag(name, key, value, version)
    output.tagged(name, version, key, value, as_json=as_json)


@registry.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@common_options
def delete(name: str, version: str | None, yes: bool, registry: str, artifacts: str | None, as_json: bool) -> None:
    """Delete one VERSION of NAME, or NAME with all its versions. Refused while an alias names one of these versions.

    \b
    Example:
      penstock registry delete fraud 2
    """
    from penstock.cli.registry import output
    from penstock.publishing import withdraw

    if not yes:
        what = f"{name} with all its versions" if version is None else f"version {version} of {name}"
        click.confirm(f"Delete {what}?", abort=True, err=True)
    with _opened(registry, artifacts) as target:
        withdraw(target, name, version)
    output.deleted(name, version, as_json=as_json)


@registry.command()
@common_options
def migrate(registry: str, artifacts: str | None, as_json: bool) -> None:
    """Migrate the tables of the registry to the schema of this release.

    \b
    Example:
      penstock registry migrate --registry postgresql://penstock@db/models --artifacts s3://models
    """
    from penstock.cli.registry import output

    with _opened(registry, artifacts) as target:
        done = target.migrate()
    output.migrated(done, as_json=as_json)


class _Wait:
    """Gateways to wait for. Made before the alias moves, so that a slip in an address moves nothing."""

    def __init__(self, urls: tuple[str, ...], model: str, seconds: float) -> None:
        self._gateways: Gateways | None = None
        self._seconds = seconds
        if urls:
            from penstock.cli.registry.wait import Gateways, check_urls

            self._gateways = Gateways(check_urls(urls), model, os.environ.get("PENSTOCK_API_TOKEN", "").strip())

    def see(self, move: AliasMove, *, as_json: bool) -> None:
        """Prints the move, waits, and prints where each gateway stands. Exits with 1 unless all serve the version."""
        from penstock.cli.registry import output

        gateways = self._gateways
        if gateways is None or not as_json:
            output.move(move, as_json=as_json)
        if gateways is None:
            return
        from penstock.cli.registry.wait import wait

        version = str(move.to_version)
        with output.waiting(version) as progress:
            standings = wait(lambda: gateways.ask(version), self._seconds, progress)
        output.waited(move, standings, as_json=as_json)
        if any(standing.outcome != "serves" for standing in standings):
            raise SystemExit(1)


@contextmanager
def _opened(url: str, artifacts: str | None, *, read_only: bool = False) -> Iterator[Registry]:
    """What is not found is said with the place: a registry itself names none, since callers of servers hear it too."""
    from penstock.errors import ModelNotFound
    from penstock.registry import open_registry

    opened = open_registry(url, artifacts=artifacts, read_only=read_only)
    try:
        yield opened
    except ModelNotFound as error:
        message = error.message.replace(" in this registry", f" in the registry at {url}")
        raise ModelNotFound(message, hint=error.hint, remedy=error.remedy) from error
    finally:
        opened.close()


def _takes_packages(source: Registry) -> bool:
    from penstock.errors import Unsupported

    try:
        source.require_registering()
    except Unsupported:
        return False
    return True


def _described(
    source: Registry, name: str, number: str
) -> tuple[ModelVersion, Signature | None, VersionLineage | None]:
    """A version, what it takes and gives, and how that differs from the version before, if there is one."""
    from penstock.registry.lineage import lineage

    version = source.known(source.version(name, number))
    return version, source.signature(version), lineage(source, version)


def _pair(tag: str) -> tuple[str, str]:
    key, separator, value = tag.partition("=")
    if not separator or not key:
        raise click.UsageError(f"A tag is given as KEY=VALUE, not {tag!r}.")
    return key, value


def _user() -> str:
    """Who is written into the history."""
    import getpass

    try:
        return os.environ.get("PENSTOCK_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return f"uid {os.getuid()}"
