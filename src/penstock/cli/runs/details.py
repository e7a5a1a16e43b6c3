"""What `penstock runs show` prints: one run, its metrics with their course, and what it belongs with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import click

from penstock.cli.console import json_text
from penstock.cli.runs.columns import INNER_TAGS
from penstock.cli.runs.listing import plain
from penstock.cli.runs.reading.histories import MetricFacts
from penstock.cli.runs.reading.relatives import MAX_CHILDREN, MAX_FILES, LinkedModel, Relatives
from penstock.cli.runs.reading.source import ReadRun
from penstock.cli.runs.tables import TableColumn, print_columns, print_line, styled, terminal_width
from penstock.cli.runs.wording import SHORT_ID, ago, lasted, moment, number, sparkline
from penstock.error_text import printable, without_passwords
from penstock.fluent.views import TrackedRun
from penstock.sizes import shown_size

_NOTE_TAG = "mlflow.note.content"

# Rows of a section, without --all.
_ROWS = 30

# How long a text of one row is at most, where the terminal has room.
_LONG = 200


@dataclass(frozen=True, slots=True)
class ShownRun:
    """One run with all that was asked of the server; `experiment` is the name."""

    read: ReadRun
    experiment: str
    facts: Sequence[MetricFacts]
    relatives: Relatives
    now: datetime


def as_json(shown: ShownRun) -> None:
    run, relatives = shown.read.run, shown.relatives
    found = plain(run, {run.info.experiment_id: shown.experiment})
    found["series"] = {
        fact.key: {"latest": fact.latest, "step": fact.step, "minimum": fact.minimum, "maximum": fact.maximum,
                   "points": fact.points, "all_read": not fact.cut} for fact in shown.facts
    }  # fmt: skip
    found["artifact_uri"] = run.info.artifact_uri
    found["datasets"] = [asdict(dataset) for dataset in shown.read.links.datasets]
    found["files"] = [asdict(file) for file in relatives.files]
    found["models"] = {"made": [asdict(m) for m in relatives.made], "took": [asdict(m) for m in relatives.took]}
    found["versions"] = [asdict(version) for version in relatives.versions]
    found["parent"] = relatives.parent and relatives.parent.info.run_id
    found["children"] = [child.info.run_id for child in relatives.children]
    click.echo(json_text(found))


def as_text(shown: ShownRun, *, everything: bool) -> None:
    rows = math.inf if everything else _ROWS
    _head(shown)
    _metrics(shown.facts, rows)
    data = shown.read.run.data
    _pairs("Params", data.params, rows)
    tags = data.tags if everything else {k: v for k, v in data.tags.items() if not k.startswith(INNER_TAGS)}
    _pairs("Tags", tags, rows)
    _section("Datasets", [str(dataset) for dataset in shown.read.links.datasets], rows)
    _section("Models", _models(shown), rows)
    _files(shown.relatives, rows)


def _head(shown: ShownRun) -> None:
    run, info, tags = shown.read.run, shown.read.run.info, shown.read.run.data.tags
    lines = {
        "Run": info.run_name,
        "Id": info.run_id,
        "Experiment": f"{shown.experiment} (id {info.experiment_id})",
        "Status": info.status.lower() + (", deleted" if info.lifecycle_stage == "deleted" else ""),
        "Started": _started(info.start_time, shown.now),
        "Took": lasted(info.end_time - info.start_time) if info.end_time else "",
        "User": info.user_id,
        "Source": tags.get("mlflow.source.name", ""),
        "Commit": tags.get("mlflow.source.git.commit", ""),
        "Nested in": _name(shown.relatives.parent) if shown.relatives.parent else "",
        "Nested runs": _children(shown.relatives),
        "Description": tags.get(_NOTE_TAG, ""),
    }
    kept = {f"{name}:": value for name, value in lines.items() if value}
    width = max(map(len, kept))
    for name, value in kept.items():
        print_line(f"{styled(name, 'bold')}{' ' * (width - len(name))}  {without_passwords(printable(value))}")
    if run.info.status == "RUNNING":
        click.echo("It is running: what follows is what it has logged so far.")


def _started(milliseconds: int, now: datetime) -> str:
    when, before = moment(milliseconds), ago(milliseconds, now)
    return when if when.startswith(before) else f"{when}, {before}"


def _metrics(facts: Sequence[MetricFacts], rows: float) -> None:
    """A metric of one point has neither least nor greatest to tell."""
    if not facts:
        return
    some = facts[: int(min(rows, len(facts)))]
    _title("Metrics")
    bounds = [(number(f.minimum), number(f.maximum)) if f.points > 1 else ("", "") for f in some]
    columns = [
        TableColumn.of("METRIC", [fact.key for fact in some]),
        TableColumn.of("LATEST", [number(fact.latest) for fact in some], is_number=True),
        TableColumn.of("STEP", [f"{fact.step:,}" for fact in some], is_number=True),
        TableColumn.of("MIN", [least for least, _ in bounds], is_number=True),
        TableColumn.of("MAX", [most for _, most in bounds], is_number=True),
        TableColumn.of("POINTS", [f"{f.points:,}{' and more' if f.cut else ''}" for f in some], is_number=True),
        TableColumn.of("COURSE", [sparkline(fact.course) for fact in some], style="cyan"),
    ]
    print_columns([column for column in columns if any(column.cells)])
    _rest(len(facts) - len(some))


def _pairs(title: str, pairs: Mapping[str, str], rows: float) -> None:
    if not pairs:
        return
    keys = sorted(pairs)
    some = keys[: int(min(rows, len(keys)))]
    _title(title)
    names = TableColumn.of("", some)
    room = max(20, min(_LONG, terminal_width() - names.width - 2))
    print_columns([names, TableColumn.of("", [pairs[key] for key in some], limit=room)], titles=False)
    _rest(len(keys) - len(some))


def _models(shown: ShownRun) -> list[str]:
    """Registered versions first: they are what is served."""
    relatives, run_id = shown.relatives, shown.read.run.info.run_id
    lines = []
    for version in relatives.versions:
        aliases = f", {' and '.join(version.aliases)}" if version.aliases else ""
        lines.append(f"registered as version {version.version} of {version.name}{aliases}")
    lines += [f"made {_logged(model)}" for model in relatives.made]
    lines += [f"took {_logged(model)}" for model in relatives.took]
    packages = [file.path.removesuffix("/MLmodel") for file in relatives.files if file.path.endswith("/MLmodel")]
    return [*lines, *(f"packaged as runs:/{run_id}/{path}" for path in packages)]


def _logged(model: LinkedModel) -> str:
    status = f" ({model.status})" if model.status and model.status != "ready" else ""
    return f"{model.name + ', ' if model.name else ''}models:/{model.model_id}{status}"


def _files(relatives: Relatives, rows: float) -> None:
    files = relatives.files
    if not files:
        return
    some = files[: int(min(rows, len(files)))]
    _title("Files")
    sizes = TableColumn.of("", [shown_size(file.size) for file in some], is_number=True)
    print_columns([sizes, TableColumn.of("", [file.path for file in some], limit=_LONG)], titles=False)
    _rest(len(files) - len(some))
    if relatives.files_left:
        click.echo(f"… and others: no more than {MAX_FILES} are listed here")


def _section(title: str, lines: Sequence[str], rows: float) -> None:
    if not lines:
        return
    _title(title)
    some = lines[: int(min(rows, len(lines)))]
    for line in some:
        click.echo(without_passwords(printable(line)))
    _rest(len(lines) - len(some))


def _title(title: str) -> None:
    click.echo("")
    print_line(styled(title, "bold"))


def _rest(count: int) -> None:
    if count > 0:
        click.echo(f"… and {count:,} more: --all")


def _children(relatives: Relatives) -> str:
    if not relatives.children:
        return ""
    names = ", ".join(_name(child) for child in relatives.children[:5])
    count = f"more than {MAX_CHILDREN}" if relatives.children_left else str(len(relatives.children))
    return f"{count}: {names}" + (", …" if len(relatives.children) > 5 else "")


def _name(run: TrackedRun) -> str:
    return f"{run.info.run_name} ({run.info.run_id[:SHORT_ID]})"
