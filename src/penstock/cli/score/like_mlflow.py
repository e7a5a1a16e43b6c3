"""`penstock score -m MODEL -i FILE -o FILE -t json|csv`: what `mlflow models predict` takes, and the answer it gives.

The whole input is read, predicted in one call and answered as one JSON document, by the code that reads and answers
requests to `/invocations`. Source: `mlflow models predict`, 3.18.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.score.options import ScoreCommand
from penstock.errors import ScoringError

if TYPE_CHECKING:
    from penstock.loading import LoadedModel
    from penstock.wire.mlflow.codec import PredictRequest


def predict(command: ScoreCommand) -> int:
    """The exit code. Raises what loading, reading and predicting raise."""
    from penstock.assembly.named_models import load_named

    if command.words:
        raise click.UsageError("With -m MODEL, give the input with -i FILE.")
    given, flags = command.like_mlflow, command.model
    with load_named(given.model_uri or "", flags.registry, flags.load_options(), flags.environment()) as model:
        text = answer(model.loaded, _read(given.input_path), given.content_type or "json")
    _write(command.files.output, text)
    return 0


def answer(model: LoadedModel, body: bytes, content_type: str) -> str:
    """The JSON document that answers a body, NaN words and all, as MLflow writes it.

    Raises MalformedInput, SchemaViolation, PredictError, AnswerUnserializable.
    """
    from penstock.signature import conform_params
    from penstock.wire.mlflow.answers import answer_text
    from penstock.wire.mlflow.codec import BodyReader
    from penstock.wire.mlflow.formats import CSV, JSON

    predictor, signature = model.predictor, model.signature
    media = {"json": JSON, "csv": CSV}[content_type]
    request = _plain_request(model, body) if media == CSV else None
    if request is None:
        request = BodyReader(signature, frames=predictor.takes_frames).read(media, body)
    params = conform_params(signature.params if signature else (), request.params)
    payload = predictor.predict(request.payload, params)
    return answer_text(payload, wrapped=request.wrapped)


def _plain_request(model: LoadedModel, body: bytes) -> PredictRequest | None:
    """CSV of nothing but short numbers, read without pandas, where that makes no difference."""
    from importlib.util import find_spec

    from penstock.wire.csv import decode_plain
    from penstock.wire.mlflow.codec import PredictRequest

    signature = model.signature
    if signature is None or signature.hinted or not model.takes_frames or find_spec("pyarrow") is None:
        return None
    table = decode_plain(body, signature.inputs)
    return None if table is None else PredictRequest(table)


def _read(path: str | None) -> bytes:
    if path is None or path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ScoringError(f"{path} cannot be read: {error.strerror}.") from None


def _write(path: str | None, text: str) -> None:
    """No newline at the end: so MLflow's command leaves it."""
    if path is None or path == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    from penstock.storage.files import file_store_of

    with file_store_of(path).written(path) as beside:
        beside.write_text(text, encoding="utf-8")
