"""Which modules Python sources import, read from their text: also in branches that did not run when they were tried."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock.errors import PackagingFailed


def imports_of(files: Iterable[Path]) -> set[str]:
    """The names of modules that the files import, but for types alone or where they are run as scripts. Raises
    PackagingFailed for a file that is not Python."""
    return {name for file in files for node in _run_nodes(parse_source(file)) for name in _names(node)}


def parse_source(file: Path) -> ast.Module:
    """Raises PackagingFailed."""
    try:
        return ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        raise PackagingFailed(f"{file} is not valid Python: {error}.") from None


def _run_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING` and `if __name__ == "__main__"`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_aside(child):
            yield from (n for part in child.orelse for n in (part, *_run_nodes(part)))
            continue
        yield child
        yield from _run_nodes(child)


def is_aside(branch: ast.If) -> bool:
    """Whether a branch runs neither where the module is imported nor later."""
    test = ast.unparse(branch.test)
    return test in ("TYPE_CHECKING", "typing.TYPE_CHECKING") or test.replace('"', "'") == "__name__ == '__main__'"


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("import_module", "importlib.import_module"):
        name = node.args[0] if node.args else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str) and not name.value.startswith("."):
            yield name.value
