"""Which columns a list of runs has: by default those in which the runs differ, otherwise those that were asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import pairwise, takewhile
from typing import Any, Literal, TypeAlias

from penstock.cli.runs.wording import SHORT_ID, ago, iso, lasted, number
from penstock.errors import ConfigError
from penstock.fluent.views import TrackedRun

KeyKind: TypeAlias = Literal["metrics", "params", "tags"]
KINDS: tuple[KeyKind, ...] = ("metrics", "params", "tags")

# Tags that are a client's notes to itself, and not its user's.
INNER_TAGS = ("mlflow.", "penstock.")


@dataclass(frozen=True, slots=True)
class RunColumn:
    """`name` is what --columns calls it. `raw` is for programs, `shown` for people; neither is there for a run that has
    no such value."""

    name: str
    title: str
    raw: Callable[[TrackedRun], Any]
    shown: Callable[[TrackedRun], str]
    is_number: bool = False


@dataclass(frozen=True)
class ListedRuns:
    """What a list is made of: runs, the names of experiments by id, and the time."""

    runs: Sequence[TrackedRun]
    experiments: Mapping[str, str]
    now: datetime

    @cached_property
    def keys(self) -> Mapping[KeyKind, list[str]]:
        """Of all the runs, sorted; of tags those that people set."""
        found = {kind: {key for run in self.runs for key in getattr(run.data, kind)} for kind in KINDS}
        return {
            kind: sorted(key for key in keys if kind != "tags" or not key.startswith(INNER_TAGS))
            for kind, keys in found.items()
        }

    @cached_property
    def id_length(self) -> int:
        """So much of an id tells these runs from each other."""
        ids = sorted({run.info.run_id for run in self.runs})
        shared = [_shared(*pair) for pair in pairwise(ids)]
        return max(SHORT_ID, 1 + max(shared, default=0))

    @cached_property
    def ambiguous(self) -> frozenset[str]:
        """Keys that are of more than one kind."""
        counts = Counter(key for keys in self.keys.values() for key in keys)
        return frozenset(key for key, count in counts.items() if count > 1)


def attribute_columns(listed: ListedRuns) -> dict[str, RunColumn]:
    """By name, in the order of the table."""
    columns = (
        _plain("id", lambda run: run.info.run_id, lambda run: run.info.run_id[: listed.id_length]),
        _plain("name", lambda run: run.info.run_name),
        _plain("experiment", lambda run: listed.experiments.get(run.info.experiment_id, run.info.experiment_id)),
        _plain("status", lambda run: run.info.status, lambda run: run.info.status.lower()),
        _plain("started", lambda run: iso(run.info.start_time), lambda run: ago(run.info.start_time, listed.now)),
        _plain("ended", lambda run: iso(run.info.end_time), lambda run: ago(run.info.end_time or 0, listed.now)),
        _plain("duration", seconds_of, lambda run: _duration(run, listed.now)),
        _plain("user", lambda run: run.info.user_id),
    )
    return {column.name: column for column in columns}


def key_column(listed: ListedRuns, kind: KeyKind, key: str) -> RunColumn:
    """Titled by the key alone where that is clear."""
    values: Callable[[TrackedRun], Mapping[str, Any]] = lambda run: getattr(run.data, kind)  # noqa: E731
    return RunColumn(
        f"{kind}.{key}",
        key if key not in listed.ambiguous else f"{kind}.{key}",
        lambda run: values(run).get(key),
        lambda run: "-" if key not in values(run) else _cell(values(run)[key]),
        kind == "metrics",
    )


def all_columns(listed: ListedRuns) -> list[RunColumn]:
    """What a file for programs has."""
    keys = [key_column(listed, kind, key) for kind in KINDS for key in listed.keys[kind]]
    return [*attribute_columns(listed).values(), *keys]


def chosen_columns(listed: ListedRuns, names: Sequence[str]) -> list[RunColumn]:
    """Those with these names: `id`, `params.depth`, `metrics.*`, or a key alone where that is clear. Raises
    ConfigError, which says what there is."""
    known = {column.name: column for column in all_columns(listed)}
    chosen: dict[str, RunColumn] = {}
    for name in names:
        found = [known[name]] if name in known else _matching(name, list(known.values()))
        if not found and any(mark in name for mark in "*?["):
            continue  # a pattern that matches nothing here
        if not found:
            near = get_close_matches(name, [*known, *(column.title for column in known.values())], n=3)
            there = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(list(known)[:30])}."
            raise ConfigError(f"These runs have no column {name!r}.", hint=there)
        if len(found) > 1 and not any(mark in name for mark in "*?["):
            raise ConfigError(f"{name!r} is more than one column.", hint=f"Name one of {_or(found)}.")
        chosen.update((column.name, column) for column in found)
    return list(chosen.values())


def default_columns(listed: ListedRuns, named: Sequence[str]) -> tuple[list[RunColumn], list[RunColumn]]:
    """(those that a table always has, those that it has as far as there is room, the most telling first). `named` are
    columns that the filter or the order speak of."""
    attributes = attribute_columns(listed)
    first = [attributes["id"], attributes["name"]]
    if len({run.info.experiment_id for run in listed.runs}) > 1:
        first.append(attributes["experiment"])
    if {run.info.status for run in listed.runs} != {"FINISHED"}:
        first.append(attributes["status"])
    first.append(attributes["started"])
    keys = {kind: [key_column(listed, kind, key) for key in listed.keys[kind]] for kind in KINDS}
    by_name = {column.name: column for columns in keys.values() for column in columns}
    first += [by_name[name] for name in dict.fromkeys(named) if name in by_name]
    telling = {kind: [c for c in keys[kind] if c not in first and differs(listed, c)] for kind in KINDS}
    rest = [*_in_turns(telling["metrics"], telling["params"]), attributes["duration"]]
    if differs(listed, attributes["user"]):
        rest.append(attributes["user"])
    return first, [*rest, *telling["tags"]]


def differs(listed: ListedRuns, column: RunColumn) -> bool:
    """A single run differs from all that are not shown."""
    values = {str(column.raw(run)) for run in listed.runs}
    return len(values) > 1 or len(listed.runs) == 1


def same_in_all(listed: ListedRuns) -> list[RunColumn]:
    """The params that all of several runs share, which need no column."""
    columns = [key_column(listed, "params", key) for key in listed.keys["params"]]
    return [column for column in columns if not differs(listed, column)]


def in_order(columns: Sequence[RunColumn]) -> list[RunColumn]:
    """Attributes, metrics, params, tags, each as they came."""
    kinds = [column.name.partition(".")[0] for column in columns]
    ranks: dict[str, int] = {kind: rank for rank, kind in enumerate(KINDS, 1)}
    return [c for _, _, c in sorted((ranks.get(kind, 0), i, columns[i]) for i, kind in enumerate(kinds))]


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def seconds_of(run: TrackedRun) -> float | None:
    """How long it took; None while it runs."""
    return None if run.info.end_time is None else (run.info.end_time - run.info.start_time) / 1000


def _duration(run: TrackedRun, now: datetime) -> str:
    if run.info.end_time is not None:
        return lasted(run.info.end_time - run.info.start_time)
    if run.info.status != "RUNNING" or not run.info.start_time:
        return "-"
    return f"{lasted(int(now.timestamp() * 1000) - run.info.start_time)} so far"


def _plain(name: str, raw: Callable[[TrackedRun], Any], shown: Callable[[TrackedRun], str] | None = None) -> RunColumn:
    return RunColumn(name, name.upper(), raw, shown or (lambda run: str(raw(run) or "-")))


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _matching(name: str, columns: Sequence[RunColumn]) -> list[RunColumn]:
    alone = [c for c in columns if c.name.partition(".")[2] == name or c.title == name.upper()]
    return alone or [c for c in columns if fnmatchcase(c.name, name)]


def _or(columns: Sequence[RunColumn]) -> str:
    return " or ".join(column.name for column in columns)


def _in_turns(ones: Sequence[RunColumn], others: Sequence[RunColumn]) -> list[RunColumn]:
    """One of each as long as there are, so that neither kind takes all the room."""
    length = max(len(ones), len(others))
    return [column for i in range(length) for column in (*ones[i : i + 1], *others[i : i + 1])]
