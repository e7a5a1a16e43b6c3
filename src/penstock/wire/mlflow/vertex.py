"""Predictions as Vertex AI asks them of a container: MLflow's JSON bodies, with `parameters` for `params`.

Source: Vertex AI, "Custom container requirements for prediction".
"""

from __future__ import annotations

import orjson

from penstock.signature import Signature
from penstock.wire.interface import MAX_ON_LOOP
from penstock.wire.mlflow.codec import MlflowCodec, MlflowProtocol, PredictRequest
from penstock.wire.mlflow.formats import JSON


class VertexCodec(MlflowCodec):
    """Reads `instances` with `parameters`; all else is as in MLflow's protocol."""

    def read(self, media: str, body: bytes) -> PredictRequest:
        self._bound(body, MAX_ON_LOOP)
        return super().read(media, with_params(body) if media == JSON else body)


class VertexProtocol(MlflowProtocol):
    """MLflow's protocol with another word for params. It is counted under the same name."""

    def codec(self, signature: Signature | None, *, frames: bool, on_loop: bool | None = None) -> VertexCodec:
        return VertexCodec(signature, frames=frames, **self._options(on_loop))


def with_params(body: bytes) -> bytes:
    """The same request with `params`; a body that is no JSON object with `parameters` stays as it is."""
    if b'"parameters"' not in body:
        return body
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(document, dict) or "parameters" not in document or "params" in document:
        return body
    parameters = document.pop("parameters")
    return orjson.dumps(document if parameters is None else {**document, "params": parameters})
