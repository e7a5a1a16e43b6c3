"""Files that hold a fitted estimator, read and written: skops, whose types are known before anything is made, and
pickles, which run code.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

from penstock.error_text import text_of
from penstock.errors import ArtifactInvalid, CodeNotTrusted, PackagingFailed, remedy
from penstock.flavors.interface import need
from penstock.flavors.missing_code import missing_code
from penstock.flavors.sklearn.light_import import import_lightly
from penstock.flavors.sklearn.skops_archive import SCHEMA, for_skops, open_archive, read_schema
from penstock.flavors.sklearn.skops_reader import read_usual
from penstock.flavors.sklearn.trusted_types import TRUSTED_TYPES, untrusted
from penstock.payload import clipped, kind_and_text


def skops_types(path: Path) -> list[str]:
    """The types in a skops file that skops itself does not trust. Reads the description alone, constructs nothing."""
    import_lightly()
    io = need("skops.io", "sklearn", purpose="A skops file")
    try:
        return list(io.get_untrusted_types(data=without_arrays(path)))
    except ArtifactInvalid:
        raise
    except Exception as error:  # a damaged archive fails in many ways
        raise ArtifactInvalid(f"{path.name} is damaged or not a skops file: {clipped(text_of(error), 200)}.") from error


def without_arrays(path: Path) -> bytes:
    """A skops file with its description, and every array in it empty: skops would read hundreds of megabytes to list
    the types, none of which are in the arrays."""
    import zipfile

    made = BytesIO()
    with open_archive(path) as whole, zipfile.ZipFile(made, "w") as described:
        for name in dict.fromkeys(whole.namelist()):
            described.writestr(name, read_schema(whole) if name == SCHEMA else b"")
    return made.getvalue()


def load_skops(path: Path, trusted: bool) -> Any:
    """skops checks the types as it loads; what it need not be imported for is checked before it is made."""
    import_lightly()
    if (found := _read_quietly(path)) is not None:
        return found
    types = skops_types(path) if trusted else sorted(TRUSTED_TYPES)
    io = need("skops.io", "sklearn", purpose="A skops file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other scikit-learn versions are reported once, by the environment check
            return io.load(for_skops(path), trusted=types)
    except ArtifactInvalid:
        raise
    except need("skops.io.exceptions", "sklearn", purpose="A skops file").UntrustedTypesFoundException:
        unknown = ", ".join(untrusted(skops_types(path)))
        raise CodeNotTrusted(f"{path.name} contains unreviewed types: {unknown}.") from None
    except Exception as error:
        raise ArtifactInvalid(f"{path.name} cannot be loaded: {kind_and_text(error, 200)}.") from error


def _read_quietly(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other scikit-learn versions are reported once, by the environment check
        return read_usual(path)


def load_pickle(path: Path, trusted: bool) -> Any:
    if not trusted:
        raise CodeNotTrusted(f"{path.name} is a pickle; loading a pickle runs the code inside.")
    import_lightly()
    joblib = need("joblib", "sklearn", purpose="A pickled scikit-learn model")  # reads plain pickles too
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return joblib.load(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() in a pickle must not end the server
        if (missing := missing_code(error, path.name)) is not None:
            raise missing from error
        raise ArtifactInvalid(f"{path.name} is damaged or not a pickle: {kind_and_text(error, 200)}.") from error


def dump_skops(estimator: Any, path: Path) -> list[str]:
    """Returns the types beyond skops' defaults, for the manifest. Raises PackagingFailed."""
    io = need("skops.io", "sklearn", purpose="Writing a skops file")
    try:
        io.dump(estimator, path)
    except Exception as error:
        raise PackagingFailed(
            f"skops cannot store this {type(estimator).__name__}: {clipped(text_of(error), 200)}.",
            hint="Package it as a pickle (format cloudpickle); serving it then needs trust_code.",
            remedy=remedy("pickle"),
        ) from error
    return skops_types(path)


def read_estimator(path: Path) -> Any:
    """An estimator from the user's own .joblib, .pkl or .skops file; a pickle runs its code.

    Raises ArtifactInvalid, PackagingFailed.
    """
    if not path.is_file():
        raise PackagingFailed(f"There is no file {path}.")
    estimator = load_skops(path, trusted=True) if path.suffix == ".skops" else load_pickle(path, trusted=True)
    if not hasattr(estimator, "get_params"):
        raise PackagingFailed(f"{path} holds a {type(estimator).__name__}, not a scikit-learn estimator.")
    return estimator


def dump_pickle(estimator: Any, path: Path) -> None:
    """Raises PackagingFailed."""
    cloudpickle = need("cloudpickle", "sklearn", purpose="Writing a pickle")
    try:
        path.write_bytes(cloudpickle.dumps(estimator))
    except OSError:
        raise
    except Exception as error:
        raise PackagingFailed(
            f"This {type(estimator).__name__} cannot be pickled: {clipped(text_of(error), 200)}."
        ) from error
