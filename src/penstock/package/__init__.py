"""Packages: made (`save_model`), opened (`PackagedModel`), sealed, compared."""

from penstock.package.example import Example, answers_differ
from penstock.package.packaged import PackagedModel

__all__ = ["Example", "PackagedModel", "answers_differ"]
