"""What every protocol offers: its bytes to payloads, and payloads to its bytes.

A server asks a `WireProtocol` what a request's headers mean before it knows the model, and for a `Codec` once it does.
What a protocol wants to remember between reading a body and writing its answer stands in its own kind of request.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from penstock.payload import Payload
from penstock.signature import Signature


@dataclass(slots=True)
class DecodedRequest:
    """A body as the model should get it: a conformed payload, and params as they were sent."""

    payload: Payload
    params: Any = None


class LibraryWanted(Exception):
    """The body is read by a library that is not imported yet, which takes up to a second: not on an event loop."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


R = TypeVar("R", bound=DecodedRequest)


class Codec(Protocol[R]):
    """One protocol's bytes to payloads and back, for one model."""

    def read(self, media: str, body: bytes) -> R:
        """A body of a media type that the protocol reads. Raises MalformedInput, SchemaViolation, UnsupportedMedia,
        LibraryWanted."""

    def write(self, payload: Payload, request: R, media: str) -> tuple[bytes, str]:
        """The answer to a request that was read here, and its media type, which is another than `media` where the
        answer has no such form. Raises AnswerUnserializable."""


class WireProtocol(Protocol):
    """One protocol in which predictions are asked."""

    @property
    def name(self) -> str:
        """The value of the metrics' label `protocol`, and of the access log's key: one of metrics.PROTOCOLS."""

    @property
    def readable(self) -> Collection[str]:
        """The media types of bodies that its codecs read."""

    def answer_media(self, accept: bytes | None) -> str:
        """The type to answer in, for this Accept header. Never fails: a protocol has one that every caller takes."""

    def error_body(self, error_code: str, message: str) -> tuple[bytes, str]:
        """The body of an answer that is an error, and its media type. `error_code` is MLflow's word for the kind of
        error. Never fails."""

    def codec(self, signature: Signature | None, *, frames: bool) -> Codec[Any]:
        """The codec for a model with this signature; `frames` is whether it is handed pandas frames."""
