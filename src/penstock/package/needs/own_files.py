"""Modules of somebody's own, looked for near a model: in the folder that this runs in, and beside the model's files."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from penstock.errors import PackagingFailed
from penstock.package.needs.module_origin import ModuleSource, origin_of
from penstock.package.needs.source_imports import imports_of, is_aside, parse_source


def folders_near(*files: Path) -> list[Path]:
    """Where to look: here, beside the given files, one folder up, and in the `src` of each."""
    beside = [(file if file.is_dir() else file.parent).absolute() for file in files]
    found = [Path.cwd(), *beside, *(folder.parent for folder in beside)]
    return list(dict.fromkeys(place for folder in found for place in (folder, folder / "src")))


def own_place(module: str, near: Iterable[Path]) -> Path | None:
    """The file or folder that a program in one of the folders would import under a module's name."""
    top, *parts = module.split(".")
    for folder in near:
        if (folder / top / "__init__.py").is_file():
            return folder / top
        if (file := folder / f"{top}.py").is_file():
            return file
        inner = folder / top / Path(*parts)
        if parts and (inner.is_dir() or inner.with_suffix(".py").is_file()):
            return folder / top
    return None


def with_imported(own: Mapping[str, Path], near: Sequence[Path]) -> dict[str, Path]:
    """Modules by name, and those of the same author that they import in turn."""
    found: dict[str, Path] = {}
    waiting = dict(own)
    while waiting:
        name, place = waiting.popitem()
        found[name] = place
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        beside = [place.parent, *near]
        try:
            imported = imports_of(files)
        except PackagingFailed:  # whoever copies it says so
            continue
        for module in sorted(imported):
            top = module.partition(".")[0]
            if top not in found and top not in waiting and (other := _own(module, beside)) is not None:
                waiting[top] = other
    return dict(sorted(found.items()))


def _own(module: str, near: Iterable[Path]) -> Path | None:
    origin = origin_of(module)
    if origin.is_loose:
        return origin.place
    return own_place(module, near) if origin.source is ModuleSource.ABSENT else None


def written(place: Path) -> str:
    """A path as its owner would write it here."""
    relative = os.path.relpath(place)
    return str(place) if relative.startswith(os.path.join("..", "..")) else relative


def scripts_defining(name: str, near: Iterable[Path]) -> list[Path]:
    """The Python files in the folders that define a function or class of this name at their top level."""
    files = (file for folder in near if folder.is_dir() for file in sorted(folder.glob("*.py"))[:_MOST_SCRIPTS])
    return [file for file in dict.fromkeys(files) if name in _defined(file)]


_MOST_SCRIPTS = 200


def _defined(file: Path) -> set[str]:
    try:
        body = parse_source(file).body
    except PackagingFailed:
        return set()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in body if isinstance(node, kinds)}


def importable_script(file: Path) -> bool:
    """Whether importing a file only defines things: what it does besides stands under `if __name__ == "__main__"`."""
    plain = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in parse_source(file).body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        constant = isinstance(node, (ast.Assign, ast.AnnAssign)) and not any(
            isinstance(part, (ast.Call, ast.Await)) for part in ast.walk(node)
        )
        aside = isinstance(node, ast.If) and is_aside(node)
        if not (isinstance(node, plain) or docstring or constant or aside):
            return False
    return file.stem.isidentifier()
