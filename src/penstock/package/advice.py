"""What to do about a model that fails while its package is tried: the exception names a file or a key, and the remedy
is an option of the packager's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.errors import PackagingFailed, PenstockError, PredictError, Remedy, remedy
from penstock.package.likely_cause import date_texts
from penstock.package.needs.own_files import written
from penstock.payload import Payload, Table


@contextmanager
def advised(near: Sequence[Path], shown: Payload | None, params: Mapping[str, Any]) -> Iterator[None]:
    """Gives an error in this block the hint that goes with its cause, where there is one. Raises PackagingFailed."""
    try:
        yield
    except PenstockError as error:
        found = _advice(error, near, shown, params)
        if found is None or error.hint:
            raise
        hint, key = found
        raise PackagingFailed(error.message, hint=hint, remedy=key) from error


def _advice(
    error: PenstockError, near: Sequence[Path], shown: Payload | None, params: Mapping[str, Any]
) -> tuple[str, Remedy] | None:
    cause = _cause(error)
    predicting = isinstance(error.__cause__, PredictError)
    if isinstance(cause, FileNotFoundError) and cause.filename is not None:
        return _of_file(Path(str(cause.filename)), near)
    if isinstance(cause, KeyError) and cause.args and isinstance(key := cause.args[0], str) and key.isidentifier():
        if not predicting:
            return (
                f"If {key} is a file that the model finds as context.artifacts[{key!r}], give it: "
                f"artifacts={{{key!r}: 'FILE'}}",
                remedy("give_artifact", name=key),
            )
        names = shown.names or () if isinstance(shown, Table) else ()
        if key not in names and key not in params:
            return (
                f"If {key} is a param of the model, give its default: params={{{key!r}: 1.0}}",
                remedy("give_param", name=key),
            )
    if predicting and shown is not None and (dates := date_texts(shown)):
        named = ", ".join(map(str, dates))
        return (
            f"The dates in {named} are text in the example. If the model takes them as dates, say so: "
            f"datetimes={list(map(str, dates))!r}",
            remedy("datetimes", columns=named, flags=" ".join(f"--datetime {name}" for name in dates)),
        )
    return None


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, PenstockError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _of_file(missing: Path, near: Sequence[Path]) -> tuple[str, Remedy]:
    """A package has what it is given, wherever the file lies here."""
    place = next((folder / missing.name for folder in near if (folder / missing.name).exists()), missing)
    name = place.stem if place.stem.isidentifier() else "file"
    path = written(place) if place.exists() else missing.name
    return (
        f"A package has only the files that it is given. Give it as an artifact, artifacts={{{name!r}: {path!r}}}, "
        f"which a class Model finds in load(context) as context.artifacts[{name!r}]; or as code=[{path!r}], which the "
        f"code finds beside itself: Path(__file__).parent / {place.name!r}.",
        remedy("data_file", name=name, path=path, file=place.name),
    )
