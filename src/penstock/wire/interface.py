"""What every protocol offers: its bytes to payloads, and payloads to its bytes.

A server asks a `WireProtocol` what a request's headers mean before it knows the model, and for a `Codec` once it does.
What a protocol wants to remember between reading a body and writing its answer stands in its own kind of request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeAlias, TypeVar

from penstock.payload import Payload, Violation
from penstock.signature import Signature

# What was ignored in a request: its kind and its name.
Ignored: TypeAlias = Sequence[tuple[str, str]]
PARAM, KEY, COLUMN = "param", "key", "column"


def with_params(ignored: Ignored, names: Iterable[str]) -> Ignored:
    """The same and params of these names, which the model does not have."""
    return (*((PARAM, name) for name in names), *ignored)


@dataclass(slots=True)
class DecodedRequest:
    """A body as the model should get it: a conformed payload, and params as they were sent. `ignored` is what in it
    means nothing to the model or the protocol."""

    payload: Payload
    params: Any = None
    ignored: Ignored = ()

    def state(self) -> dict[str, Any]:
        """What the protocol remembers beside these two: plain values by name, which the class takes again."""
        return {field.name: getattr(self, field.name) for field in fields(self)[2:]}


# The longest body, in bytes, that an event loop looks at.
MAX_ON_LOOP = 256 * 1024


class ReadElsewhere(Exception):
    """To read this body, or to write this answer, may take longer than an event loop has time for."""


R = TypeVar("R", bound=DecodedRequest)


class Codec(Protocol[R]):
    """One protocol's bytes to payloads and back, for one model."""

    @property
    def request_type(self) -> type[R]:
        """What `read` returns: made of a payload, params, and what its `state` gives."""

    def read(self, media: str, body: bytes) -> R:
        """A body of a media type that the protocol reads. Raises MalformedInput, SchemaViolation, UnsupportedMedia;
        ReadElsewhere from a codec for an event loop."""

    def write(self, payload: Payload, request: R, media: str) -> tuple[bytes, str]:
        """The answer to a request that was read here, and its media type, which is another than `media` where the
        answer has no such form. Raises AnswerUnserializable; ReadElsewhere from a codec for an event loop."""


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

    def error_body(self, error_code: str, message: str, violations: Sequence[Violation] = ()) -> tuple[bytes, str]:
        """The body of an answer that is an error, and its media type. `error_code` is MLflow's word for the kind of
        error, `violations` are the cells that do not fit, where that is it. Never fails."""

    def of_model(self, name: str) -> WireProtocol:
        """The protocol as it is for one model: itself, unless its options differ by model."""

    def codec(self, signature: Signature | None, *, frames: bool, on_loop: bool | None = None) -> Codec[Any]:
        """The codec for a model with this signature; `frames` is whether it is handed pandas frames, `on_loop` whether
        it is for an event loop: as the protocol was made for, where nothing is said."""

    def libraries(self, media: str, frames: bool) -> Collection[str]:
        """The modules that reading a body of this type always imports."""


@dataclass(frozen=True, eq=False, slots=True)
class CodecSpec:
    """What a codec is made of, for a process that makes it again."""

    protocol: WireProtocol
    signature: Signature | None
    frames: bool
