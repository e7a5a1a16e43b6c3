"""The program in a model process: loads and proves one package, then answers until the socket ends."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import platform
import socket
import sys
from contextlib import ExitStack, suppress
from typing import NoReturn

from penstock.machine.throttle import is_throttled
from penstock.model_process.protocol.messages import Frame, Incoming, Kind, Malformed, encode
from penstock.model_process.protocol.remote_errors import describe
from penstock.model_process.protocol.startup import ModelStarted, Opened, StartModel, dump, parse


def main(control: int, throttling: ExitStack) -> NoReturn:
    """`throttling` is left when the package is loaded and proven."""
    os.set_inheritable(control, False)
    sock = socket.socket(fileno=control)
    for number, name in ((1, "stdout"), (2, "stderr")):  # anew, since the files behind them are others now
        stream = os.fdopen(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    faulthandler.enable()  # where it crashed goes to the log
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.captureWarnings(True)
    code = 1
    with suppress(OSError):  # the gateway is gone, and so is what there was to do
        code = _run(sock, throttling)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # threads that the model left running hold nothing up


def _run(sock: socket.socket, throttling: ExitStack) -> int:
    incoming = Incoming()
    begin = _first(sock, incoming)
    if begin is None:
        return 0
    try:
        _limit(begin)
        from penstock.loading import LoadOptions, load_package
        from penstock.model_process.program.service import PredictionService
        from penstock.package import PackagedModel

        package = PackagedModel.open(begin.path)
        _send(sock, Kind.OPENED, dump(Opened(package.digest)))
        options = LoadOptions(begin.trust_code, begin.strict_env, begin.flavor or None, begin.threads)
        loaded = load_package(package, options)
        proof, predictor = loaded.proof, loaded.predictor
        started = ModelStarted(
            proof.repeats,
            proof.unjoined,
            proof.warnings,
            predictor.takes_frames,
            platform.python_version(),
            proof.not_lean,
        )
        service = PredictionService(sock, incoming, predictor, begin.slots if proof.unjoined else 1, begin.memory_limit)
    except BaseException as error:
        _send(sock, Kind.FAILED, describe(_in_words(error, begin)))
        return 1
    # What is found to be garbage goes; where others are served meanwhile, only what is young, since looking at
    # everything is a tenth of a second's work in one piece.
    gc.collect(1 if is_throttled() else 2)
    gc.freeze()  # what is loaded stays, and is not looked through again and again
    throttling.close()
    _send(sock, Kind.STARTED, dump(started))
    service.run()
    predictor.close()
    return 0


def _first(sock: socket.socket, incoming: Incoming) -> StartModel | None:
    frames: list[Frame] = []
    while not frames:
        count = sock.recv_into(incoming.room())
        if not count:
            return None
        frames = incoming.filled(count)
    if frames[0].kind is not Kind.START or len(frames) > 1:
        raise Malformed(f"{frames[0].kind.name} instead of START")
    begin = parse(StartModel, frames[0].note)
    if begin.import_path:
        sys.path[:] = begin.import_path
    return begin


def _limit(begin: StartModel) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if begin.memory_limit:
        # Not the address space (RLIMIT_AS): thread pools and mapped files reserve gigabytes of that and use little.
        resource.setrlimit(resource.RLIMIT_DATA, (begin.memory_limit, begin.memory_limit))


def _in_words(error: BaseException, begin: StartModel) -> BaseException:
    from penstock.machine.memory import out_of_memory

    return out_of_memory(error, begin.memory_limit) or error


def _send(sock: socket.socket, kind: Kind, note: bytes) -> None:
    for piece in encode(kind, note=note):
        sock.sendall(piece)
