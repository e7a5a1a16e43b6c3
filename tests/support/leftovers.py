"""What a command that runs in this process leaves behind, and the next test would find."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_LEVELS = ("", "penstock", "uvicorn", "alembic", "urllib3")
_SIGNALS = [getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGTERM") if hasattr(signal, name)]


@contextmanager
def put_back() -> Iterator[None]:
    """Levels, handlers and signals are afterwards as they were before."""
    root = logging.getLogger()
    levels = [(logger := logging.getLogger(name), logger.level) for name in _LEVELS]
    handlers = list(root.handlers)
    signals = [(number, signal.getsignal(number)) for number in _SIGNALS]
    yield
    for logger, level in levels:
        if logger.level != level:
            logger.setLevel(level)
    # pytest's own come and go between the two.
    root.handlers[:] = [one for one in root.handlers if one in handlers or type(one) is not logging.StreamHandler]
    root.handlers += [one for one in handlers if one not in root.handlers]
    logging.captureWarnings(False)
    for number, handler in signals:
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)
