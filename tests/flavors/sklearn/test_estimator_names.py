"""The written list of estimators is skops' own for the installed scikit-learn; other versions have none."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import pytest

from penstock.flavors.sklearn.estimator_names import LOSSES, REVIEWED, installed_estimators


@pytest.fixture(autouse=True)
def asked_anew() -> Any:
    installed_estimators.cache_clear()
    yield
    installed_estimators.cache_clear()


def test_the_list_is_what_skops_trusts_with_the_installed_version() -> None:
    from skops.io import _trusted_types as skops

    listed = installed_estimators()
    assert listed is not None, (
        f"scikit-learn {metadata.version('scikit-learn')} is not listed, only {', '.join(REVIEWED)}: its models load, "
        "slowly. Write its names down, and look through what `sklearn_import` puts off."
    )
    assert listed == {*skops.SKLEARN_ESTIMATOR_TYPE_NAMES, *skops.SKLEARN_INTERNAL_TYPE_NAMES}


def test_the_losses_are_those_that_skops_makes_with_the_installed_version() -> None:
    from skops.io._sklearn import ALLOWED_LOSSES

    assert {f"{loss.__module__}.{loss.__name__}" for loss in ALLOWED_LOSSES} == LOSSES


def test_another_version_has_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "1.90.0")
    assert installed_estimators() is None


def test_no_scikit_learn_has_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert installed_estimators() is None
