"""A protocol whose bodies say what befalls their reader. Readers import this module: it imports little."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.errors import MalformedInput
from penstock.payload import Tensors, Violation
from penstock.signature import Signature
from penstock.wire.mlflow.codec import PredictRequest
from penstock.wire.mlflow.formats import JSON


def end_the_fork_server() -> None:
    """And every reader with it, this one too."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


@dataclass(eq=False, slots=True)
class Trap:
    """A protocol whose bodies say what befalls their reader."""

    name: str = "trap"
    readable: tuple[str, ...] = (JSON,)
    request_type: type[PredictRequest] = PredictRequest

    def answer_media(self, accept: bytes | None) -> str:
        return JSON

    def error_body(self, error_code: str, message: str, violations: Sequence[Violation] = ()) -> tuple[bytes, str]:
        return message.encode(), JSON

    def of_model(self, name: str) -> Trap:
        return self

    def codec(self, signature: Signature | None, *, frames: bool, on_loop: bool | None = None) -> Trap:
        return self

    def libraries(self, media: str, frames: bool) -> tuple[str, ...]:
        return ()

    def read(self, media: str, body: bytes) -> PredictRequest:
        actions: dict[bytes, Callable[[], Any]] = {
            b"crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
            b"spin": lambda: sum(iter(int, 1)),
            b"sleep": lambda: time.sleep(600),
            b"grow": lambda: [bytearray(1 << 20) for _ in iter(int, 1)],
            b"nest": lambda: self.read(media, body),
            b"raise": lambda: 1 / 0,
            b"environment": lambda: MalformedInput(json.dumps(dict(os.environ))),
            b"end": lambda: os._exit(0),
            b"kill the fork server": end_the_fork_server,
        }
        if isinstance(result := actions.get(body, lambda: None)(), Exception):
            raise result
        return PredictRequest(Tensors.single(np.zeros(int(body or b"0"))))

    def write(self, payload: Any, request: PredictRequest, media: str) -> tuple[bytes, str]:
        self.read(media, media.encode())
        return b"", JSON
