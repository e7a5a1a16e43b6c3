"""A package made of a Python file: the file, its artifacts, and the loader for MLflow."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import PackagingFailed, remedy
from penstock.flavors.code_path import CODE
from penstock.flavors.interface import FlavorOptions, Written
from penstock.flavors.pins import pins
from penstock.flavors.python import source_file
from penstock.manifest import PYTHON_FUNCTION

OWN_LOADER = "penstock_loader"
SOURCE = "model.py"
# Frames are pandas', the loader reads YAML. What the model itself needs is seen when it is tried.
_LOADING_NEEDS = ("PyYAML", "numpy", "pandas")


@dataclass(frozen=True, slots=True)
class PythonOptions(FlavorOptions):
    """`entry` is the function or class in the file (default: predict, else Model), `artifacts` are files or directories
    by the name that the code finds them under, `config` what a class finds as context.model_config."""

    entry: str | None = None
    artifacts: Mapping[str, str | Path] | None = None
    config: Mapping[str, Any] | None = None


def write_source(source: Path, directory: Path, options: PythonOptions) -> Written:
    """Raises PackagingFailed where something is missing or two things have one name."""
    if source.suffix != ".py" or not source.is_file():
        raise PackagingFailed(f"{source} is not a Python file.")
    _check_source(source)
    shutil.copyfile(source, directory / SOURCE)
    (directory / CODE).mkdir()
    shutil.copyfile(source_file.__file__, directory / CODE / f"{OWN_LOADER}.py")
    places: dict[str, dict[str, str]] = {}
    for name, path in ((name, Path(given)) for name, given in (options.artifacts or {}).items()):
        if not name.isidentifier():
            raise PackagingFailed(f"An artifact's name must be an identifier, not {name!r}.")
        (directory / "artifacts" / name).mkdir(parents=True)
        _copy(path, directory / "artifacts" / name / path.name)
        places[name] = {"path": f"artifacts/{name}/{path.name}", "uri": path.name}
    settings: dict[str, Any] = {
        "loader_module": OWN_LOADER,
        "code": CODE,
        "source": SOURCE,
        "predict_fn": "predict",
    }
    if options.entry:
        settings["entry"] = options.entry
    if places:
        settings["artifacts"] = places
    if options.config:
        settings["config"] = dict(options.config)
    return Written(flavors={PYTHON_FUNCTION: settings}, requirements=pins(*_LOADING_NEEDS))


def _check_source(source: Path) -> None:
    """Raises PackagingFailed."""
    try:
        tree = ast.parse(source.read_bytes(), str(source))
    except (SyntaxError, ValueError) as error:
        raise PackagingFailed(f"{source} is not valid Python: {error}.") from None
    _check_second_argument(source, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            written = f"from {'.' * node.level}{node.module or ''} import"
            raise PackagingFailed(
                f"{source} has `{written} …` in line {node.lineno}, but it is run by itself, outside of any package.",
                hint=f"Write `from {node.module or 'PACKAGE'} import …`, without the dot, and give that module, or its "
                "package, as code.",
            )


def _check_second_argument(source: Path, tree: ast.Module) -> None:
    """Raises PackagingFailed for a function that takes its params one by one: all of them are the second argument, a
    dict."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.name != "predict":
            continue
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        defaults = dict(zip(names[::-1], node.args.defaults[::-1], strict=False))
        inputs, *params = [name for name in names if name != "self"] or [""]
        default = defaults.get(params[0]) if params else None
        if isinstance(default, ast.Constant) and default.value is not None:
            name, value = params[0], ast.unparse(default)
            raise PackagingFailed(
                f"{source} has predict({inputs}, {name}={value}) in line {node.lineno}, but the second argument of "
                "predict is the dict of all params.",
                hint=f"Write predict({inputs}, params), use params[{name!r}], and state its default: "
                f"params={{{name!r}: {value}}}",
                remedy=remedy("one_by_one", inputs=inputs, name=name, value=value),
            )


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise PackagingFailed(f"{source} does not exist.")
    if target.exists():
        raise PackagingFailed(f"Two files would have the name {target.name!r} in the package.")
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)
