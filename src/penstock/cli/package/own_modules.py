"""`--code`: the modules of the user's own, importable while a file that refers to them is read, and offered where they
are missing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from penstock.cli.package.again import again
from penstock.errors import CodeMissing, PackagingFailed
from penstock.flavors.missing_code import missing_code
from penstock.payload import kind_and_text

code_option = click.option(
    "--code",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A file or folder of your own modules that the model refers to or imports. May be repeated.",
)


class _GivenModules(MetaPathFinder):
    """Finds the modules that were given, and none that lie beside them."""

    def __init__(self, modules: Mapping[str, Path]) -> None:
        self.modules = modules

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        place = self.modules.get(fullname)
        return None if place is None else PathFinder.find_spec(fullname, [str(place.parent)], target)


@contextmanager
def importable(modules: Mapping[str, Path]) -> Iterator[None]:
    """Makes the modules importable, and forgets them in the end."""
    finder = _GivenModules(modules)
    sys.meta_path.insert(0, finder)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the user's folders stay as they are
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] in modules]:
            del sys.modules[name]


def read_with(read: Callable[[Path], Any], file: Path, modules: Mapping[str, Path]) -> Any:
    """What a flavor reads of a user's file. Names of the script that wrote it (`__main__.ratio`) are taken from the
    given modules that define them. Raises PackagingFailed, which offers what is missing."""
    lent: dict[str, str] = {}
    script: Any = sys.modules["__main__"]
    try:
        while True:
            try:
                made = read(file)
                break
            except CodeMissing as error:
                name = _name_of_script(error)
                if name is None or name in lent:
                    raise _offered(error, file, modules) from error
                lent[name] = _lend(script, name, file, modules)
    finally:
        for name in lent:
            delattr(script, name)
    for module in sorted(set(lent.values())):
        names = ", ".join(name for name, home in sorted(lent.items()) if home == module)
        click.echo(f"Taken from {module}, instead of the script that wrote {file.name}: {names}.", err=True)
    return made


def _name_of_script(error: CodeMissing) -> str | None:
    """The name that a script defined; of a method or a class within a class, the outermost."""
    remedy = error.remedy
    return remedy.names["name"].partition(".")[0] if remedy is not None and remedy.key == "script_code" else None


def _lend(script: Any, name: str, file: Path, modules: Mapping[str, Path]) -> str:
    """Puts what a given module defines under the name where the unpickler looks for it; the module. Raises
    PackagingFailed."""
    homes = [module for module in modules if hasattr(_imported(module, modules), name)]
    if len(homes) != 1 or hasattr(script, name):
        raise _of_script(name, file, modules, homes)
    setattr(script, name, getattr(sys.modules[homes[0]], name))
    return homes[0]


def _imported(module: str, modules: Mapping[str, Path]) -> ModuleType | None:
    """A given module; None for a file of data. Raises PackagingFailed where it cannot be imported."""
    if not module.isidentifier():
        return None
    try:
        return import_module(module)
    except Exception as error:
        path = modules[module]
        if (missing := missing_code(error, path.name)) is not None:
            raise _offered(missing, path, modules) from error
        raise PackagingFailed(f"{path} cannot be imported: {kind_and_text(error, 200)}.") from error


def _of_script(name: str, file: Path, modules: Mapping[str, Path], homes: list[str]) -> PackagingFailed:
    """The refusal of a file that refers to the script or notebook that wrote it."""
    from penstock.package.needs.own_files import (
        folders_near,
        importable_script,
        scripts_defining,
        with_imported,
        written,
    )

    if len(homes) > 1:
        return PackagingFailed(
            f"{file} refers to {name!r} of the script that wrote it, and several of the given modules define it: "
            f"{', '.join(homes)}.",
            hint="Give only the module that the model was trained with.",
        )
    near = folders_near(file)
    scripts = [path for path in scripts_defining(name, near) if path not in modules.values()]
    defined = f" ({written(scripts[0])})" if scripts else ""
    what = f"{file} refers to {name!r} of the script or notebook that wrote it{defined}, which no other program has."
    if scripts and importable_script(scripts[0]):
        needed = with_imported({scripts[0].stem: scripts[0]}, near).values()
        return PackagingFailed(what, hint=f"To take it from there: {_with_code(needed, modules)}")
    known = next((written(path) for path in modules.values() if path.suffix == ".py"), None)
    new = "features.py" if not Path("features.py").exists() else f"{name.lower()}_of_model.py"
    return PackagingFailed(
        what,
        hint="Package the model where it is trained, with penstock.save_model(model, DIR, example=rows). Or move "
        f"{name}, and the imports it needs, to {known or f'a file of its own, {new}'}; the model need not be trained "
        f"again: {again() if known else again('--code', new)}",
    )


def _with_code(needed: Iterable[Path], modules: Mapping[str, Path]) -> str:
    from penstock.package.needs.own_files import written

    more = [written(path) for path in needed if path not in modules.values()]
    return again(*(part for path in more for part in ("--code", path)))


def _offered(error: CodeMissing, file: Path, modules: Mapping[str, Path]) -> PackagingFailed | CodeMissing:
    """The same error with the files that would mend it, where there are such."""
    from penstock.package.needs.model_needs import lacks_code
    from penstock.package.needs.own_files import folders_near, own_place, with_imported

    module = error.remedy.names.get("module") if error.remedy is not None else None
    if module is None:
        return error
    near = folders_near(file, *modules.values())
    place = own_place(module, near)
    if place is None or place in modules.values():
        return error
    own = with_imported({module.partition(".")[0]: place}, near)
    return lacks_code({name: path for name, path in own.items() if path not in modules.values()})
