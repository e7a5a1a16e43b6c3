"""What is proven at load: recorded answers are repeated, and rows may be batched together, or why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.errors import PredictError, ProofFailed
from penstock.loading.proof import Proof, prove, rows_from_signature
from penstock.package import PackagedModel
from penstock.payload import Payload, Table, Tensors, Value
from penstock.signature import Signature
from serving.fakes import FakePredictor

Batch = Any  # an array (rows, columns)
SERVING = "serving_input_example.json"


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., PackagedModel]:
    """A package whose manifest and examples are as given; what it predicts with is the test's own."""

    def make(
        rows: Any = None, *, expected: Any = None, signature: bool = True, flavor: str = "onnx", **own: Any
    ) -> PackagedModel:
        manifest: dict[str, Any] = {"flavors": {flavor: {"data": "model.onnx", "loader_module": "own"}}}
        if signature:
            tensor = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}
            manifest["signature"] = {"inputs": json.dumps([tensor]), "outputs": None, "params": None}
        if own:
            manifest["metadata"] = {"penstock": own}
        (tmp_path / "MLmodel").write_text(json.dumps(manifest))  # JSON is YAML
        if rows is not None:
            (tmp_path / SERVING).write_text(json.dumps({"inputs": rows}))
        if expected is not None:
            (tmp_path / "expected_output.json").write_text(json.dumps({"predictions": expected}))
        return PackagedModel.open(tmp_path)

    return make


def predictor(function: Callable[[Batch], Any], *, joinable: bool = True) -> FakePredictor:
    """A predictor made of a function of the first array."""

    def predict(payload: Payload, params: Mapping[str, Any]) -> Payload:
        array = payload.arrays[0] if isinstance(payload, Tensors) else payload.block  # type: ignore[union-attr]
        answer = function(array)
        return answer if isinstance(answer, (Table, Tensors, Value)) else Tensors.single(np.asarray(answer))

    return FakePredictor(predict, joinable=joinable)


def fails(array: Batch) -> Any:
    raise ValueError("not these")


ROWS = [[1.0, 2.0], [3.0, 5.0], [8.0, 13.0], [21.0, 34.0]]

HONEST: dict[str, Callable[[Batch], Any]] = {
    "the sum of a row": lambda x: x.sum(axis=1),
    "several outputs": lambda x: Tensors.named({"a": x * 2, "b": x[:, 0]}),
    "a table": lambda x: Table(("y",), block=x[:, :1]),
    "text": lambda x: np.array([f"class {int(v)}" for v in x[:, 0]], dtype=object),
    "a constant": lambda x: np.zeros(len(x)),
    "missing numbers": lambda x: np.full(len(x), np.nan),
    "rounding of the last digits": lambda x: x.sum(axis=1) * (1 + 1e-7 * len(x)),
}

DEPENDENT: dict[str, tuple[Callable[[Batch], Any], str]] = {
    "subtracts the mean of the batch": (lambda x: x[:, 0] - x[:, 0].mean(), "and for a batch differ"),
    "divides by the largest": (lambda x: x[:, 0] / x[:, 0].max(), "and for a batch differ"),
    "sums up from the first row": (lambda x: x[:, 0].cumsum(), "and for a batch differ"),
    "counts its rows": (lambda x: np.full(len(x), len(x)), "and for a batch differ"),
    "numbers its rows": (lambda x: np.arange(len(x)), "and for a batch differ"),
    "answers the rows in order of size": (lambda x: np.sort(x[:, 0]), "order of rows"),
    "the row before": (lambda x: np.roll(x[:, 0], 1), "and for a batch differ"),
    "marks the first as one of a kind": (lambda x: (x[:, 0] == x[0, 0]).astype(int), "and for a batch differ"),
    "one number for all rows": (lambda x: x.sum(), "one item per row"),
    "one list for all rows": (lambda x: Value([1, 2]), "one item per row"),
    "drops rows": (lambda x: x[1:], "one item per row"),
    "a matrix of its columns": (lambda x: x.T @ x, "one item per row"),
    "one output without rows": (lambda x: Tensors.named({"y": x, "loss": np.array(0.5)}), "one item per row"),
    "drops single rows": (lambda x: x if len(x) > 1 else x[:0], "one item per row"),
    "a shape that depends on the row": (lambda x: x if x[0, 0] in (1, 3) else x[:, :1], "cannot be combined"),
}


