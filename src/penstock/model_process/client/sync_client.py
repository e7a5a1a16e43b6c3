"""A package's predictor in processes of its own, for callers that wait: scoring files, verifying, loading in Python."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from penstock.artifacts import hold
from penstock.errors import ModelProcessLost, PenstockError
from penstock.flavors import Predictor
from penstock.loading import LoadedModel, LoadOptions
from penstock.machine.interpreters import Interpreter
from penstock.model_process.client.package_process import PackageStarter, proof_of
from penstock.model_process.client.start import Started
from penstock.model_process.protocol.json_values import pack
from penstock.model_process.protocol.messages import Buffer, Frame, Kind, Malformed, encode
from penstock.model_process.protocol.payload_values import decode
from penstock.model_process.protocol.payload_values import encode as encode_payload
from penstock.model_process.protocol.remote_errors import rebuild
from penstock.package import PackagedModel
from penstock.payload import Params, Payload

log = logging.getLogger("penstock.model")


def load_apart(package: PackagedModel, options: LoadOptions, interpreter: Interpreter) -> LoadedModel:
    """Loads and proves a package in a process of its own; it stays in its cache from now on, for processes that are
    started later. Raises what load_path raises, and ModelProcessLost."""
    starter = PackageStarter(package, options, interpreter, package.path.name, digest=package.digest)
    held = hold(package.path)
    try:
        first = starter.start()
    except BaseException:
        held.close()
        raise
    model = first.model
    for warning in model.warnings:
        log.warning("%s: %s", package.path.name, warning)
    predictor = RemotePredictor(first, starter.start)
    predictor.takes_frames, predictor.joinable = model.takes_frames, not model.unjoined
    return LoadedModel(package, predictor, proof_of(model), options.flavor, hold=held)


class RemotePredictor(Predictor):
    """Asks processes, each one question at a time. Several threads that predict at once have one each: another is
    started where all are busy."""

    parallel = True
    apart = True
    cyclic = False  # nothing of the model is in this process

    def __init__(self, started: Started, start: Callable[[], Started]) -> None:
        self._start = start
        # The whole mutable state: all processes, those that wait for a question, and whether it is over.
        self._all = [started]
        self._free: queue.LifoQueue[Started] = queue.LifoQueue()
        self._free.put(started)
        self._closed = False
        self._lock = threading.Lock()

    def _predict(self, payload: Payload, params: Params) -> Payload:
        """Raises what the model's predictor raises, ModelProcessLost, and AnswerUnserializable for what cannot be
        sent."""
        plan, body = encode_payload(payload)
        question = encode(Kind.PREDICT, plan=plan, note=b"" if params is None else pack(dict(params)), body=body)
        started = self._take()
        try:
            answer = _ask(started, question)
        except BaseException:
            self._drop(started)
            raise
        self._free.put(started)
        if isinstance(answer, PenstockError):
            raise answer
        return answer

    def _take(self) -> Started:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            started = self._start()
        with self._lock:
            closed = self._closed
            self._all.append(started)
        if closed:
            self._drop(started)
            raise ModelProcessLost("The model processes have been closed.")
        return started

    def _drop(self, started: Started) -> None:
        with self._lock:
            self._all = [each for each in self._all if each is not started]
        started.process.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            ended, self._all = self._all, []
        for started in ended:
            started.process.close()

    def __repr__(self) -> str:
        return f"<RemotePredictor {len(self._all)} processes>"


def _ask(started: Started, question: list[Buffer]) -> Payload | PenstockError:
    """The answer, or the error that is the answer. Raises ModelProcessLost."""
    sock = started.process.sock
    try:
        sock.setblocking(True)
        for piece in question:
            sock.sendall(piece)
        frames: list[Frame] = []
        while not frames:
            count = sock.recv_into(started.incoming.room())
            if not count:
                raise EOFError
            frames = started.incoming.filled(count)
        return _answer(frames)
    except ValueError as error:
        raise ModelProcessLost(f"The model process sent an invalid message: {error}.") from None
    except (EOFError, OSError):
        raise ModelProcessLost(f"The model process {started.process.ended.result(timeout=10)}.") from None


def _answer(frames: list[Frame]) -> Payload | PenstockError:
    """Raises ValueError."""
    frame = frames[0]
    if len(frames) > 1 or frame.kind not in (Kind.ANSWER, Kind.ERROR):
        raise Malformed("an answer to an unknown request")
    return decode(frame.plan, frame.body or bytearray()) if frame.kind is Kind.ANSWER else rebuild(frame.note)
