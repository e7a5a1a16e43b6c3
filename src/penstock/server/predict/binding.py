"""One version as one protocol shows it: made at the first request, found by all others with one look into a dict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.metrics import Distribution, Number
from penstock.serving.servable import Servable
from penstock.wire.interface import Codec, CodecSpec, WireProtocol


@dataclass(frozen=True, slots=True)
class Binding:
    """The codec and what it is made of, the headers that name the version, also as the bytes that they become, and the
    metrics that every answered request counts in. Nothing of it leads back to the servable, which keeps it: a ring
    would outlive both."""

    codec: Codec[Any]
    spec: CodecSpec
    headers: tuple[tuple[bytes, bytes], ...]
    header_lines: bytes
    succeeded: Number
    request_seconds: Distribution
    decode: Distribution
    queue: Distribution
    predict: Distribution
    encode: Distribution


def bind(servable: Servable, protocol: WireProtocol) -> Binding:
    """Makes the servable's binding for this protocol, and leaves it in `servable.bindings`, where requests find it."""
    headers = ((b"x-model-name", _printable(servable.model)), (b"x-model-version", _printable(servable.version)))
    spec = CodecSpec(protocol, servable.signature, servable.loaded.takes_frames)
    made = Binding(
        protocol.codec(spec.signature, frames=spec.frames),
        spec,
        headers,
        b"".join(b"%b: %b\r\n" % pair for pair in headers),
        servable.metrics.outcomes[protocol.name, "ok"],
        servable.metrics.request_seconds[protocol.name],
        **servable.metrics.stages,
    )
    servable.bindings[protocol] = made
    return made


def _printable(text: str) -> bytes:
    """Text as a header may hold it: names come from directories and registries, which may allow more."""
    return "".join(c if c.isprintable() and ord(c) < 128 else "?" for c in text).encode()