class TestJoining:
    @pytest.mark.parametrize("kind", HONEST)
    @pytest.mark.parametrize("count", [1, 2, 4])
    def test_a_row_that_answers_for_itself_may_be_joined(self, package: Any, kind: str, count: int) -> None:
        assert prove(predictor(HONEST[kind]), package(ROWS[:count])) == Proof(False)

    @pytest.mark.parametrize("kind", DEPENDENT)
    def test_a_model_that_looks_at_neighbours_may_not_be_joined(self, package: Any, kind: str) -> None:
        function, reason = DEPENDENT[kind]
        assert reason in prove(predictor(function), package(ROWS)).unjoined

    @pytest.mark.parametrize("kind", DEPENDENT)
    @pytest.mark.parametrize("rows", [ROWS[:1], [ROWS[1]] * 5])
    def test_a_model_that_looks_at_neighbours_is_found_out_by_one_row(self, package: Any, kind: str, rows: Any) -> None:
        """Copies of one row would hide most of these: the copies are told apart first."""
        assert prove(predictor(DEPENDENT[kind][0]), package(rows)).unjoined

    def test_one_row_of_text_proves_nothing(self, package: Any) -> None:
        same = predictor(lambda x: x)
        assert "are equal" in prove(same, package([["a", "b"]], signature=False)).unjoined
        assert not prove(same, package([["a", "b"], ["c", "d"]], signature=False)).unjoined

    def test_one_row_of_whole_numbers_is_varied(self, package: Any) -> None:
        assert not prove(predictor(lambda x: x * 2), package([[3, 4]], signature=False)).unjoined
        assert prove(predictor(lambda x: x - x.mean(axis=0)), package([[3, 4]], signature=False)).unjoined

    def test_varied_rows_that_the_model_refuses_leave_it_unjoined(self, package: Any) -> None:
        picky = predictor(lambda x: x if (x == np.array(ROWS[:1])).all() else fails(x))
        assert "fails on single rows" in prove(picky, package(ROWS[:1])).unjoined

    def test_no_more_than_a_few_rows_of_the_example_are_tried(self, package: Any) -> None:
        sizes: list[int] = []

        def noted(x: Any) -> Any:
            sizes.append(len(x))
            return x

        prove(predictor(noted), package(ROWS * 25))
        assert sizes == [100, 8, *[1] * 8, 8, 1, 2, 2, 5], "the last ones have gaps"

    def test_a_model_that_varies_is_not_joined(self, package: Any) -> None:
        proof = prove(predictor(lambda x: x), package(ROWS, deterministic=False))
        assert proof.unjoined == "the model's answers vary from call to call"

    def test_python_code_is_joined_only_where_it_is_batchable(self, package: Any) -> None:
        proof = prove(predictor(lambda x: x, joinable=False), package(ROWS))
        assert "metadata.penstock.batchable" in proof.unjoined

    def test_an_input_without_rows_is_not_joined(self, package: Any, tmp_path: Path) -> None:
        made = package(signature=False)
        (tmp_path / SERVING).write_text(json.dumps({"messages": [{"role": "user", "content": "hello"}]}))
        assert prove(FakePredictor(lambda p, _: Value("hi")), made).unjoined == "the example has no rows"


class TestPackages:
    def test_data_only_packages_are_joined(
        self, iris_package: Path, iris_onnx_package: Path, identity_onnx_package: Path
    ) -> None:
        for path in (iris_package, iris_onnx_package, identity_onnx_package):
            opened = PackagedModel.open(path)
            lean = "" if path == iris_package else None
            assert prove(opened.load(), opened) == Proof(True, not_lean=lean), path.name

    def test_batchable_python_code_is_joined(self, python_package: Path) -> None:
        opened = PackagedModel.open(python_package)
        assert prove(opened.load(trust_code=True), opened) == Proof(True)

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("inputs['a'] - inputs['a'].mean()", "differ"),
            ("inputs['a'].tolist() if len(inputs) > 1 else []", "one item"),
        ],
    )
    def test_python_code_that_is_wrongly_batchable_is_not_joined(self, tmp_path: Path, body: str, reason: str) -> None:
        import pandas as pd

        from penstock.package.save import save_model

        (tmp_path / "wrong.py").write_text(f"def predict(inputs, params):\n    return {body}\n")
        opened = save_model(
            tmp_path / "wrong.py", tmp_path / "wrong", example=pd.DataFrame({"a": [1.0, 2.0, 4.0]}), batchable=True
        )
        assert reason in prove(opened.load(trust_code=True), opened).unjoined


