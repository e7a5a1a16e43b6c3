"""Images: one by its name, or a series of them by key and step, which consoles show as a strip.

The files of a series are named as MLflow's client names them, since that is how its page finds them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from penstock.errors import DependencyMissing, TrackingInvalid
from penstock.fluent.artifacts import log_content
from penstock.fluent.logged import set_tags
from penstock.fluent.runs import now_ms

_IMAGES_TAG = "mlflow.loggedImages"
_KEY = re.compile(r"[a-zA-Z0-9_\-./ ]+")
# A small copy, for pages that show many: no side of it is longer.
_SMALL = 256


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = False,
    run_id: str | None = None,
) -> None:
    """An image of Pillow, or an array: two axes, or three of which the last has 1, 3 or 4 colours, of whole numbers up
    to 255 or of fractions up to 1. `artifact_file` is its name, whose ending is the format; `key`, with `step` and
    `timestamp`, is for one of a series. Needs Pillow. Raises TrackingInvalid, and DependencyMissing."""
    if (artifact_file is None) == (key is None):
        raise TrackingInvalid("Give artifact_file, or the key of a series, and not both.", field="artifact_file")
    if artifact_file is not None and (step is not None or timestamp is not None):
        raise TrackingInvalid("step and timestamp go with key.", field="step")
    picture = as_picture(image)
    if artifact_file is not None:
        log_content(artifact_file, saved_as(picture, artifact_file.rpartition(".")[2]), run_id)
        return
    if not _KEY.fullmatch(str(key)):
        raise TrackingInvalid(
            f"{key!r} is no key for images.",
            hint="Keys have letters, digits, _, -, ., spaces and slashes.",
            field="key",
        )
    at = now_ms() if timestamp is None else int(timestamp)
    name = f"images/{str(key).replace('/', '~')}+step+{int(step or 0)}+timestamp+{at}+{uuid.uuid4()}"
    log_content(f"{name}.png", saved_as(picture, "png"), run_id)
    log_content(f"{name}+compressed.webp", saved_as(small(picture), "webp"), run_id)
    set_tags({_IMAGES_TAG: True}, run_id=run_id)


def is_picture(value: Any) -> bool:
    """Whether it is an image of Pillow, or works as one."""
    return all(callable(getattr(value, name, None)) for name in ("save", "resize")) and hasattr(value, "size")


def as_picture(image: Any) -> Any:
    """Of Pillow. Raises TrackingInvalid for what is no image."""
    if is_picture(image):
        return image
    if not all(hasattr(image, name) for name in ("dtype", "ndim", "shape")):
        raise TrackingInvalid(
            f"{type(image).__name__} is no image.", hint="Give an array of NumPy, or an image of Pillow.", field="image"
        )
    colours = image.shape[2] if image.ndim == 3 else 1
    if image.dtype.kind not in "biuf" or image.ndim not in (2, 3) or colours not in (1, 3, 4):
        raise TrackingInvalid(
            f"An array of {image.dtype} with shape {tuple(image.shape)} is no image.",
            hint="It has two axes, or three of which the last has 1, 3 or 4 colours, and holds numbers.",
            field="image",
        )
    try:
        pillow = import_module("PIL.Image")
    except ImportError as error:
        raise DependencyMissing("Logging an array as an image needs Pillow.", hint="pip install pillow") from error
    flat = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return pillow.fromarray(_bytes_of(flat))


def small(picture: Any) -> Any:
    """Its copy for pages, the longer side of which has 256 pixels."""
    width, height = picture.size
    scale = _SMALL / max(width, height)
    return picture.resize((max(int(width * scale), 1), max(int(height * scale), 1)))


def saved_as(picture: Any, ending: str) -> Callable[[Path], Any]:
    """Writes it to a place whose own name has no ending."""
    kind = {"jpg": "jpeg", "tif": "tiff"}.get(ending.lower(), ending.lower())
    return lambda place: picture.save(str(place), format=kind)


def _bytes_of(array: Any) -> Any:
    """Whole numbers as they are, fractions of 1, scaled where they are of something else."""
    low, high = array.min(), array.max()
    if array.dtype.kind in "iu":
        if low < 0 or high > 255:
            raise TrackingInvalid(
                f"The image has values from {low} to {high}.", hint="Whole numbers go from 0 to 255.", field="image"
            )
        return array.astype("uint8")
    if array.dtype.kind == "f" and (low < 0 or high > 1):
        array = (array - low) / (high - low)
    return (array * 255).astype("uint8")
