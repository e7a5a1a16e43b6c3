"""What OpenAPI says of one model: what it takes and gives, with the package's own example."""

from __future__ import annotations

import asyncio
import logging
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

from penstock.loading.proof import EXAMPLE_FAILS
from penstock.package.shown_example import ShownExample, show_example
from penstock.server.admin.openapi_schemas import answer_schema, request_schema
from penstock.serving.servable import Servable
from penstock.signature import Signature, TensorField
from penstock.signature.sample import sample_request
from penstock.wire.mlflow.formats import ARROW, CSV, JSON, PARQUET

log = logging.getLogger("penstock.server")

# As many rows of an example are shown.
_ROWS = 5

# A larger file is not read for a page: parsing it would hold up everybody.
_LARGEST_FILE = 1024 * 1024

# A made-up array of more values than this would be no help to anybody.
_LARGEST_SAMPLE = 4096


class ModelOperations:
    """The operation of each version, made once, in a thread: a package's files may be large. One that cannot be made
    says so, and leaves the others as they are."""

    def __init__(self) -> None:
        # The whole mutable state.
        self._made: WeakKeyDictionary[Servable, dict[str, Any]] = WeakKeyDictionary()

    async def of(self, servable: Servable) -> dict[str, Any]:
        if (made := self._made.get(servable)) is None:
            made = self._made[servable] = await asyncio.to_thread(_operation, servable)
        return made

    def __repr__(self) -> str:
        return f"<ModelOperations of {len(self._made)} versions>"


def _operation(servable: Servable) -> dict[str, Any]:
    try:
        return _described(servable)
    except Exception:
        log.exception("%s version %s cannot be described.", servable.model, servable.version)
        return _around(servable, {}, {}, ["It cannot be described; the server's log says why."])


def _described(servable: Servable) -> dict[str, Any]:
    signature = servable.signature or Signature()
    warnings = [f"{warning.rstrip('.')}." for warning in servable.loaded.proof.warnings]
    example = show_example(servable.loaded.package, rows=_ROWS, limit=_LARGEST_FILE)
    if example.problem and not warnings:
        warnings.append(example.problem)
    request: dict[str, Any] = {"schema": request_schema(signature)}
    fails = any(warning.startswith(EXAMPLE_FAILS) for warning in warnings)
    if not fails and (body := _body(example, signature)) is not None:
        request["example"] = body
    answer: dict[str, Any] = {
        "schema": {"type": "object", "properties": {"predictions": answer_schema(signature.outputs)}}
    }
    if example.answered:
        answer["example"] = example.answer
    return _around(servable, request, answer, warnings)


def _around(servable: Servable, request: dict[str, Any], answer: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """The operation around what is known of requests and answers."""
    error = {"description": "What went wrong.", "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    columnar = {media: {"schema": {"type": "string", "format": "binary"}} for media in (PARQUET, ARROW)}
    return {
        "operationId": f"invoke_{servable.model}",
        "summary": f"Predictions of {servable.model}, version {servable.version}.",
        **({"description": " ".join(warnings)} if warnings else {}),
        "requestBody": {"required": True, "content": {JSON: request, CSV: {"schema": {"type": "string"}}, **columnar}},
        "responses": {
            "200": {"description": "The predictions.", "content": {JSON: answer}},
            **dict.fromkeys(("400", "413", "415", "429", "503"), error),
        },
    }


def _body(example: ShownExample, signature: Signature) -> Any:
    """The package's own example, or one made up from its signature. One that JSON cannot say is a text, as OpenAPI has
    it."""
    if example.request is not None:
        return example.request
    arrays = [field.shape for field in signature.inputs or () if isinstance(field, TensorField)]
    return sample_request(signature) if sum(map(_size, arrays)) <= _LARGEST_SAMPLE else None


def _size(shape: tuple[int, ...]) -> int:
    return prod(1 if n == -1 else n for n in shape)
