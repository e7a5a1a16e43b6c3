"""A package made of a Python file: the file, its artifacts, the modules it imports, and the loader for MLflow."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import PackagingFailed
from penstock.flavors.interface import FlavorOptions, Written
from penstock.flavors.python import source_file
from penstock.manifest import PYTHON_FUNCTION

OWN_LOADER = "penstock_loader"
SOURCE = "model.py"


@dataclass(frozen=True, slots=True)
class PythonOptions(FlavorOptions):
    """`entry` is the function or class in the file (default: predict, else Model), `artifacts` are files or directories
    by the name that the code finds them under, `code` the modules and packages that it imports, `config` what a class
    finds as context.model_config."""

    entry: str | None = None
    artifacts: Mapping[str, str | Path] | None = None
    code: Sequence[str | Path] = ()
    config: Mapping[str, Any] | None = None


def write_source(source: Path, directory: Path, options: PythonOptions) -> Written:
    """Raises PackagingFailed where something is missing or two things have one name."""
    if source.suffix != ".py" or not source.is_file():
        raise PackagingFailed(f"{source} is not a Python file.")
    modules = [Path(module) for module in options.code]
    sources = [source, *(file for module in modules for file in _python_files(module))]
    for file in sources:
        _check_syntax(file)
    shutil.copyfile(source, directory / SOURCE)
    (directory / "code").mkdir()
    shutil.copyfile(source_file.__file__, directory / "code" / f"{OWN_LOADER}.py")
    for module in modules:
        _copy(module, directory / "code" / module.name)
    places: dict[str, dict[str, str]] = {}
    for name, path in ((name, Path(given)) for name, given in (options.artifacts or {}).items()):
        if not name.isidentifier():
            raise PackagingFailed(f"An artifact's name must be an identifier, not {name!r}.")
        (directory / "artifacts" / name).mkdir(parents=True)
        _copy(path, directory / "artifacts" / name / path.name)
        places[name] = {"path": f"artifacts/{name}/{path.name}", "uri": path.name}
    settings: dict[str, Any] = {
        "loader_module": OWN_LOADER,
        "code": "code",
        "source": SOURCE,
        "predict_fn": "predict",
    }
    if options.entry:
        settings["entry"] = options.entry
    if places:
        settings["artifacts"] = places
    if options.config:
        settings["config"] = dict(options.config)
    return Written(flavors={PYTHON_FUNCTION: settings}, requirements=_requirements(sources))


def _check_syntax(source: Path) -> None:
    try:
        ast.parse(source.read_bytes(), str(source))
    except (SyntaxError, ValueError) as error:
        raise PackagingFailed(f"{source} is not valid Python: {error}.") from None


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise PackagingFailed(f"{source} does not exist.")
    if target.exists():
        raise PackagingFailed(f"Two files would have the name {target.name!r} in the package.")
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def _python_files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.suffix == ".py" and path.is_file() else []


def _requirements(sources: list[Path]) -> tuple[str, ...]:
    """Pins for what the sources import, as installed here; frames need pandas, the loader PyYAML."""
    from importlib.metadata import packages_distributions, version

    imported = {"numpy", "pandas", "yaml"}
    for source in sources:
        for node in ast.walk(ast.parse(source.read_bytes(), str(source))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    found = packages_distributions()
    return tuple(sorted({f"{name}=={version(name)}" for module in imported for name in found.get(module, ())}))
