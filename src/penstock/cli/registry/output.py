"""What the `penstock registry` commands print: JSON for programs, sentences and tables for people."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from penstock.cli.console import console, json_text, print_table, signature_rows, titled_table
from penstock.cli.registry_option import registry_typed
from penstock.error_text import printable, printable_lines
from penstock.registry import AliasMove, ModelVersion, RegisteredModel
from penstock.registry.lineage import VersionLineage

if TYPE_CHECKING:
    from penstock.cli.registry.wait import Standing
    from penstock.signature import Signature


def added(version: ModelVersion, alias: str | None, *, as_json: bool) -> None:
    if as_json:
        _json(version)
        return
    click.echo(f"Registered version {version.version} of {version.name}.")
    if alias:
        click.echo(f"{version.name}@{alias} now names this version.")
    else:
        click.echo(
            f"To serve it: penstock registry promote {shlex.quote(version.name)} {version.version}{registry_typed()}"
        )


def models(found: Sequence[RegisteredModel], *, takes_packages: bool, as_json: bool) -> None:
    if as_json:
        _json(found)
        return
    if not found:
        click.echo(f"The registry has no models. {_how_to_add('NAME', takes_packages)}")
        return
    _table(
        ("NAME", "LATEST", "VERSIONS", "ALIASES", "TAGS", "CREATED"),
        ((m.name, m.latest or "-", m.versions, _aliases(m), _pairs(m.tags), _when(m.created_at)) for m in found),
    )


def model(found: RegisteredModel, versions: Sequence[ModelVersion], *, takes_packages: bool, as_json: bool) -> None:
    if as_json:
        _json({"model": found, "versions": versions})
        return
    _fields(
        ("Name", found.name),
        ("Aliases", _aliases(found)),
        ("Tags", _pairs(found.tags)),
        ("Created", _when(found.created_at)),
    )
    if not versions:
        click.echo(f"The model has no versions. {_how_to_add(found.name, takes_packages)}")
        return
    _table(
        ("VERSION", "ALIASES", "FLAVORS", "SIZE", "DIGEST", "TAGS", "CREATED"),
        (
            (
                v.version,
                ", ".join(v.aliases),
                ", ".join(v.flavors),
                _size(v.size_bytes) if v.size_bytes else "-",
                (v.digest or "-")[:12],
                _pairs(v.tags),
                _when(v.created_at),
            )
            for v in versions
        ),
    )


def _how_to_add(name: str, takes_packages: bool) -> str:
    """An MLflow server takes models from MLflow's own clients."""
    if not takes_packages:
        return f"Log one from Python: mlflow.sklearn.log_model(model, name='model', registered_model_name={name!r})"
    return f"Add one with: penstock registry add {shlex.quote(name)} PACKAGE{registry_typed()}"


def unfetched(version: ModelVersion, place: str) -> None:
    """What is missing, and the command that brings it."""
    uri = shlex.quote(f"models:/{version.name}/{version.version}")
    click.echo("The registry keeps no flavors, size and digest; they are known here once the version is fetched:")
    click.echo(f"  penstock inspect {uri} --registry {shlex.quote(place)}")


def version(found: ModelVersion, signature: Signature | None, lineage: VersionLineage | None, *, as_json: bool) -> None:
    if as_json:
        known = found.signature if signature is None else signature.to_mlflow()
        _json({**asdict(found), "signature": known, "lineage": lineage and lineage.as_plain()})
        return
    _fields(
        ("Name", found.name),
        ("Version", found.version),
        ("Aliases", ", ".join(found.aliases)),
        ("Source", found.source),
        ("Status", _status(found)),
        ("Digest", found.digest or ""),
        ("Flavors", ", ".join(found.flavors)),
        ("Size", _size(found.size_bytes) if found.size_bytes else ""),
        ("Description", found.description),
        ("Run", found.run_id),
        ("Tags", _pairs(found.tags)),
        ("Registered", _when(found.created_at) + (f" by {found.registered_by}" if found.registered_by else "")),
    )
    for side, rows in signature_rows(signature).items():
        if rows:
            print_table(console(piped_width=10_000), titled_table(side, rows))
    if lineage is not None:
        _difference(lineage)


def _status(found: ModelVersion) -> str:
    """Nothing where there is nothing to say."""
    if found.status == "READY":
        return found.status_message
    return f"{found.status}: {found.status_message}" if found.status_message else found.status


