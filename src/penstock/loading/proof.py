"""Proofs made at load: that the model repeats its recorded answers, and that rows may be predicted together.

A model may only be batched across callers if a row's answer does not depend on the rows beside it. That is tried, on
the example's rows or on rows made from the signature: joined, one by one, in another order and with gaps
(`gap_proof`) they must agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from penstock.errors import PenstockError, PredictError, ProofFailed, remedy
from penstock.flavors import Predictor
from penstock.loading.gap_proof import gaps_differ
from penstock.machine.memory import memory_error_behind
from penstock.package import Example, PackagedModel, answers_differ
from penstock.package.row_count import count_rows, takes_list_alone
from penstock.payload import Array, Params, Payload, Table, Tensors, Value, join
from penstock.signature import Field, Scalar, Signature, conform_params, is_tensor_schema
from penstock.wire.mlflow.answers import answer_value, encode_answer
from penstock.wire.mlflow.invocations import parse_json

_PROOF_ROWS = 8

_NOT_EACH = "the model's answer does not have one item per row"

# How the warning begins.
EXAMPLE_FAILS = "The model fails on its own example"


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found at load. `repeats` is True where a recorded answer was repeated, False where none is recorded;
    `unjoined` says why rows of several callers must stay apart, and is empty where they may be joined; `not_lean` is
    the predictor's."""

    repeats: bool
    unjoined: str = ""
    warnings: tuple[str, ...] = ()
    not_lean: str | None = None

    @property
    def lean(self) -> bool | None:
        """Whether it predicts without the layers of its library; None where its flavor has no such way."""
        return None if self.not_lean is None else not self.not_lean


# What is said of a text model whose rows no table can bring.
TAKES_LIST = "The model takes a list of texts."
_LIST_ALONE = (
    f"{TAKES_LIST} Of a table it answers the name of the column, once, whatever its rows are; so it does in MLflow."
)
_CONVERT = "`penstock package convert` makes a package whose model is handed the column's texts."


def prove(predictor: Predictor, package: PackagedModel) -> Proof:
    """Predicts the example, which also warms the model up. Raises ProofFailed where the recorded answer differs."""
    proof = replace(_prove(predictor, package), not_lean=predictor.not_lean)
    signature = package.manifest.signature
    if not _may_bring_texts(package, signature) or not takes_list_alone(predictor):
        return proof
    always = signature is not None and bool(signature.inputs)
    callers = "The signature makes a table of every request." if always else 'Send {"inputs": ["a text", "another"]}.'
    unjoined = proof.unjoined or "a table of texts is answered once for each column"
    return replace(proof, unjoined=unjoined, warnings=(*proof.warnings, f"{_LIST_ALONE} {callers} {_CONVERT}"))


def _may_bring_texts(package: PackagedModel, signature: Signature | None) -> bool:
    """Whether tables of one column of text may reach an estimator."""
    if not package.flavor().row_by_row:
        return False
    inputs = signature.inputs if signature is not None else None
    return not inputs or (len(inputs) == 1 and isinstance(inputs[0], Field) and inputs[0].type is Scalar.STRING)


def _prove(predictor: Predictor, package: PackagedModel) -> Proof:
    signature = package.manifest.signature
    try:
        example = package.example()
    except PenstockError as error:
        return Proof(False, "its example cannot be read", (error.message,))
    if example is None:
        return _prove_without_example(predictor, package, signature)
    predictor.rehearse(example.payload)
    repeats, warnings = _repeat(predictor, example)
    unjoined = _why_unjoined(predictor, package, example.payload, example.params)
    if unjoined and package.flavor().row_by_row:
        counted = count_rows(predictor, example.payload, example.params)
        if counted is not None and not counted.fits:
            warnings += (f"{counted} Package its estimator again, by Penstock, with an example.",)
    return Proof(repeats, unjoined, warnings)


def _repeat(predictor: Predictor, example: Example) -> tuple[bool, tuple[str, ...]]:
    try:
        answer = predictor.predict(example.payload, example.params)
    except PredictError as error:
        _refuse_without_memory(error)
        if example.has_expected:
            raise ProofFailed(f"{EXAMPLE_FAILS}: {error.message}") from error
        return False, (f"{EXAMPLE_FAILS}: {error.message}",)
    if not example.has_expected:
        return False, ()
    if different := answers_differ(example.expected, parse_json(encode_answer(answer)), where=""):
        raise ProofFailed(
            f"The model does not repeat its recorded answer: {different}.",
            hint="The installed libraries may have other versions than the package.",
            remedy=remedy("compare_libraries"),
        )
    return True, ()


def _prove_without_example(predictor: Predictor, package: PackagedModel, signature: Signature | None) -> Proof:
    rows = None if signature is None else rows_from_signature(signature)
    if rows is None or (package.code_reasons() and not predictor.joinable):
        return Proof(False, "the package has no example to prove batching with")
    params = conform_params(signature.params if signature else (), None)
    return Proof(False, _why_unjoined(predictor, package, rows, params))


