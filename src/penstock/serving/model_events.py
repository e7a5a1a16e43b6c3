"""What happens to served models, as reported to their owner: a gateway, or a worker of a fleet."""

from __future__ import annotations

from typing import Protocol


class ModelEvents(Protocol):
    """Given to each served model when it is made. Called on the event loop; `model` is the name it is served under."""

    def on_ready(self, model: str) -> None:
        """The first version answers."""

    def on_failed(self, model: str, version: str, reason: str) -> None:
        """A version has shown that it cannot serve any more."""

    def on_closed(self, model: str, cyclic: bool) -> None:
        """A version has been closed; `cyclic` says that it may have left circles of objects behind."""


class IgnoredEvents:
    """For a model without an owner."""

    def on_ready(self, model: str) -> None: ...

    def on_failed(self, model: str, version: str, reason: str) -> None: ...

    def on_closed(self, model: str, cyclic: bool) -> None: ...
