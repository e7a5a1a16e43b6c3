"""What a gateway tells of itself and of its models, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from penstock.client.exchange import GatewayReply
from penstock.errors import GatewayFault, PackageInvalid
from penstock.signature import Signature


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """Whether a gateway answers for all of its models. `state` is ready, loading or draining, `waiting_for` the models
    that are not loaded yet."""

    ready: bool
    state: str
    waiting_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One served model. `version` is None until one is loaded, `alias` is the one that is followed, if any; `stale` is
    whether another version may have been promoted that the gateway could not hear of."""

    name: str
    ready: bool
    version: str | None = None
    alias: str | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """One version of a model. `signature` is what it takes, gives and accepts as params, None where its package does
    not say; `digest` names the package; `reads` are the media types of bodies that the gateway can read."""

    name: str
    version: str
    signature: Signature | None = None
    digest: str = ""
    flavor: str = ""
    reads: frozenset[str] = frozenset()


def health_of(reply: GatewayReply) -> GatewayHealth:
    """From /readyz; another server's answer to /ping says ready or not by its status."""
    found = _object(reply)
    ready = reply.status == 200
    return GatewayHealth(
        ready, str(found.get("state", "ready" if ready else "loading")), tuple(map(str, found.get("waiting_for", ())))
    )


def summaries_of(reply: GatewayReply) -> list[ModelSummary]:
    """From /models. Raises GatewayFault."""
    try:
        return [
            ModelSummary(m["name"], m["ready"], m["version"], m["alias"], m["stale"]) for m in _object(reply)["models"]
        ]
    except (KeyError, TypeError):
        raise _senseless("models") from None


def description_of(reply: GatewayReply) -> ModelDescription:
    """From a path of signatures. Raises GatewayFault."""
    found = _object(reply)
    try:
        written = found["signature"]
        signature = None if written is None else Signature.from_mlflow(written)
        if signature is not None:
            signature = replace(signature, hinted=found["is_signature_from_type_hint"] is True)
        return ModelDescription(
            found["model"], found["version"], signature, found["digest"], found["flavor"], frozenset(found["reads"])
        )
    except (KeyError, TypeError, AttributeError, PackageInvalid):
        raise _senseless("a model's signature") from None


def _object(reply: GatewayReply) -> Mapping[str, Any]:
    try:
        found = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _senseless(what: str) -> GatewayFault:
    return GatewayFault(f"The answer about {what} has no form that this client knows.", hint="Is it a Penstock server?")
