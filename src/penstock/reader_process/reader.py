"""The program of one reader: takes a task, does it within its limits, and hands over the result. One at a time.

Limits are the system's: what takes more processor time than it may is ended by a signal, what takes more memory is
refused it. The gateway watches the time as well, and is not trusted with more than that.
"""

from __future__ import annotations

import gc
import math
import os
import pickle
import resource
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from time import process_time
from typing import Any, NoReturn

from penstock.errors import AnswerUnserializable, MalformedInput
from penstock.machine.memory import data_bytes, resident_bytes
from penstock.machine.memory_file import Buffer, MemoryFile
from penstock.model_process.protocol.json_values import pack
from penstock.model_process.protocol.payload_values import decode, encode
from penstock.model_process.protocol.remote_errors import describe
from penstock.reader_process.limits import ReaderLimits
from penstock.reader_process.messages import LIBRARIES, Outcome, ReaderTask, packed, parse, receive, send
from penstock.signature import conform_params, unknown_params
from penstock.wire.content_encoding import unpack
from penstock.wire.interface import Codec, CodecSpec, with_params

# One that has grown by so much, or knows so many codecs, hands its memory back by ending.
_GROWN = 64 << 20
_MAX_CODECS = 256


def read_forever(sock: socket.socket) -> NoReturn:
    """Until the gateway closes the socket, or this process has grown."""
    gc.disable()  # which would look at millions of cells again and again; a reader that has grown ends anyway
    reader = Reader(sock)
    while reader.take_task():
        pass
    os._exit(0)


class Reader:
    """One reader on a socket. `codecs` that it has been told are kept."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._began = resident_bytes(os.getpid())
        # The whole mutable state.
        self._codecs: dict[int, tuple[Codec[Any], CodecSpec]] = {}

    def take_task(self) -> bool:
        """Waits for a task and does it. False when there will be no further one."""
        received = receive(self._sock)
        if received is None:
            return False
        packet, files = received
        task = parse(ReaderTask, packet)
        *specs, given = files
        for spec in specs:
            self._learn(task.codec, spec.read())
        result = MemoryFile()
        began, known = process_time(), _libraries()
        outcome = self._do(task, given, result)
        retiring = resident_bytes(os.getpid()) > self._began + _GROWN or len(self._codecs) > _MAX_CODECS
        seconds, imported = process_time() - began, tuple(_libraries() - known)
        outcome = replace(outcome, seconds=seconds, retiring=retiring, imported=imported)
        result.seal()
        send(self._sock, packed(outcome), [result.fd])
        return not retiring

    def _learn(self, number: int, text: bytes) -> None:
        spec: CodecSpec = pickle.loads(text)  # from the gateway, which is trusted; nothing goes back this way
        self._codecs[number] = spec.protocol.codec(spec.signature, frames=spec.frames, on_loop=False), spec

    def _do(self, task: ReaderTask, given: MemoryFile, result: MemoryFile) -> Outcome:
        codec, spec = self._codecs[task.codec]
        limits = ReaderLimits(task.timeout, task.memory)
        size = given.size
        _limit(limits, task.max_bytes if task.encodings else size, limits.memory if task.kind == "write" else None)
        try:
            if task.kind == "write":
                return _write(codec, task, given, result)
            body = given.read()
            given.close()
            if task.encodings:
                body = unpack(body, task.encodings, task.max_bytes)
                size = len(body)
                _limit(limits, size)
            request = codec.read(task.media, body)
            params = spec.signature.params if spec.signature else ()
            if request.params:
                request.ignored = with_params(request.ignored, unknown_params(params, request.params))
            request.params = conform_params(params, request.params)
            try:
                plan, pieces = encode(request.payload, question=True, rest=lambda: None)
            except AnswerUnserializable:  # which is what values without a form are called on the way back
                raise MalformedInput(
                    "The body has a column of values that no model can be handed, as calendar intervals.",
                    hint="Send numbers, text, booleans or moments.",
                ) from None
            return _hand_over(result, pieces, plan, pack([request.params, request.state()]), size)
        except MemoryError:
            return replace(_failed(result, MemoryError(), size), out_of_memory=True)  # the gateway has words for it
        except RecursionError:
            return _failed(result, MalformedInput("The body is nested too deeply."), size)
        except Exception as error:
            return _failed(result, error, size)


def _libraries() -> set[str]:
    return {name for name in LIBRARIES if name in sys.modules}


def _write(codec: Codec[Any], task: ReaderTask, given: MemoryFile, result: MemoryFile) -> Outcome:
    data = memoryview(given.map())
    arrays = len(data) - task.plan
    payload = decode(bytes(data[arrays:]), data[:arrays], question=True)
    request = codec.request_type(payload, None, **task.state)
    content, media = codec.write(payload, request, task.media)
    return _hand_over(result, [content], b"", pack(media), len(content))


def _hand_over(result: MemoryFile, pieces: Sequence[Buffer], plan: bytes, note: bytes, size: int) -> Outcome:
    result.write([*pieces, plan, note])
    return Outcome(False, len(plan), len(note), size)


def _failed(result: MemoryFile, error: Exception, size: int) -> Outcome:
    note = describe(error)
    result.write([note])
    return Outcome(True, 0, len(note), size)


def _limit(limits: ReaderLimits, size: int, memory: int | None = None) -> None:
    """What a task with a body of this size may take, from now on; of `memory`, where that does not follow from it."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(process_time() + limits.seconds(size)) + 1, most))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes() + (memory or limits.bytes(size)), most))
