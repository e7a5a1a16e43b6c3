"""Reading runs: one interface over MLflow's REST, which hubs, MLflow servers and the embedded store all answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from penstock.errors import ExperimentNotFound, RunNotFound, TrackingRefused, TrackingUnavailable
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.views import TrackedExperiment, TrackedRun

_PAGE = 1000
_MISSING = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True, slots=True)
class RunSearch:
    """What is looked for; `limit` is None for all. `view` is MLflow's word."""

    experiment_ids: Sequence[str]
    filter: str = ""
    order_by: Sequence[str] = ()
    view: str = "ACTIVE_ONLY"
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class FoundRuns:
    """In the order of the search; `more` says that there are others behind them."""

    runs: list[TrackedRun]
    more: bool = False


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """A dataset that a run took, and what for, as "train"."""

    name: str
    digest: str
    context: str = ""
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.digest})" + (f" for {self.context}" if self.context else "")


@dataclass(frozen=True, slots=True)
class RunLinks:
    """What a run took and made: datasets, ids of logged models."""

    datasets: Sequence[DatasetUse] = ()
    models_in: Sequence[str] = ()
    models_out: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ReadRun:
    """One run with all that it holds."""

    run: TrackedRun
    links: RunLinks = field(default_factory=RunLinks)


class RunSource:
    """Raises TrackingUnavailable where nobody answers, and TrackingRefused with the words of who does."""

    def __init__(self, transport: TrackingTransport) -> None:
        self._transport = transport

    def __repr__(self) -> str:
        return f"<RunSource {self.place}>"

    @property
    def place(self) -> str:
        return self._transport.place

    @cached_property
    def experiments(self) -> Mapping[str, TrackedExperiment]:
        """All that are not deleted, by id, read once."""
        return self._experiments("ACTIVE_ONLY")

    @property
    def deleted_experiments(self) -> Mapping[str, TrackedExperiment]:
        """The others, whose runs are deleted with them."""
        return self._experiments("DELETED_ONLY")

    def _experiments(self, view: str) -> Mapping[str, TrackedExperiment]:
        entries = self.pages("experiments/search", {"view_type": view}, "experiments")
        return {found.experiment_id: found for found in map(TrackedExperiment.of_json, entries)}

    def experiment(self, text: str) -> TrackedExperiment:
        """By name, or else by id; deleted ones, too. Raises ExperimentNotFound, which says what there is."""
        asked = [("experiments/get-by-name", {"experiment_name": text})]
        if text.isascii() and text.isdigit():
            asked.append(("experiments/get", {"experiment_id": text}))
        for path, fields in asked:
            if (found := self.found(path, fields)) is not None:
                return TrackedExperiment.of_json(found["experiment"])
        names = [known.name for known in self.experiments.values()]
        near = get_close_matches(text, names, n=3) or sorted(names)
        there = ", ".join(near[:10]) + (", …" if len(near) > 10 else "")
        raise ExperimentNotFound(f"There is no experiment {text!r} at {self.place}.", hint=f"There are: {there}.")

    def experiment_name(self, experiment_id: str) -> str:
        """Its name, be it deleted; the id where it is gone."""
        found = self.found("experiments/get", {"experiment_id": experiment_id})
        return TrackedExperiment.of_json(found["experiment"]).name if found else experiment_id

    def search(self, query: RunSearch, progress: Callable[[int], None] | None = None) -> FoundRuns:
        """Page by page; `progress` is told how many were read."""
        if not query.experiment_ids:
            return FoundRuns([])
        fields = {
            "experiment_ids": list(query.experiment_ids),
            "filter": query.filter,
            "run_view_type": query.view,
            "order_by": list(query.order_by),
        }
        wanted = None if query.limit is None else query.limit + 1  # one more says whether there are more
        runs: list[TrackedRun] = []
        for entry in self.pages("runs/search", fields, "runs", wanted):
            runs.append(TrackedRun.of_json(entry))
            if progress is not None and len(runs) % _PAGE == 0:
                progress(len(runs))
        return FoundRuns(runs[: query.limit], query.limit is not None and len(runs) > query.limit)

    def run(self, run_id: str) -> ReadRun:
        """Deleted ones, too. Raises RunNotFound."""
        found = self.found("runs/get", {"run_id": run_id})
        if found is None:
            raise RunNotFound(f"There is no run {run_id!r} at {self.place}.", hint="See them with: penstock runs list")
        return ReadRun(TrackedRun.of_json(found["run"]), _links_of(found["run"]))

    def found(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """What is read, or None where there is no such thing."""
        try:
            return self._transport.get(path, fields)
        except TrackingRefused as error:
            if error.status != 404 and error.error_code != _MISSING:
                raise
        except TrackingUnavailable as error:  # an older server that has no such page
            if error.status != 404:
                raise
        return None

    def pages(
        self,
        path: str,
        fields: Mapping[str, Any],
        name: str,
        wanted: int | None = None,
        *,
        method: str = "POST",
        size: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The entries called `name` of all pages, at most `wanted`."""
        ask = self._transport.post if method == "POST" else self._transport.get
        token, given = "", 0
        while wanted is None or given < wanted:
            most = size or _PAGE
            most = most if wanted is None else min(most, wanted - given)
            page = ask(path, {**fields, "max_results": most, **({"page_token": token} if token else {})})
            entries = page.get(name, [])
            yield from entries
            given += len(entries)
            token = page.get("next_page_token", "")
            if not token or not entries:
                return


def _links_of(entry: Mapping[str, Any]) -> RunLinks:
    inputs, outputs = entry.get("inputs", {}), entry.get("outputs", {})
    return RunLinks(
        [_dataset(each) for each in inputs.get("dataset_inputs", [])],
        [each["model_id"] for each in inputs.get("model_inputs", [])],
        [each["model_id"] for each in outputs.get("model_outputs", [])],
    )


def _dataset(entry: Mapping[str, Any]) -> DatasetUse:
    dataset = entry["dataset"]
    tags = {tag["key"]: tag.get("value", "") for tag in entry.get("tags", [])}
    given = (dataset.get("name", ""), dataset.get("digest", ""), tags.get("mlflow.data.context", ""))
    return DatasetUse(*given, dataset.get("source", ""))