class TestRecordedAnswers:
    def test_a_repeated_answer_is_a_proof(self, package: Any) -> None:
        proof = prove(predictor(lambda x: x.sum(axis=1)), package(ROWS[:2], expected=[3.0, 8.0]))
        assert proof == Proof(True)

    @pytest.mark.parametrize("expected", [[3.0, 8.001], [3.0], [3.0, "8"], {"y": [3.0, 8.0]}, [3.0, None]])
    def test_another_answer_fails_the_load(self, package: Any, expected: Any) -> None:
        with pytest.raises(ProofFailed, match="does not repeat its recorded answer"):
            prove(predictor(lambda x: x.sum(axis=1)), package(ROWS[:2], expected=expected))

    def test_digits_beyond_the_tolerance_are_no_difference(self, package: Any) -> None:
        assert prove(predictor(lambda x: x.sum(axis=1)), package(ROWS[:2], expected=[3.0002, 8.0])).repeats

    def test_a_model_that_fails_on_its_example_is_refused(self, package: Any) -> None:
        with pytest.raises(ProofFailed, match="fails on its own example") as caught:
            prove(predictor(fails), package(ROWS, expected=[1]))
        assert isinstance(caught.value.__cause__, PredictError)

    def test_without_a_recorded_answer_a_failure_on_the_example_is_a_warning(self, package: Any) -> None:
        proof = prove(predictor(fails), package(ROWS))
        assert not proof.repeats
        assert "fails on single rows" in proof.unjoined
        assert "The model failed: ValueError" in proof.warnings[0]

    @pytest.mark.parametrize("rows", [ROWS, None])
    def test_a_model_for_whose_example_there_is_no_memory_is_refused(self, package: Any, rows: Any) -> None:
        def greedy(array: Batch) -> Any:
            raise MemoryError("Unable to allocate 8.00 TiB")

        with pytest.raises(ProofFailed, match="needs more memory than is available"):
            prove(predictor(greedy), package(rows))

    def test_an_example_that_does_not_fit_is_a_warning(self, package: Any) -> None:
        proof = prove(predictor(lambda x: x), package([[1.0, 2.0, 3.0]]))
        assert proof.unjoined == "its example cannot be read"
        assert len(proof.warnings) == 1


class TestWithoutAnExample:
    def test_rows_are_made_from_the_signature(self, package: Any) -> None:
        assert prove(predictor(lambda x: x * 2), package()) == Proof(False)
        assert "differ" in prove(predictor(lambda x: x - x.mean()), package()).unjoined

    def test_without_a_signature_there_is_nothing_to_try(self, package: Any) -> None:
        proof = prove(predictor(fails), package(signature=False))
        assert proof == Proof(False, "the package has no example to prove batching with")

    def test_python_is_not_run_on_made_up_rows(self, package: Any) -> None:
        model = predictor(fails, joinable=False)
        assert prove(model, package(flavor="python_function")).unjoined == (
            "the package has no example to prove batching with"
        )

    @pytest.mark.parametrize(
        ("fields", "made"),
        [
            ([{"type": "double", "name": "a"}, {"type": "long", "name": "b"}], (("a", "b"), 4)),
            ([{"type": "float"}, {"type": "float"}], (None, 4)),
            ([{"type": "string", "name": "a"}], None),
            ([{"type": "array", "items": {"type": "double"}, "name": "a"}], None),
            ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3, 2]}}], (None, 4)),
            ([{"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 3]}}], (None, 4)),
            ([{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "bool", "shape": [-1]}}], (("x",), 4)),
            ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, -1]}}], None),
            ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [3]}}], None),
            ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 1000, 1000000]}}], None),
            ([{"type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}}], None),
        ],
    )
    def test_only_rows_that_are_no_guess_are_made(self, fields: Any, made: Any) -> None:
        signature = Signature.from_mlflow({"inputs": json.dumps(fields)})
        rows = rows_from_signature(signature)
        assert (None if rows is None else (rows.names, rows.rows)) == made
