"""What every predictor and flavor shares: foreign errors stay behind the boundary, paths inside the package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.errors import DependencyMissing, PackageInvalid, PredictError, UnsupportedMedia
from penstock.flavors.interface import inside, need
from penstock.flavors.predictor import Predictor
from penstock.payload import Params, Payload, Value


class Failing(Predictor):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def _predict(self, payload: Payload, params: Params) -> Payload:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(1), MemoryError(), GeneratorExit(), KeyError("k")])
def test_whatever_a_model_raises_is_a_predict_error(error: BaseException) -> None:
    with pytest.raises(PredictError, match=type(error).__name__) as caught:
        Failing(error).predict(Value(1), {})
    assert caught.value.__cause__ is error
    assert "\n" not in caught.value.message


def test_a_models_message_is_shortened_and_on_one_line() -> None:
    with pytest.raises(PredictError) as caught:
        Failing(ValueError("row\n" * 5000)).predict(Value(1), {})
    assert len(caught.value.message) < 600
    assert "\n" not in caught.value.message


def test_what_is_not_the_models_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        Failing(KeyboardInterrupt()).predict(Value(1), {})
    ours = UnsupportedMedia("ours")
    with pytest.raises(UnsupportedMedia) as caught:
        Failing(ours).predict(Value(1), {})
    assert caught.value is ours


def test_a_file_that_a_manifest_names_must_lie_in_the_package(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "sub").mkdir(parents=True)
    (package / "sub" / "model.bin").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"")
    (package / "link").symlink_to(tmp_path / "secret")
    assert inside(package, "sub/model.bin", "model") == package / "sub" / "model.bin"
    assert inside(package, "sub/../sub/model.bin", "model").is_file()
    assert inside(package, r"sub\model.bin", "model") == package / "sub" / "model.bin"
    outside = ("../secret", str(tmp_path / "secret"), "link", "sub/../../secret")
    for bad in (*outside, r"..\secret", r"C:\work\model.bin", "c:model.bin", r"\\server\share\model.bin"):
        with pytest.raises(PackageInvalid, match="lies outside"):
            inside(package, bad, "model")
    for missing in ("gone", "a\0b", "n" * 5000):
        with pytest.raises(PackageInvalid, match="not in the package"):
            inside(package, missing, "model")
    for nothing in (None, "", 5, ["sub"]):
        with pytest.raises(PackageInvalid, match="names no model"):
            inside(package, nothing, "model")
    os.mkfifo(package / "pipe")
    with pytest.raises(PackageInvalid, match="is not a regular file"):
        inside(package, "pipe", "model")


def test_need_says_what_to_install() -> None:
    assert need("json", "onnx", purpose="This").__name__ == "json"
    with pytest.raises(DependencyMissing, match="This needs no_such_library, which is not installed") as caught:
        need("no_such_library.part", "onnx", purpose="This")
    assert "penstock[onnx]" in caught.value.hint


def test_need_does_not_hide_what_a_library_itself_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_library_here.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        need("broken_library_here", "onnx", purpose="This")
