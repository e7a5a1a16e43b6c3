"""`penstock hub backup` and `penstock hub restore`."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.console import json_text
from penstock.cli.hub.options import artifacts_of, artifacts_option, store_of, store_option
from penstock.cli.hub.progress import shown_progress
from penstock.cli.registry_option import store_typed
from penstock.sizes import shown_size

if TYPE_CHECKING:
    from penstock.hub.backup.manifest import BackupManifest


@click.command()
@click.argument("dest")
@store_option
@artifacts_option
@click.option("--no-artifacts", is_flag=True, help="Save the tables alone, where files have backups of their own.")
@click.option("--verify", is_flag=True, help="Read all that is used again of earlier backups, and mend what changed.")
@click.option("--json", "as_json", is_flag=True, help="Print what was saved as JSON.")
@click.pass_context
def backup(
    context: click.Context,
    store: str,
    artifacts: str | None,
    dest: str,
    no_artifacts: bool,
    verify: bool,
    as_json: bool,
) -> None:
    """Save the store in DEST, a directory or a URL, while hubs go on writing to it: tables as they are at one moment,
    tokens included, and the files below --artifacts.

    What is in DEST already, from earlier backups, is not written again. Each backup is whole: it is there as soon as
    all of it is, and one that was cut off is none.

    \b
    Examples:
      penstock hub backup /backup/hub
      penstock hub backup /backup/hub --verify
      penstock hub backup s3://backups/hub --no-artifacts
      penstock hub backup /backup/hub --store postgresql://penstock@db/penstock \\
        --artifacts s3://bucket/artifacts
    """
    from penstock.assembly.upkeep import take_backup

    store, artifacts = store_of(context)
    began = monotonic()
    with shown_progress("saving rows", "saving files") as (on_rows, on_bytes):
        files = None if no_artifacts else artifacts_of(store, artifacts)
        manifest, written = take_backup(store, files, dest, on_rows, on_bytes, verify=verify)
    if as_json:
        click.echo(json_text({**_facts(manifest), "written": written, "seconds": round(monotonic() - began, 3)}))
        return
    for warning in manifest.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{manifest.name}: {_shown(manifest)}; {shown_size(written)} written.")


@click.command()
@click.argument("source")
@store_option
@artifacts_option
@click.option("--backup", "name", default="", metavar="NAME", help="Which backup; the newest unless this is given.")
@click.option("--no-artifacts", is_flag=True, help="Restore the tables alone.")
@click.option("--check", is_flag=True, help="Restore nothing: read all pieces and compare them with their digests.")
@click.option("--json", "as_json", is_flag=True, help="Print what was restored as JSON.")
@click.pass_context
def restore(
    context: click.Context,
    store: str,
    artifacts: str | None,
    source: str,
    name: str,
    no_artifacts: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Put a backup in SOURCE into an empty store. A backup of SQLite may be restored into PostgreSQL, and the other way
    round.

    Files come first, then all tables in one transaction; each piece is compared with its digest, and each table
    afterwards with the one that was saved. A store with data is left as it is.

    \b
    Examples:
      penstock hub restore /backup/hub --store ./restored
      penstock hub restore /backup/hub --store ./restored \\
        --backup 20261130T204149.123456Z-1a2b3c
      penstock hub restore /backup/hub --store postgresql://penstock@db/new \\
        --artifacts s3://bucket/artifacts
    """
    from penstock.assembly.upkeep import backup_at, restore_backup

    if check:
        _check(source, name, as_json)
        return
    store, artifacts = store_of(context)
    began = monotonic()
    manifest = backup_at(source, name)
    files = None if no_artifacts or manifest.files is None else artifacts_of(store, artifacts)
    total = 0 if manifest.files is None else manifest.files.bytes
    with shown_progress("restoring files", "restoring rows", totals=(total, 2 * manifest.rows)) as (on_bytes, on_rows):
        restore_backup(store, files, source, manifest, on_rows, on_bytes)
    if as_json:
        click.echo(json_text({**_facts(manifest), "seconds": round(monotonic() - began, 3)}))
        return
    click.echo(f"{manifest.name} is restored: {_shown(manifest)}.")
    if manifest.files is None or no_artifacts:
        click.echo("Files are not restored: the hub needs the --artifacts that it had.", err=True)
    click.echo(f"Start the hub on it with: penstock hub{store_typed()}", err=True)


def _check(source: str, name: str, as_json: bool) -> None:
    from penstock.assembly.upkeep import backup_at, check_backup_at

    manifest = backup_at(source, name)
    with shown_progress("reading pieces") as (on_bytes,):
        pieces = check_backup_at(source, manifest, on_bytes)
    if as_json:
        click.echo(json_text({**_facts(manifest), "pieces": pieces}))
    else:
        click.echo(f"{manifest.name} is whole: {_shown(manifest)}; {pieces:,} pieces were read.")


def _facts(manifest: BackupManifest) -> dict[str, Any]:
    files = manifest.files
    return {
        "name": manifest.name,
        "created": manifest.created,
        "revision": manifest.revision,
        "tables": {table.name: {"rows": table.rows, "digest": table.digest} for table in manifest.tables},
        "files": None if files is None else {"files": files.files, "bytes": files.bytes},
        "warnings": list(manifest.warnings),
    }


def _shown(manifest: BackupManifest) -> str:
    files = manifest.files
    saved = (
        "no files" if files is None else f"{files.files:,} file{'s' * (files.files != 1)} ({shown_size(files.bytes)})"
    )
    return f"{manifest.rows:,} rows in {len(manifest.tables)} tables, {saved}"
