"""Penstock serves packaged models.

    import penstock

    penstock.save_model(estimator, "./model", example=frame)
    with penstock.load_model("./model") as model:
        model.predict(frame)
    penstock.score_files("./model", "rows.parquet", "scores.parquet")
    registry = penstock.open_registry("./penstock-registry")
    with penstock.Client("http://localhost:8080") as client:
        client.predict(frame)
    with penstock.tracking.start_run():
        penstock.tracking.log_metric("loss", 0.3, step=1)

Names are imported when they are used, so that `import penstock` costs nothing. `penstock.errors` has what they raise,
`penstock.testing` what tests of packages and of their callers need.
"""

from typing import TYPE_CHECKING, Any

from penstock.version import __version__ as __version__

if TYPE_CHECKING:
    from penstock.assembly.named_models import load_model as load_model
    from penstock.assembly.scoring import score_files as score_files
    from penstock.client.async_client import AsyncClient as AsyncClient
    from penstock.client.sync_client import Client as Client
    from penstock.errors import PenstockError as PenstockError
    from penstock.errors import SchemaViolation as SchemaViolation
    from penstock.flavors import Flavor as Flavor
    from penstock.loading.local_model import LocalModel as LocalModel
    from penstock.package import PackagedModel as PackagedModel
    from penstock.package.save import save_model as save_model
    from penstock.payload import Table as Table
    from penstock.payload import Tensors as Tensors
    from penstock.payload import Value as Value
    from penstock.publishing import publish as publish
    from penstock.registry import open_registry as open_registry
    from penstock.signature import Signature as Signature

_HOMES = {
    "AsyncClient": "penstock.client.async_client",
    "Client": "penstock.client.sync_client",
    "Flavor": "penstock.flavors",
    "LocalModel": "penstock.loading.local_model",
    "PackagedModel": "penstock.package",
    "PenstockError": "penstock.errors",
    "SchemaViolation": "penstock.errors",
    "Signature": "penstock.signature",
    "Table": "penstock.payload",
    "Tensors": "penstock.payload",
    "Value": "penstock.payload",
    "load_model": "penstock.assembly.named_models",
    "open_registry": "penstock.registry",
    "publish": "penstock.publishing",
    "save_model": "penstock.package.save",
    "score_files": "penstock.assembly.scoring",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    if name in ("errors", "testing", "tracking"):
        from importlib import import_module

        return import_module(f"penstock.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "errors", "testing", "tracking"])
