"""Questions in, answers out: one thread reads at a time, predicts what it read, and the next one reads on."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from time import perf_counter

from penstock.errors import AnswerUnserializable
from penstock.flavors import Predictor
from penstock.host.failures import describe
from penstock.host.memory import out_of_memory
from penstock.host.messages import Buffer, Frame, Incoming, Kind, Malformed, encode
from penstock.host.payloads import decode
from penstock.host.payloads import encode as encode_payload
from penstock.host.values import unpack


class Service:
    """Answers on a socket, up to `slots` questions at once.

    No thread hands work to another one: who has read a question answers it, so a lone question costs no hop.
    """

    def __init__(
        self, sock: socket.socket, incoming: Incoming, predictor: Predictor, slots: int, memory_limit: int = 0
    ) -> None:
        self._sock = sock
        self._incoming = incoming
        self._predictor = predictor
        self._slots = slots
        self._memory_limit = memory_limit
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._counting = threading.Lock()
        # The whole mutable state: questions that came together and threads beside the main one, both changed by
        # whoever reads; how many threads are at work.
        self._ready: deque[Frame] = deque()
        self._threads: list[threading.Thread] = []
        self._busy = 0

    def run(self) -> None:
        """Until the socket ends and everything is answered."""
        self._work()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (frame := self._next()) is not None:
            self._answer(frame)
            with self._counting:
                self._busy -= 1

    def _next(self) -> Frame | None:
        with self._reading:
            while not self._ready:
                count = self._sock.recv_into(self._incoming.room())
                if not count:
                    return None
                self._ready.extend(self._incoming.filled(count))
            with self._counting:
                self._busy += 1
            if self._busy > len(self._threads) and len(self._threads) < self._slots - 1:
                thread = threading.Thread(target=self._work, daemon=True)
                self._threads.append(thread)
                thread.start()
            return self._ready.popleft()

    def _answer(self, frame: Frame) -> None:
        try:
            if frame.kind is not Kind.PREDICT or frame.body is None:
                raise Malformed(f"{frame.kind.name} where a question was expected")
            payload = decode(frame.plan, frame.body, question=True)
            params = unpack(frame.note) if frame.note else None
            began = perf_counter()
            answer = self._predictor.predict(payload, params)
            seconds = perf_counter() - began
            plan, body = encode_payload(answer)
            pieces = encode(Kind.ANSWER, frame.id, plan=plan, body=body, seconds=seconds)
        except Malformed:
            error = AnswerUnserializable("The model's answer is larger than a model process may give.")
            pieces = encode(Kind.ERROR, frame.id, note=describe(error))
        except BaseException as error:
            told = out_of_memory(error, self._memory_limit) or error
            pieces = encode(Kind.ERROR, frame.id, note=describe(told))
        self._send(pieces)

    def _send(self, pieces: list[Buffer]) -> None:
        try:
            with self._writing:
                for piece in pieces:
                    self._sock.sendall(piece)
        except OSError:  # the gateway is gone, or the model has closed the socket: no answer can be given any more
            os._exit(1)
