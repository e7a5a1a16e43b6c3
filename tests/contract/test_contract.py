"""Penstock answers as MLflow's server was recorded to, but for the differences that are listed by name.

What is still different without being meant to stands in pending.json: nothing may join it, what is mended leaves it.
"""

from __future__ import annotations

import pytest

from contract.compare import Run, recorded_kinds, recorded_packages, run
from contract.corpus import package_names
from contract.pending import pending
from contract.requests import name_of

_TOLD = 5


def _loaded(package: str) -> Run:
    done = run(package)
    if done.skipped:
        pytest.skip(f"{package}: {done.skipped}")
    return done


def test_every_package_is_recorded() -> None:
    assert recorded_packages() == package_names()


@pytest.mark.parametrize("package", recorded_packages())
def test_package_loads(package: str) -> None:
    assert not _loaded(package).failed


@pytest.mark.parametrize(
    ("package", "kind"), [(package, kind) for package in recorded_packages() for kind in recorded_kinds(package)]
)
def test_answers(package: str, kind: str) -> None:
    """All requests of one kind; a failure shows the first few and counts the others."""
    done = _loaded(package)
    if done.failed:
        pytest.skip(f"{package} could not be loaded, see test_package_loads")
    known = set(pending().get(package, {}).get(kind, ()))
    failing = [outcome for outcome in done.outcomes if outcome.kind == kind and outcome.fails]
    new = [outcome for outcome in failing if name_of(outcome.request) not in known]
    more = f"\n… and {len(new) - _TOLD} more" if len(new) > _TOLD else ""
    assert not new, "\n\n" + "\n".join(map(str, new[:_TOLD])) + more
    mended = known - {name_of(outcome.request) for outcome in failing}
    assert not mended, f"alike by now, so take them off the list (python -m contract.pending): {sorted(mended)[:_TOLD]}"
