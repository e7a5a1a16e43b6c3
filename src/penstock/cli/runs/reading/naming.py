"""Which run a text means: its id, the beginning of its id, or its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from penstock.cli.runs.reading.source import ReadRun, RunSearch, RunSource
from penstock.cli.runs.wording import SHORT_ID, moment
from penstock.errors import ConfigError, RunNotFound
from penstock.fluent.views import TrackedRun
from penstock.mlflow_api.search.printing import quoted

_WHOLE_ID = re.compile(r"[0-9a-f]{32}")
_BEGINNING = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)

# Of runs that a text may mean, so many are told.
_TOLD = 8


def named_run(source: RunSource, text: str, experiment_ids: Sequence[str]) -> ReadRun:
    """A whole id counts wherever the run is, deleted or not; a name or the beginning of an id among the runs of these
    experiments, of all where there are none. The name comes first, and what is deleted last. Raises RunNotFound, and
    ConfigError where several runs are meant."""
    if _WHOLE_ID.fullmatch(text):
        return source.run(text)
    meant = _meant(source, text, experiment_ids or list(source.experiments), "ACTIVE_ONLY")
    if not meant:
        everywhere = [*source.experiments, *source.deleted_experiments]
        meant = _meant(source, text, experiment_ids or everywhere, "DELETED_ONLY")
    if not meant:
        raise RunNotFound(
            f"No run at {source.place} is called {text!r}, and no run's id begins like that.",
            hint="List the runs with: penstock runs list",
        )
    if len(meant) > 1:
        told = ", ".join(_told(source, run) for run in meant[:_TOLD]) + (", …" if len(meant) > _TOLD else "")
        raise ConfigError(f"{text!r} may be one of several runs: {told}.", hint="Give more of the id.")
    return source.run(meant[0].info.run_id)


def _meant(source: RunSource, text: str, experiment_ids: Sequence[str], view: str) -> list[TrackedRun]:
    """By name, or else by the beginning of the id."""
    query = RunSearch(experiment_ids, f"run_name = {quoted(text)}", view=view, limit=_TOLD + 1)
    named = source.search(query).runs
    if named or not _BEGINNING.fullmatch(text):
        return named
    found = source.search(replace(query, filter=f"run_id LIKE {quoted(text + '%')}")).runs
    return [run for run in found if run.info.run_id.startswith(text)]  # LIKE takes _ for any character


def _told(source: RunSource, run: TrackedRun) -> str:
    info = run.info
    known = source.experiments.get(info.experiment_id)
    where = f" in {known.name}" if known else ""
    return f"{info.run_id[: SHORT_ID + 4]} ({info.run_name}{where}, {moment(info.start_time)})"
