"""The same answers where the package's code runs in a process of its own: a few packages of every kind."""

from __future__ import annotations

import pytest

from contract.compare import run

# Answers of every kind, also those that have no form; moments, deep lists and refusals of a type hint.
_PACKAGES = ["answers", "hint_moments"]


@pytest.mark.parametrize("package", _PACKAGES)
def test_answers_from_another_process_are_as_recorded(package: str) -> None:
    done = run(package, apart=True)
    if done.skipped:
        pytest.skip(done.skipped)
    failing = [outcome for outcome in done.outcomes if outcome.fails]
    assert not done.failed
    assert not failing, "\n\n" + "\n".join(map(str, failing[:5]))
    assert done.outcomes
