"""Found by `import mlflow` where this directory is on PYTHONPATH. MLflow itself takes its place if it is installed."""

import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location


def _give_way() -> None:
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place or os.curdir) != here]
    sys.path_importer_cache.pop(here, None)
    del sys.modules["mlflow"]
    found = PathFinder.find_spec("mlflow")
    if found is not None and found.origin is not None:
        import_module("mlflow")
        return
    if find_spec("penstock") is None:
        _offer_penstock(os.path.dirname(os.path.dirname(here)))
    import_module("penstock.stand_in").as_mlflow()


def _offer_penstock(package: str) -> None:
    """An environment that has no Penstock gets this one, of which the client needs nothing else. Nothing of what is
    installed beside it comes along."""
    spec = spec_from_file_location(
        "penstock", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["penstock"] = module_from_spec(spec)
    spec.loader.exec_module(module)


_give_way()
