"""What versions of models take and give: asked once, and again when another version answers."""

from __future__ import annotations

from urllib.parse import quote

from penstock.client.calls import Call, Line
from penstock.client.descriptions import ModelDescription, description_of
from penstock.client.exchange import GatewayReply, InTurn, Steps
from penstock.errors import GatewayError, GatewayFault, ModelUnknown

# So many are kept: those of the models that are asked at one time, of each two while versions change.
_MOST_KNOWN = 256

# The server's word for a model that it does not serve, rather than for a path that it does not have.
_NO_SUCH_MODEL = "RESOURCE_DOES_NOT_EXIST"


class KnownVersions:
    """Descriptions of versions. A server that gives none (MLflow's, or an older one) is asked once, too."""

    def __init__(self, line: Line) -> None:
        self._line = line
        # The whole mutable state: versions by the model's name and their own, None where the server tells nothing of
        # one; and the version of each model that answered last, by the name that it is asked by.
        self._known: dict[tuple[str, str], ModelDescription | None] = {}
        self._latest: dict[str | None, tuple[str, str]] = {}

    def of(self, call: Call) -> Steps[ModelDescription | None]:
        """The version that answered last, or would answer now; None where nothing is told of it. Raises
        GatewayError."""
        if call.model not in self._latest:
            yield InTurn(call.model or "", self._first_look(call), self._line.left(call))
        return self._known.get(self._latest.get(call.model, ("", "")))

    def _first_look(self, call: Call) -> Steps[None]:
        """Nothing to do where another call has looked by now."""
        if call.model not in self._latest:
            yield from self.now(call)

    def now(self, call: Call) -> Steps[ModelDescription | None]:
        """The version that would answer now, asked again. Raises GatewayError."""
        described = yield from self._look(call, call.path("signature"))
        self._learn(call, (described.name, described.version) if described is not None else ("", ""), described)
        return described

    def that_answered(self, call: Call, reply: GatewayReply) -> Steps[ModelDescription | None]:
        """The version that gave this answer, looked up where it is another than the last one. Never fails: the answer
        is there, and is read without its types where need be."""
        key = answered_by(reply)
        if key[1] and key not in self._known:
            path = f"/models/{quote(key[0], safe='')}/versions/{quote(key[1], safe='')}/signature"
            try:
                described = yield from self._look(call, path)
            except GatewayError:
                return None
            self._learn(call, key, described)
        elif key[1]:
            self._latest[call.model] = key
        return self._known.get(key)

    def _look(self, call: Call, path: str) -> Steps[ModelDescription | None]:
        """None where the server tells no signatures, or something else there. Raises GatewayError."""
        try:
            reply = yield from self._line.get(call, path)
        except ModelUnknown as error:
            if error.error_code == _NO_SUCH_MODEL:
                raise
            return None
        try:
            return description_of(reply)
        except GatewayFault:
            return None

    def _learn(self, call: Call, key: tuple[str, str], described: ModelDescription | None) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = described
        self._latest[call.model] = key

    def __repr__(self) -> str:
        return f"<KnownVersions, {len(self._known)} of {len(self._latest)} models>"


def answered_by(reply: GatewayReply) -> tuple[str, str]:
    """The name and version of the model that answered, both empty where the server does not say."""
    return reply.headers.get("x-model-name", ""), reply.headers.get("x-model-version", "")