def _difference(lineage: VersionLineage) -> None:
    """What the signature changes against the version before."""
    against = f"Against version {lineage.previous}"
    if lineage.compatible is None:
        click.echo(f"{against}: cannot compare, because one of the two versions has no signature.")
        return
    if not lineage.changes:
        click.echo(f"{against}: the same signature.")
        return
    click.echo(f"{against}: {'compatible' if lineage.compatible else 'breaking'}.")
    signs = {"added": "+", "removed": "-", "changed": "~"}
    for c in lineage.changes:
        what = f"{c.before} -> {c.after}" if c.kind == "changed" else c.after or c.before
        click.echo(f"  {signs[c.kind]} {c.side} {c.field}: {what}")
    for broken in lineage.breaks:
        click.echo(f"  Breaks callers: {broken}.")


def move(done: AliasMove, *, as_json: bool) -> None:
    if as_json:
        _json(done)
        return
    where = f"{done.name}@{done.alias}"
    if done.to_version is None:
        click.echo(f"{where} was removed; it named version {done.from_version}.")
    elif done.from_version is None:
        click.echo(f"{where} now names version {done.to_version}; before, the alias did not exist.")
    elif done.from_version == done.to_version:
        click.echo(f"{where} stays at version {done.to_version}.")
    else:
        back = "back " if done.kind == "rollback" else ""
        click.echo(f"{where} moved {back}from version {done.from_version} to version {done.to_version}.")


@contextmanager
def waiting(version: str) -> Iterator[Callable[[Sequence[Standing]], None]]:
    """Shows where gateways stand, on a terminal alone."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda standings: None
        return
    with screen.status("") as status:

        def show(standings: Sequence[Standing]) -> None:
            done = sum(s.outcome == "serves" for s in standings)
            others = "".join(f"\n  {escape(s.url)}: {escape(s.detail)}" for s in standings if s.outcome != "serves")
            status.update(f"{done} of {len(standings)} gateways serve version {version}{others}")

        yield show


def waited(made: AliasMove, standings: Sequence[Standing], *, as_json: bool) -> None:
    if as_json:
        gateways = [{"url": s.url, "outcome": s.outcome, "said": s.detail} for s in standings]
        _json({"move": made, "gateways": gateways})
        return
    for standing in standings:
        still = ", and the time is up" if standing.outcome == "waiting" else ""
        click.echo(f"{standing.url}: {standing.detail}{still}", err=standing.outcome != "serves")


def history(name: str, alias: str | None, moves: Sequence[AliasMove], *, as_json: bool) -> None:
    if as_json:
        _json(moves)
        return
    if not moves:
        which = f" --alias {shlex.quote(alias)}" if alias else ""
        command = f"penstock registry promote {shlex.quote(name)} VERSION{which}{registry_typed()}"
        never = f"The alias {alias!r} was never moved. Set it" if alias else "No alias was moved yet. Set one"
        click.echo(f"{never} with: {command}")
        return
    _table(
        ("WHEN", "ALIAS", "MOVE", "FROM", "TO", "BY", "REASON"),
        ((_when(m.at), m.alias, m.kind, m.from_version or "-", m.to_version or "-", m.by, m.reason) for m in moves),
    )


def tagged(name: str, version: str | None, key: str, value: str | None, *, as_json: bool) -> None:
    if as_json:
        _json({"name": name, "version": version, "key": key, "value": value})
        return
    where = name if version is None else f"version {version} of {name}"
    click.echo(f"Removed tag {key} from {where}." if value is None else f"Tagged {where} with {key}={value}.")


def deleted(name: str, version: str | None, *, as_json: bool) -> None:
    if as_json:
        _json({"deleted": {"name": name, "version": version}})
        return
    click.echo(f"Deleted {name} and all its versions." if version is None else f"Deleted version {version} of {name}.")


def migrated(done: str, *, as_json: bool) -> None:
    if as_json:
        _json({"message": done})
        return
    click.echo(done)


def _json(value: Any) -> None:
    click.echo(json_text(value, sort_keys=True))


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(printable, row))
    _print(table)


def _fields(*pairs: tuple[str, str]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in pairs:
        if value:
            table.add_row(f"{name}:", printable_lines(value))
    _print(table)


def _print(table: Table) -> None:
    """Names and tags are printed as they are, never read as markup. A pipe gets no colours and no wrapped cells."""
    print_table(console(markup=False, piped_width=10_000), table)


def _aliases(found: RegisteredModel) -> str:
    return ", ".join(f"{alias} -> {v}" for alias, v in sorted(found.aliases.items()))


def _pairs(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
