"""Run by Penstock's Python, with MLflow importable beside it: loads packages with Penstock, prints what it answers.

    python load_through_mlflow.py SITE_PACKAGES < cases.json

A case is {"package", "body"}. One line of JSON for each: "answer", or "error" and "message".
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock.flavors.code_path import lent_code
from penstock.flavors.python.mlflow_stubs import mlflow_installed
from penstock.loading import LoadOptions, load_path
from penstock.signature import conform_params
from penstock.wire.mlflow.answers import answer_value
from penstock.wire.mlflow.codec import BodyReader
from penstock.wire.mlflow.error_codes import error_code_of
from penstock.wire.mlflow.formats import JSON


def outcome(package: Path, body: Any) -> dict[str, Any]:
    try:
        loaded = load_path(package, LoadOptions(trust_code=True))
        reader = BodyReader(loaded.signature, frames=loaded.predictor.takes_frames)
        request = reader.read(JSON, json.dumps(body).encode())
        params = conform_params(loaded.signature.params if loaded.signature else (), request.params)
        value = answer_value(loaded.predictor.predict(request.payload, params))
        return {"answer": {"predictions": value} if request.wrapped else value}
    except PenstockError as error:
        cause = f"{type(error.__cause__).__module__}.{type(error.__cause__).__name__}"
        code = error_code_of(error.__cause__) or error_code_of(error)
        return {"error": type(error).__name__, "message": str(error), "cause": cause, "error_code": code}


if __name__ == "__main__":
    sys.path.append(sys.argv[1])  # last, so that everything else is what Penstock is tested with
    warnings.simplefilter("ignore")
    assert mlflow_installed()
    for case in json.load(sys.stdin):
        with lent_code(Path(case["package"])):
            print("OUTCOME " + json.dumps(outcome(Path(case["package"]), case["body"])))
