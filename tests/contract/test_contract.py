"""Penstock answers as MLflow's server was recorded to, but for the differences that are listed by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contract.compare import Run, recorded_kinds, recorded_packages, run
from contract.corpus import package_names
from contract.differences import DIFFERENCES

_TOLD = 5


def _loaded(package: str) -> Run:
    done = run(package)
    if done.skipped:
        pytest.skip(f"{package}: {done.skipped}")
    return done


def test_every_difference_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text(encoding="utf-8")
    table = text.partition("## What differs from MLflow")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    everywhere = "nan words"  # a rule of the comparison, not a predicate
    assert sorted(rows) == sorted(["name", everywhere, *(difference.name for difference in DIFFERENCES)])


def test_every_difference_is_needed() -> None:
    """A predicate that accounts for nothing would only hide faults to come."""
    used = {outcome.listed for package in recorded_packages() for outcome in run(package).outcomes}
    assert used >= {difference.name for difference in DIFFERENCES}


def test_every_package_is_recorded() -> None:
    assert recorded_packages() == package_names()


@pytest.mark.parametrize("package", recorded_packages())
def test_every_package_loads(package: str) -> None:
    assert not _loaded(package).failed


@pytest.mark.parametrize(
    ("package", "kind"), [(package, kind) for package in recorded_packages() for kind in recorded_kinds(package)]
)
def test_answers_are_as_mlflow_recorded_them(package: str, kind: str) -> None:
    """All requests of one kind; a failure shows the first few and counts the others."""
    done = _loaded(package)
    if done.failed:
        pytest.skip(f"{package} could not be loaded, see test_every_package_loads")
    failing = [outcome for outcome in done.outcomes if outcome.kind == kind and outcome.fails]
    more = f"\n… and {len(failing) - _TOLD} more" if len(failing) > _TOLD else ""
    assert not failing, "\n\n" + "\n".join(map(str, failing[:_TOLD])) + more


# The requests whose answer is another in the exact mode are all sent; of the others one in so many.
_SAMPLE = 16


@pytest.mark.parametrize("package", recorded_packages())
@pytest.mark.parametrize("every", [_SAMPLE, pytest.param(1, marks=pytest.mark.services)])
def test_exact_answers_are_as_mlflow_recorded_them(package: str, every: int) -> None:
    done = run(package, exact=True, every=every)
    if done.skipped:
        pytest.skip(f"{package}: {done.skipped}")
    assert not done.failed
    failing = [outcome for outcome in done.outcomes if outcome.fails]
    more = f"\n… and {len(failing) - _TOLD} more" if len(failing) > _TOLD else ""
    assert not failing, "\n\n" + "\n".join(map(str, failing[:_TOLD])) + more


def test_the_differences_that_end_when_exact_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text(encoding="utf-8")
    ended = {difference.name for difference in DIFFERENCES if difference.ends_when_exact} | {"nan words"}
    (line,) = (line for line in text.splitlines() if line.startswith("With `--mlflow-exact`"))
    assert set(re.findall(r"\*([a-z ]+)\*", line)) == ended
