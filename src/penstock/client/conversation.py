"""What a client says to a gateway, step by step: what it asks, what it asks again, and what it makes of the answers.

Every method makes steps (`exchange`), which a client carries out in its own way: with a thread that waits, or on an
event loop. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.client.answers import Prediction, read_answer
from penstock.client.arrow_bodies import arrow_pays
from penstock.client.calls import Call, Line
from penstock.client.descriptions import (
    GatewayHealth,
    ModelDescription,
    ModelSummary,
    description_of,
    health_of,
    summaries_of,
)
from penstock.client.exchange import GatewayReply, Outcome, Pause, Steps
from penstock.client.known_versions import KnownVersions, answered_by
from penstock.client.outcomes import error_document, error_of_outcome
from penstock.client.request_bodies import RequestBody, request_body
from penstock.errors import (
    GatewayBusy,
    GatewayError,
    GatewayFault,
    GatewayUnreachable,
    MalformedInput,
    RequestRefused,
)
from penstock.machine.backoff import retry_delay
from penstock.payload import shortened
from penstock.wire.mlflow.formats import ARROW

# Seconds between two questions whether a server is ready, at first and at most.
_FIRST_LOOK = 0.1
_LAST_LOOK = 2.0


class Conversation:
    """The questions to one gateway, and what is known of it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.versions = KnownVersions(line)

    def predict(
        self,
        data: Any,
        params: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Steps[Prediction]:
        """Raises MalformedInput, GatewayError."""
        if params is not None and not isinstance(params, Mapping):
            raise MalformedInput(f"params must be a mapping of names to values, not {shortened(params)}.")
        call = self.line.call(timeout, model, request_id)
        described = yield from self.versions.of(call)
        request = _written(data, params, described)
        try:
            reply = yield from self._post(call, request)
        except RequestRefused:
            newer = (yield from self.versions.now(call)) if described is not None else None
            if newer is None or newer == described:
                raise
            # It was written for another version than the one that refused it.
            request = _written(data, params, newer)
            reply = yield from self._post(call, request)
        described = yield from self.versions.that_answered(call, reply)
        return self._prediction(call, reply, request, described)

    def _post(self, call: Call, request: RequestBody) -> Steps[GatewayReply]:
        headers = {"Content-Type": request.media, "Accept": request.accept}
        return self.line.post(call, call.path("invocations"), headers, request.content)

    def _prediction(
        self, call: Call, reply: GatewayReply, request: RequestBody, described: ModelDescription | None
    ) -> Prediction:
        signature = described.signature if described is not None else None
        request_id = reply.headers.get("x-request-id", call.request_id)
        try:
            media = reply.headers.get("content-type", "")
            value = read_answer(reply.body, media, request, signature.outputs if signature is not None else None)
        except MalformedInput as error:
            raise GatewayFault(
                f"{self.line.url} answered what is no prediction: {error.message}",
                status=reply.status,
                request_id=request_id,
            ) from None
        return Prediction(value, *answered_by(reply), request_id, _timing(reply.headers.get("server-timing", "")))

    def health(self) -> Steps[GatewayHealth]:
        """Raises GatewayError."""
        call = self.line.call()
        outcome: Outcome = yield from self.line.once(call, "/readyz")
        if isinstance(outcome, GatewayReply) and outcome.status == 404:  # MLflow's server has another path
            outcome = yield from self.line.once(call, "/ping")
        if isinstance(outcome, GatewayReply) and outcome.status in (200, 503):
            return health_of(outcome)
        raise error_of_outcome(outcome, self.line.url, "", 1)

    def models(self) -> Steps[list[ModelSummary]]:
        """Raises GatewayError."""
        reply = yield from self.line.get(self.line.call(), "/models")
        return summaries_of(reply)

    def describe(self, model: str | None = None) -> Steps[ModelDescription]:
        """Raises GatewayError."""
        call = self.line.call(model=model)
        reply = yield from self.line.get(call, call.path("signature"))
        return description_of(reply)

    def wait_until_ready(self, model: str | None = None, timeout: float = 60.0) -> Steps[None]:
        """Raises GatewayBusy where the server still says at the end that it is not ready, GatewayUnreachable where
        there is none by then, and at once what waiting does not change."""
        call = self.line.call(timeout, model)
        path = "/readyz" if model is None else call.path("signature")
        looks = 0
        while True:
            outcome = yield from self.line.once(call, path)
            looks += 1
            if isinstance(outcome, GatewayReply) and outcome.status == 200:
                return
            error = _not_ready(outcome, self.line.url, looks)
            pause = retry_delay(looks, self.line.chance(), first=_FIRST_LOOK, most=_LAST_LOOK)
            if not isinstance(error, (GatewayBusy, GatewayUnreachable)) or pause >= self.line.left(call):
                raise error
            yield Pause(pause)

    def __repr__(self) -> str:
        return f"<Conversation on {self.line!r}, {self.versions!r}>"


def _written(data: Any, params: Mapping[str, Any] | None, described: ModelDescription | None) -> RequestBody:
    if described is None:
        return request_body(data, params, None)
    return request_body(data, params, described.signature, arrow_pays() if ARROW in described.reads else None)


def _timing(header: str) -> dict[str, float]:
    """The milliseconds by stage of a Server-Timing header."""
    found = {}
    for item in header.split(","):
        name, _, duration = item.strip().partition(";dur=")
        try:
            found[name] = float(duration)
        except ValueError:
            continue
    return found


def _not_ready(outcome: Outcome, url: str, looks: int) -> GatewayError:
    """Who says what it waits for is quoted."""
    error = error_of_outcome(outcome, url, "", looks)
    if not isinstance(outcome, GatewayReply) or outcome.status != 503 or error_document(outcome):
        return error
    health = health_of(outcome)
    waits = f", and waits for {', '.join(health.waiting_for)}" if health.waiting_for else ""
    return GatewayBusy(f"{url} is not ready: it is {health.state}{waits}.", status=503, tries=looks)
