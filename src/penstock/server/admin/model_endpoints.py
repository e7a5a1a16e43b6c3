"""GET /models and /models/{name}: what is served, in which version, taking and giving what."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from penstock.http.routes import Endpoint
from penstock.server.admin.json_response import json_response
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.serving.served_model import ServedModel
from penstock.signature import Schema, Signature, is_tensor_schema
from penstock.signature.schema import Field, TensorField, dtype_name


def model_endpoints(gateway: Gateway) -> list[Endpoint]:
    async def list_models(_: Request) -> Response:
        return json_response({"models": [_summary(m) for m in gateway.models], "default": gateway.default})

    async def show_model(request: Request) -> Response:
        return json_response(_details(gateway.model(request.path_params["name"])))

    return [
        Endpoint("/models", ("GET",), "predict", list_models, "The models served here.", admin_only=True),
        Endpoint("/models/{name}", ("GET",), "predict", show_model, admin_only=True),
    ]


def _summary(model: ServedModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "ready": model.ready,
        "version": model.current.version if model.current else None,
        "alias": model.alias or None,
        "stale": model.stale,
        "registry": _registry(model),
    }


def _registry(model: ServedModel) -> dict[str, Any] | None:
    """What the registry said last: that it could not be asked is another thing than that it names no version. None for
    a model that follows nothing."""
    said = model.registry
    if not model.alias:
        return None
    if said.state == "ok":
        return {"state": said.state}
    return {"state": said.state, "code": said.code, "message": said.message, "since": _time(said.since)}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _details(model: ServedModel) -> dict[str, Any]:
    current = model.current
    signature = current.signature if current else None
    return {
        **_summary(model),
        "versions": [
            {
                "version": s.version,
                "state": "current" if s is current else "previous",
                "digest": s.loaded.digest,
                "isolation": "process" if s.processes else "none",
                "processes": [
                    {"state": p.state, "pid": p.pid, "memory_bytes": p.memory_bytes, "restarts": p.restarts}
                    for p in s.processes
                ],
                "flavor": s.loaded.flavor,
                "batched": s.joined,
                "not_batched_because": _why_not_batched(s),
                "lean": s.loaded.proof.lean,
                "not_lean_because": s.loaded.proof.not_lean or None,
                "warnings": list(s.loaded.proof.warnings),
            }
            for s in model.versions
        ],
        "signature": describe_signature(signature),
        "in_every_worker": model.settled,
        "failure": _failure(model),
    }


def _why_not_batched(servable: Servable) -> str | None:
    """What was found at load, or else later: the batcher gives up for one reason alone."""
    if servable.joined:
        return None
    return servable.loaded.proof.unjoined or "one of its answers did not have one item per row"


def _failure(model: ServedModel) -> dict[str, Any] | None:
    """Why the wanted version is not the one that answers, worded as in the log."""
    failure = model.failure
    if failure is None:
        return None
    return {**asdict(failure), "since": _time(failure.since)}


def describe_signature(signature: Signature | None) -> dict[str, Any] | None:
    """A signature as plain JSON, readable without knowing MLflow's encoding."""
    if signature is None:
        return None
    return {
        "inputs": _describe_schema(signature.inputs),
        "outputs": _describe_schema(signature.outputs),
        "params": [{"name": p.name, "type": str(p.type), "default": p.json_default} for p in signature.params],
    }


def _describe_schema(schema: Schema | None) -> list[dict[str, Any]] | None:
    if schema is None:
        return None
    if is_tensor_schema(schema):
        return [_describe_tensor(f) for f in schema]
    return [{"name": f.name, "type": str(f.type), "required": f.required} for f in schema if isinstance(f, Field)]


def _describe_tensor(field: TensorField) -> dict[str, Any]:
    return {"name": field.name, "type": dtype_name(field.dtype), "shape": list(field.shape)}
