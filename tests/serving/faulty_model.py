"""A model that does what its first number says: the fault of that number in FAULTS, or twice its input for others."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np


def leaves(inputs, params):
    sys.exit(3)


def exits(inputs, params):
    os._exit(3)


def crashes(inputs, params):
    ctypes.string_at(0)


def loops(inputs, params):
    while True:
        pass


def grows(inputs, params):
    return np.ones(10 * 2**30 // 8)


def bombs(inputs, params):
    for _ in range(100_000):
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()


def floods(inputs, params):
    for _ in range(300_000):
        print("x" * 100)  # noqa: T201
    return inputs


def closes(inputs, params):
    os.closerange(3, 256)
    return inputs


def stops(inputs, params):
    os.kill(os.getpid(), signal.SIGSTOP)


def shortens(inputs, params):
    return inputs[:-1]


def bears(inputs, params):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    return np.array([float(child.pid)])


def sleeps(inputs, params):
    time.sleep(params["seconds"])
    return inputs


def raises(inputs, params):
    raise ValueError("not these numbers")


def tells(inputs, params):
    return np.array([float(os.getpid())])


def talks(inputs, params):
    print("hello\x1b[31m from the model")  # noqa: T201
    return inputs


FAULTS = [
    leaves, exits, crashes, loops, grows, bombs, floods, closes, stops, shortens, bears, sleeps, raises, tells, talks
]  # fmt: skip


def predict(inputs, params):
    number = int(inputs.ravel()[0])
    return FAULTS[-number - 1](inputs, params) if number < 0 else inputs * 2
