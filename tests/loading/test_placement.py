"""Where a package runs: only data whose rows have a bounded cost in the gateway, and a setting that says otherwise."""

from __future__ import annotations

import pytest

from penstock.loading.placement import IsolationMode, Placement, decide
from penstock.signature import ArrayOf, Field, Scalar, Signature

NUMBERS = Signature((Field("a", Scalar.DOUBLE),))
TEXTS = Signature((Field("a", Scalar.DOUBLE), Field("b", Scalar.STRING)))
LISTS = Signature((Field("a", Scalar.DOUBLE), Field("b", ArrayOf(Scalar.STRING))))


@pytest.mark.parametrize("signature", [NUMBERS, TEXTS, None])
def test_data_with_bounded_rows_runs_in_the_gateway(signature: Signature | None) -> None:
    assert str(decide("auto", [], [], signature)) == (
        "in the gateway: a row's cost is bounded, and its arrays are checked"
    )


@pytest.mark.parametrize(
    ("code", "reasons", "signature", "why"),
    [
        (["model.pkl is a pickle"], [], NUMBERS, "it carries code: model.pkl is a pickle"),
        ([], ["its graph repeats", "it is large"], NUMBERS, "its graph repeats; it is large"),
        ([], [], LISTS, "column b may hold lists or objects of any size"),
    ],
)
def test_everything_else_runs_apart_and_it_says_why(
    code: list[str], reasons: list[str], signature: Signature, why: str
) -> None:
    assert decide("auto", code, reasons, signature) == Placement(True, False, why)


@pytest.mark.parametrize(("mode", "apart"), [("process", True), ("none", False)])
def test_a_setting_overrides(mode: IsolationMode, apart: bool) -> None:
    assert decide(mode, [], [], NUMBERS) == Placement(apart, True, f"isolation is {mode}")
    assert decide(mode, [], ["it is large"], NUMBERS).apart is apart


def test_what_a_setting_keeps_in_the_gateway_has_no_bounds() -> None:
    """So that texts of any length reach a vectorizer there."""
    found = decide("none", [], ["it works through texts"], TEXTS)
    assert found == Placement(False, False, "isolation is none, though it works through texts")
