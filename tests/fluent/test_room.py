"""Any project's environment can hold the client: it is of the standard library, and of Python 3.9."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "penstock"
# With what they stand on.
FILES = [
    *sorted((SOURCE / "fluent").rglob("*.py")),
    *sorted((SOURCE / "stand_in").rglob("*.py")),
    *sorted((SOURCE / "errors").rglob("*.py")),
    *(SOURCE / "__init__.py", SOURCE / "tracking" / "__init__.py", SOURCE / "error_text.py", SOURCE / "version.py"),
    *(SOURCE / "mlflow_credentials.py", SOURCE / "store_places.py"),
]

_IMPORT = """
import json, sys
from penstock.tracking import start_run, log_metric, search_runs
import penstock.tracking
assert "start_run" in dir(penstock.tracking)
assert "log_metric" in vars(penstock.tracking)  # a loop asks for it at every step
print(json.dumps(sorted(name.partition(".")[0] for name in sys.modules)))
print(json.dumps(sorted(name for name in sys.modules if name.startswith("penstock"))))
"""


def test_importing_the_client_imports_the_standard_library_alone() -> None:
    answer = subprocess.run([sys.executable, "-I", "-c", _IMPORT], capture_output=True, text=True, check=True)
    all_of, ours = map(json.loads, answer.stdout.splitlines())
    before = subprocess.run(
        [sys.executable, "-I", "-c", "import json, sys; print(json.dumps([n.partition('.')[0] for n in sys.modules]))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    others = set(all_of) - set(json.loads(before.stdout)) - sys.stdlib_module_names - {"penstock"}
    assert others == set()
    rooms = {name.split(".")[1] for name in ours if "." in name}
    assert rooms == {"errors", "error_text", "fluent", "mlflow_credentials", "store_places", "tracking", "version"}


def test_the_clients_syntax_is_that_of_an_old_python() -> None:
    for file in FILES:
        ast.parse(file.read_text(encoding="utf-8"), filename=str(file), feature_version=(3, 9))


_LOG_OFFLINE = """
import sys
from importlib import import_module
sys.path.insert(0, sys.argv[1])
from penstock import tracking

tracking.set_experiment("old")
with tracking.start_run(run_name="first", nested=True) as run:
    tracking.log_params({"depth": 8})
    tracking.log_metrics({"loss": 0.5}, step=1)
    tracking.log_table({"a": [1, 2]}, "table.json")
    tracking.log_dict({"a": [1]}, "d.json")
for name in dir(tracking):
    getattr(tracking, name)
for file in sys.argv[2:]:
    if not file.startswith(("penstock.stand_in.path", "penstock.stand_in.__main__")):
        import_module(file)
"""


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


def oldest_python() -> str:
    """Of those on this machine, on the path or with pyenv; the one that runs the tests where there is no other."""
    for minor in range(9, 15):
        kept = Path.home().glob(f".pyenv/versions/*/bin/python3.{minor}")
        for python in (shutil.which(f"python3.{minor}"), *map(str, kept)):
            if python and runs(python):
                return python
    return sys.executable


def runs(python: str) -> bool:
    """A name alone is none: what pyenv puts on the path fails where no such Python is chosen."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def test_an_old_python_logs_with_it(tmp_path: Path) -> None:
    """To nobody who answers, so that what it logged is in the spool, which the test delivers."""
    environ = {**os.environ, "PENSTOCK_SPOOL": str(tmp_path), "PENSTOCK_TRACKING_URI": "http://127.0.0.1:1"}
    done = subprocess.run(
        [oldest_python(), "-I", "-W", "error", "-c", _LOG_OFFLINE, str(SOURCE.parent), *map(module_of, FILES)],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (segment,) = tmp_path.iterdir()
    kinds = [next(iter(json.loads(line)[1])) for line in (segment / "records.jsonl").read_text().splitlines()[1:]]
    assert kinds.count("create") == 1
    assert kinds.count("file") == 2


def test_the_client_uses_nothing_that_came_later() -> None:
    """What a reader misses, and a syntax check, too: arguments and functions of the standard library."""
    later = ("slots=True", "kw_only=True", "zip(strict", "strict=True)", "datetime.UTC", "TypeAlias", "typing.Self")
    found = [(file.name, word) for file in FILES for word in later if word in file.read_text(encoding="utf-8")]
    assert found == []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
                assert not isinstance(node.args[1], ast.BinOp), f"{file}:{node.lineno}"