def _why_unjoined(predictor: Predictor, package: PackagedModel, payload: Payload, params: Params) -> str:
    if not predictor.joinable:
        return "the package does not say that its rows may be batched together (metadata.penstock.batchable)"
    if not package.manifest.deterministic:
        return "the model's answers vary from call to call"
    if isinstance(payload, Value) or not payload.rows:
        return "the example has no rows"
    try:
        return _joining_differs(predictor, payload, params, package.manifest.signature)
    except PenstockError as error:
        _refuse_without_memory(error)
        return f"the model fails on single rows of the example: {error.message}"


def _refuse_without_memory(error: PenstockError) -> None:
    """A model that fails on its example may answer other rows; one that needs more memory than there is takes that from
    everybody. Raises ProofFailed."""
    if memory_error_behind(error) is not None:
        raise ProofFailed(f"The model needs more memory than is available for its example: {error.message}") from error


def _joining_differs(
    predictor: Predictor, payload: Table | Tensors, params: Params, signature: Signature | None
) -> str:
    """Why the answers for rows joined, apart and reordered are not the same; empty where they are."""
    rows = payload.take(slice(0, _PROOF_ROWS))
    while (count := rows.rows or 0) < 3:
        rows = join([rows, rows])  # type: ignore[assignment]
    if _alike(rows):
        rows = _varied(rows)
        if _alike(rows):
            return "all rows of the example are equal, which proves nothing"
    together = predictor.predict(rows, params)
    if isinstance(together, Value) or together.rows != count:
        return _NOT_EACH
    singles = [predictor.predict(rows.take(slice(i, i + 1)), params) for i in range(count)]
    if any(isinstance(one, Value) or one.rows != 1 for one in singles):
        return _NOT_EACH
    try:
        apart = join(singles)
    except ValueError:
        return "the model's answers for single rows cannot be combined"
    if different := answers_differ(answer_value(together), answer_value(apart)):
        return f"the model's answers for single rows and for a batch differ ({different})"
    order = np.arange(count)[::-1]
    turned = predictor.predict(rows.take(order), params)
    if isinstance(turned, Value) or turned.rows != count:
        return _NOT_EACH
    if different := answers_differ(answer_value(together.take(order)), answer_value(turned)):
        return f"the order of rows changes the model's answers ({different})"
    return gaps_differ(predictor, rows, params, signature)


def _alike(rows: Table | Tensors) -> bool:
    """Whether every row is the first one again: a model may mix such rows up and nobody sees it."""
    arrays = tuple(rows.iter_columns()) if isinstance(rows, Table) else rows.arrays
    return all(
        array.tolist() == [array[0].tolist() if array.ndim > 1 else array.tolist()[0]] * len(array) for array in arrays
    )


def _varied(rows: Table | Tensors) -> Table | Tensors:
    """The rows with their numbers made different: floats, or whole numbers where there are none, which may be codes."""
    arrays = tuple(rows.iter_columns()) if isinstance(rows, Table) else rows.arrays
    kinds = "f" if any(a.dtype.kind == "f" for a in arrays) else "iu"
    changed = [_stepped(a) if a.dtype.kind in kinds else a for a in arrays]
    return Table.of(rows.names, changed, rows.index) if isinstance(rows, Table) else Tensors(rows.names, tuple(changed))


def _stepped(array: Array) -> Array:
    """Row number i moved by i eighths of its value and one, whole numbers by i."""
    steps: Array = np.arange(len(array)).reshape(-1, *([1] * (array.ndim - 1)))
    with np.errstate(invalid="ignore"):  # an example may hold infinity
        if array.dtype.kind == "f":
            steps = steps * (np.abs(array) + 1) / 8
        return np.asarray(array + steps, dtype=array.dtype)


# The most numbers in a row that is made up: a signature may say any size, and a model of more has an example.
_MAX_DRAWN = 1_000_000


def rows_from_signature(signature: Signature) -> Table | Tensors | None:
    """A few rows that the signature allows, for models that come without an example; None where that is a guess.

    Numbers only: a made-up text or category would more likely be refused than prove anything.
    """
    schema = signature.inputs
    if schema is None:
        return None
    draw = np.random.default_rng(0)
    if is_tensor_schema(schema):
        arrays = [_array(draw, f.dtype, f.shape) for f in schema]
        if any(a is None for a in arrays):
            return None
        names = None if schema[0].name is None else tuple(str(f.name) for f in schema)
        return Tensors(names, tuple(a for a in arrays if a is not None))
    fields: list[Field] = [f for f in schema if isinstance(f, Field)]
    if not all(isinstance(f.type, Scalar) and f.type.dtype.kind in "bif" for f in fields):
        return None
    columns = [_array(draw, f.type.dtype, (-1,)) for f in fields if isinstance(f.type, Scalar)]
    unnamed = any(f.name is None for f in fields)
    return Table.of(
        None if unnamed else [f.name for f in fields if f.name is not None], [c for c in columns if c is not None]
    )


def _array(draw: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array | None:
    """Four rows of small numbers. None where a further axis may have any length, and where a row is huge."""
    if not shape or shape[0] != -1 or -1 in shape[1:] or dtype.kind not in "biuf" or prod(shape[1:]) > _MAX_DRAWN:
        return None
    size = (4, *shape[1:])
    return draw.random(size).astype(dtype) if dtype.kind == "f" else draw.integers(0, 2, size).astype(dtype)
