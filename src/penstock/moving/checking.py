"""What of a record the store can hold. A name that it cannot is refused with what hangs on it; a value is mended, and
both are told. Pure.

Only what would break the store or its databases is looked at: a name that MLflow took long ago and would refuse today
is brought over as it is, and so is a value that is longer than MLflow takes now.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar, get_args

from penstock.moving.records import Broken, Kind, SourceLoggedModel, SourceModel, SourceRun
from penstock.registry.entries import STAGES, STATUSES, ModelVersion
from penstock.tracking import limits
from penstock.tracking.datasets import DatasetInput
from penstock.tracking.experiments import Experiment
from penstock.tracking.logged_models import LoggedModelMetric
from penstock.tracking.metrics import kept_value
from penstock.tracking.runs import ModelOutput, RunStatus

T = TypeVar("T")

MAX_TIME = 2**63 - 1
_STATUSES = frozenset(get_args(RunStatus))
MAX_MODEL_NAME = 255
_MAX_NUMBER = 2**31 - 1


class Checker:
    """Collects what it finds in `broken`, which its caller empties."""

    def __init__(self) -> None:
        # Mutable state: what was found since.
        self.broken: list[Broken] = []

    def experiment(self, given: Experiment) -> Experiment | None:
        number = given.experiment_id
        if not _is_number(number, 10**18 - 1):
            self._refuse("experiments", number, "its id is no number")
            return None
        if why := name_fault(given.name, limits.MAX_EXPERIMENT_NAME):
            self._refuse("experiments", number, f"its name {why}")
            return None
        return replace(
            given,
            artifact_location=self.text("experiments", number, given.artifact_location),
            tags=self._texts("experiment tags", number, given.tags),
        )

    def run(self, given: SourceRun) -> SourceRun | None:
        run = given.run
        if why := name_fault(run.run_id, limits.MAX_RUN_ID):
            self._refuse("runs", run.run_id, f"its id {why}")
            return None
        text = self._text_of("runs", run.run_id)
        status = run.status
        if status not in _STATUSES:
            self._mend("runs", run.run_id, f"its status {str(status)!r:.60} is unknown: it is FAILED here")
            status = "FAILED"
        mended = replace(
            run,
            name=text(run.name),
            user_id=text(run.user_id),
            status=status,
            artifact_uri=text(run.artifact_uri),
            params=self._texts("params", run.run_id, run.params),
            tags=self._texts("tags", run.run_id, run.tags),
            datasets=tuple(each for each in map(self._dataset(run.run_id), run.datasets) if each is not None),
            model_inputs=tuple(each for each in run.model_inputs if self._is_model(run.run_id, each)),
            model_outputs=tuple(each for each in run.model_outputs if self._is_model(run.run_id, each)),
        )
        return replace(given, run=mended)

    def key(self, run_id: str, key: str, points: int) -> bool:
        """Whether a series may have this key."""
        if why := name_fault(key, limits.MAX_KEY):
            self.broken.append(Broken("metric points", f"{run_id}/{shown(key)}", f"its key {why}", points))
            return False
        return True

    def logged_model(self, given: SourceLoggedModel) -> SourceLoggedModel | None:
        model = given.model
        if why := name_fault(model.model_id, limits.MAX_MODEL_ID):
            self._refuse("logged models", model.model_id, f"its id {why}")
            return None
        if why := name_fault(model.name, limits.MAX_LOGGED_MODEL_NAME):
            self._refuse("logged models", model.model_id, f"its name {why}")
            return None
        text = self._text_of("logged models", model.model_id)
        mended = replace(
            model,
            artifact_uri=text(model.artifact_uri),
            status_message=text(model.status_message),
            model_type=text(model.model_type),
            source_run_id=text(model.source_run_id)[: limits.MAX_RUN_ID],
            params=self._texts("logged model params", model.model_id, model.params),
            tags=self._texts("logged model tags", model.model_id, model.tags),
            metrics=tuple(each for each in map(self._point(model.model_id), model.metrics) if each is not None),
        )
        return replace(given, model=mended)

    def registered_model(self, given: SourceModel) -> SourceModel | None:
        model = given.model
        if why := name_fault(model.name, MAX_MODEL_NAME):
            self._refuse("registered models", model.name, f"its name {why}")
            return None
        versions, numbers = list[ModelVersion](), set[str]()
        for each in given.versions:
            version = self._version(each)
            if version is not None and version.version in numbers:
                self._refuse("model versions", f"{given.model.name}/{version.version}", "there are two of this number")
                self._without_version(each)
            elif version is not None:
                versions.append(version)
                numbers.add(version.version)
        aliases = {}
        for alias, number in model.aliases.items():
            why = name_fault(alias, MAX_MODEL_NAME)
            if why or number not in numbers:
                why = f"its name {why}" if why else f"there is no version {shown(number)}"
                self.broken.append(Broken("aliases", f"{model.name}@{shown(alias)}", why))
            else:
                aliases[alias] = number
        mended = replace(
            model,
            description=self.text("registered models", model.name, model.description),
            tags=self._texts("registered model tags", model.name, model.tags),
            aliases=aliases,
        )
        last = min(max([given.last_number, *(int(each.version) for each in versions)]), _MAX_NUMBER)
        return replace(given, model=mended, versions=tuple(versions), last_number=last)

    def _version(self, given: ModelVersion) -> ModelVersion | None:
        at = f"{given.name}/{given.version}"
        number = given.version
        if number == "0" or not _is_number(number, _MAX_NUMBER):
            self._refuse("model versions", at, "its number is none that a version has")
            self._without_version(given)
            return None
        text = self._text_of("model versions", at)
        stage, status = given.stage, given.status
        if stage not in STAGES:
            self._mend("model versions", at, f"its stage {str(stage)!r:.60} is unknown: it has none here")
            stage = "None"
        if status not in STATUSES:
            self._mend("model versions", at, f"its status {str(status)!r:.60} is unknown: it is READY here")
            status = "READY"
        return replace(
            given,
            source=text(given.source),
            origin=text(given.origin),
            description=text(given.description),
            run_id=text(given.run_id),
            registered_by=text(given.registered_by),
            run_link=text(given.run_link),
            logged_model=text(given.logged_model),
            status_message=text(given.status_message),
            tags=self._texts("model version tags", at, given.tags),
            stage=stage,
            status=status,
        )

    def _without_version(self, given: ModelVersion) -> None:
        if given.tags:
            at = shown(f"{given.name}/{given.version}")
            self.broken.append(Broken("model version tags", at, "its version is not here", len(given.tags)))

    def text(self, kind: Kind, at: str, value: str) -> str:
        """A value that every database takes: what is no character becomes U+FFFD, which is told."""
        if is_text(value):
            return value
        self._mend(kind, at, "it holds what is no text: replaced by U+FFFD")
        return "".join("\ufffd" if is_foreign(letter) else letter for letter in value)

    def _text_of(self, kind: Kind, at: str) -> Callable[[str], str]:
        return lambda value: self.text(kind, at, value)

    def _texts(self, kind: Kind, at: str, given: Mapping[str, str]) -> dict[str, str]:
        found = {}
        for key, value in given.items():
            if why := name_fault(key, limits.MAX_KEY):
                self.broken.append(Broken(kind, f"{at}/{shown(key)}", f"its key {why}"))
            else:
                found[key] = self.text(kind, f"{at}/{key}", value)
        return found

    def _dataset(self, run_id: str) -> Callable[[DatasetInput], DatasetInput | None]:
        def checked(given: DatasetInput) -> DatasetInput | None:
            dataset = given.dataset
            at = f"{run_id}/{shown(dataset.name)}"
            if why := name_fault(dataset.name, limits.MAX_DATASET_NAME):
                self._refuse("dataset inputs", at, f"its name {why}")
                return None
            if why := name_fault(dataset.digest, limits.MAX_DATASET_DIGEST):
                self._refuse("dataset inputs", at, f"its digest {why}")
                return None
            text = self._text_of("dataset inputs", at)
            kept = replace(
                dataset,
                source_type=text(dataset.source_type),
                source=text(dataset.source),
                schema=None if dataset.schema is None else text(dataset.schema),
                profile=None if dataset.profile is None else text(dataset.profile),
            )
            return DatasetInput(kept, {text(key): text(value) for key, value in given.tags.items()})

        return checked

    def _is_model(self, run_id: str, given: ModelOutput) -> bool:
        if why := name_fault(given.model_id, limits.MAX_MODEL_ID):
            self._refuse("models of runs", f"{run_id}/{shown(given.model_id)}", f"its id {why}")
            return False
        return True

    def _point(self, model_id: str) -> Callable[[LoggedModelMetric], LoggedModelMetric | None]:
        def checked(given: LoggedModelMetric) -> LoggedModelMetric | None:
            metric = given.metric
            if why := name_fault(metric.key, limits.MAX_KEY):
                self._refuse("logged model metrics", f"{model_id}/{shown(metric.key)}", f"its key {why}")
                return None
            if not is_text(given.run_id):
                self._refuse(
                    "logged model metrics", f"{model_id}/{shown(metric.key)}", "its run's id holds what is no text"
                )
                return None
            text = self._text_of("logged model metrics", f"{model_id}/{shown(metric.key)}")
            value = 0.0 if math.isnan(metric.value) else kept_value(metric.value)  # as MLflow keeps them here
            dataset, digest = text(metric.dataset_name), text(metric.dataset_digest)
            kept = metric._replace(value=value, model_id=model_id, dataset_name=dataset, dataset_digest=digest)
            return replace(given, metric=kept)

        return checked

    def _refuse(self, kind: Kind, at: str, why: str) -> None:
        self.broken.append(Broken(kind, shown(at), why))

    def _mend(self, kind: Kind, at: str, why: str) -> None:
        self.broken.append(Broken(kind, shown(at), why, kept=True))


def _is_number(text: str, most: int) -> bool:
    """Whether it is a whole number as it is written everywhere: 7, and not 007."""
    return (
        text.isascii()
        and text.isdecimal()
        and len(text) <= len(str(most))
        and str(int(text)) == text
        and int(text) <= most
    )


def name_fault(name: str, limit: int) -> str:
    """Why it cannot be a name here, as the rest of a sentence; empty where it can."""
    if not name:
        return "is empty"
    if len(name) > limit:
        return f"has {len(name)} characters, of which {limit} are allowed"
    if not is_text(name):
        return "holds what is no text"
    return ""


def is_text(value: str) -> bool:
    """Whether every database takes it. What could not be decoded was made half characters."""
    return (value.isascii() and "\0" not in value) or not any(map(is_foreign, value))


def is_foreign(letter: str) -> bool:
    """Whether it is no character of a text in a database."""
    return letter == "\0" or "\ud800" <= letter <= "\udfff"


def shown(text: str) -> str:
    """A name in a list, not all of a long one."""
    return text if len(text) <= 80 else f"{text[:80]}…"
