"""Run by the MLflow environment's Python: loads packages with MLflow, prints what its scoring server would answer.

    python ask_mlflow.py PACKAGE…

One line of JSON for each package: the answer to its own example, through MLflow's parsing and its enforcement. Where
the package has a flavor of its own beside python_function, that one must load, too.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path


def ask(package: Path) -> object:
    from mlflow.pyfunc import load_model
    from mlflow.pyfunc.scoring_server import invocations

    model = load_model(str(package))
    for flavor in model.metadata.flavors.keys() - {"python_function"}:
        import_module(f"mlflow.{flavor}").load_model(str(package))
    body = (package / "serving_input_example.json").read_text()
    answered = invocations(body, "application/json", model, model.metadata.get_input_schema())
    return json.loads(answered.response) if answered.status == 200 else {"failed": answered.response}


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print("ANSWER " + json.dumps(ask(Path(argument))))
