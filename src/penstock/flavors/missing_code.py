"""What a model's files refer to and this process does not have, told from the exceptions that Python raises for it.

A pickle holds names of classes and functions, never what they do: whoever loads it must have the modules. Those of a
script that was run itself are all called `__main__`, which in any other program is another module.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec

from penstock.errors import CodeMissing, remedy

SCRIPT = "__main__"

# What pickle says of a module without the name. Source: pickle.py's _getattribute, and its twin in C.
_NO_ATTRIBUTE = re.compile(r"Can't (?:get|resolve) (?:local )?(?:attribute|path) '([^']+)' on <module '([^']+)'")


def missing_code(error: BaseException, holder: str) -> CodeMissing | None:
    """The error for code that `holder` needs, as "model.pkl"; None where the exception is about something else."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _of_module(error.name, holder)
    if isinstance(error, AttributeError) and (found := _NO_ATTRIBUTE.search(str(error))):
        return _of_name(SCRIPT if found[2] == _name_of_script() else found[2], found[1], holder)
    return None


def _name_of_script() -> str:
    """What Python calls the running script in messages: of `python -m penstock` it is penstock.__main__."""
    spec = getattr(sys.modules[SCRIPT], "__spec__", None)
    return SCRIPT if spec is None else str(spec.name)


def _of_module(module: str, holder: str) -> CodeMissing:
    top = module.partition(".")[0]
    if top != module and _is_here(top):
        return CodeMissing(
            f"{holder} needs the module {module!r}, which the installed {top} does not have.",
            hint=f"It was made with another version of {top}: install that one.",
            remedy=remedy("compare_libraries"),
        )
    return CodeMissing(
        f"{holder} needs the module {module!r}, which is not installed.",
        hint="Install what the package's requirements.txt lists in the environment that serves it. A module of the "
        "author's own must be packaged with the model, as its code.",
        remedy=remedy(
            "missing_module", module=module, library=library_of(module), place=top if top != module else f"{top}.py"
        ),
    )


def _of_name(module: str, name: str, holder: str) -> CodeMissing:
    if module == SCRIPT:
        return CodeMissing(
            f"{holder} refers to {name!r} of the script or notebook that wrote it (__main__), which no other program "
            "has.",
            hint="Define it in a module of its own, import it from there where the model is trained, and package the "
            "model again with that module as its code.",
            remedy=remedy("script_code", name=name),
        )
    return CodeMissing(
        f"{holder} needs {module}.{name}, which the module {module!r} here does not have.",
        hint="It was made with another version of that module.",
        remedy=remedy("compare_libraries"),
    )


def _is_here(top: str) -> bool:
    try:
        return top in sys.modules or find_spec(top) is not None
    except (ImportError, ValueError):
        return False


# Libraries whose modules have another name than they are installed by.
_LIBRARIES = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "imblearn": "imbalanced-learn",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "skopt": "scikit-optimize",
    "umap": "umap-learn",
    "yaml": "PyYAML",
}


def library_of(module: str) -> str:
    """What to install for a module of a library, as far as its name tells."""
    top = module.partition(".")[0]
    return _LIBRARIES.get(top, top.replace("_", "-"))
