"""Packages that do harm while they are loaded, for tests of what comes before a load."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import numpy as np

from penstock.package.save import save_model

Harm = Literal["crash", "hang", "spin", "bomb", "exit"]

_GOOD = "def predict(inputs, params):\n    return inputs * 2\n"

HARMS: dict[Harm, str] = {
    "crash": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "hang": "import time\ntime.sleep(3600)\n",
    "spin": "while True:\n    pass\n",
    "bomb": "held = []\nwhile True:\n    held.append(bytearray(64 << 20))\n",
    "exit": "import os\nos._exit(3)\n",
}


def good_package(place: Path) -> Path:
    """A package whose code doubles arrays (-1, 2)."""
    place.parent.mkdir(parents=True, exist_ok=True)
    source = place.with_suffix(".py")
    source.write_text(_GOOD)
    return save_model(source, place, example=np.array([[1.0, 2.0], [3.0, 4.0]])).path


def harmful(good: Path, place: Path, harm: Harm) -> Path:
    """The same package, not sealed, with code that does this before it defines anything."""
    shutil.copytree(good, place)
    (place / "SHA256SUMS").unlink()
    (place / "model.py").write_text(HARMS[harm] + _GOOD)
    return place
