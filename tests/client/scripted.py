"""A conversation carried out by a script: outcomes in order, a clock that pauses turn, and no chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from penstock.client.calls import Line
from penstock.client.conversation import Conversation
from penstock.client.exchange import Ask, GatewayReply, InTurn, Lost, Outcome, Pause, Steps

COLUMNS = {"inputs": [{"name": "a", "type": "double"}], "outputs": [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]}  # fmt: skip  # noqa: E501


@dataclass
class Script:
    """Answers each request with the next outcome, or with what `answer` says. `asked` has the requests, `pauses` the
    seconds that were waited. Each request takes `seconds`, one that is lost late all that it has."""

    outcomes: list[Outcome] = field(default_factory=list)
    answer: Callable[[Ask], Outcome] | None = None
    seconds: float = 0.0
    now: float = 100.0
    asked: list[Ask] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def conversation(self, **options: Any) -> Conversation:
        options = {"clock": lambda: self.now, "chance": lambda: 0.5, **options}
        return Conversation(Line("http://gateway:80", **options))

    def run(self, steps: Steps[Any]) -> Any:
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value
            outcome = None
            if isinstance(step, Ask):
                self.asked.append(step)
                outcome = self.answer(step) if self.answer is not None else self.outcomes.pop(0)
                self.now += step.seconds if isinstance(outcome, Lost) and outcome.late else self.seconds
            elif isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.now += step.seconds
            elif isinstance(step, InTurn):
                self.run(step.steps)


def json_reply(document: Any, status: int = 200, **headers: str) -> GatewayReply:
    return GatewayReply(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, orjson.dumps(document)
    )


def described(signature: Any = None, version: str = "1", model: str = "m") -> GatewayReply:
    """What a gateway says at a path of signatures."""
    return json_reply(
        {
            "model": model,
            "version": version,
            "digest": "d",
            "flavor": "f",
            "signature": signature,
            "is_signature_from_type_hint": False,
            "reads": ["application/json"],
        }
    )


def predicted(value: Any, version: str = "1", model: str = "m", **headers: str) -> GatewayReply:
    if version:
        headers |= {"x_model_name": model, "x_model_version": version}
    return json_reply({"predictions": value}, 200, **headers)


def refused(status: int, message: str = "No.", code: str = "BAD_REQUEST", **headers: str) -> GatewayReply:
    return json_reply({"error_code": code, "message": message}, status, **headers)
