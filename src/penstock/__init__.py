"""Penstock serves packaged models.

    import penstock

    penstock.save_model(estimator, "./model", example=frame)
    predictor = penstock.load_model("./model")
    registry = penstock.open_registry("./penstock-registry")

Names are imported when they are used, so that `import penstock` costs nothing.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from penstock.errors import PenstockError as PenstockError
    from penstock.loading import load_model as load_model
    from penstock.package import PackagedModel as PackagedModel
    from penstock.package.save import save_model as save_model
    from penstock.payload import Table as Table
    from penstock.payload import Tensors as Tensors
    from penstock.payload import Value as Value
    from penstock.publishing import publish as publish
    from penstock.registry import open_registry as open_registry

_HOMES = {
    "PackagedModel": "penstock.package",
    "PenstockError": "penstock.errors",
    "Table": "penstock.payload",
    "Tensors": "penstock.payload",
    "Value": "penstock.payload",
    "load_model": "penstock.loading",
    "open_registry": "penstock.registry",
    "publish": "penstock.publishing",
    "save_model": "penstock.package.save",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
