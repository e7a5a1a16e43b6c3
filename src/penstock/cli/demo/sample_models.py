"""The demo's models: the samples of the checkout, trained, packaged and registered in a work directory.

In it afterwards: models/NAME with what train.py wrote, packages/NAME-VERSION, and penstock-registry, where a `penstock`
command that runs in the directory looks by itself.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import penstock
from penstock.cli.demo.shell import DemoFailed, Shell
from penstock.version import __version__

IRIS, CANCER, DIABETES = "iris", "breast-cancer", "diabetes"
MODELS, PACKAGES, REGISTRY = "models", "packages", "penstock-registry"

# Holds the fingerprint of what the directory was made from, once all is made; it also says that it is the demo's own.
MARKER = ".penstock-demo"
_INCOMPLETE = "incomplete"

_FOLDERS = {IRIS: "iris_sklearn", CANCER: "breast_cancer_onnx", DIABETES: "diabetes_python"}


def find_samples() -> Path:
    """The sample_models directory of the checkout that this code, or the current directory, belongs to.

    Raises DemoFailed.
    """
    for checkout in (Path(penstock.__file__).resolve().parents[2], Path.cwd()):
        samples = checkout / "sample_models"
        if all((samples / folder / "train.py").is_file() for folder in _FOLDERS.values()):
            return samples
    raise DemoFailed("The sample models are only in the source repository. Run the demo from a checkout of Penstock.")


def prepare(shell: Shell) -> bool:
    """Makes the work directory's content; True where it was made already. Raises DemoFailed."""
    samples = find_samples()
    marker = shell.work / MARKER
    wanted = _fingerprint(samples)
    found = marker.read_text(encoding="utf-8").strip() if marker.is_file() else ""
    if found == wanted:
        shell.step("The sample models are trained, packaged and registered already")
        shell.say(f"in {shell.work}; delete the directory to start again.")
        return True
    if not found and any(shell.work.iterdir()):
        raise DemoFailed(f"{shell.work} is not empty and was not made by an earlier demo. Choose another --dir.")
    for part in (MODELS, PACKAGES, REGISTRY):
        shutil.rmtree(shell.work / part, ignore_errors=True)
    marker.write_text(_INCOMPLETE, encoding="utf-8")
    _train(shell, samples)
    _package(shell, samples)
    _register(shell)
    marker.write_text(wanted, encoding="utf-8")
    return False


def _fingerprint(samples: Path) -> str:
    """Changes with the samples' sources and the libraries, since either makes other models."""
    from importlib.metadata import version

    digest = hashlib.sha256(f"{__version__} {version('scikit-learn')}".encode())
    for source in sorted(samples.glob("*/*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _train(shell: Shell, samples: Path) -> None:
    shell.step("Train three sample models: a scikit-learn pipeline (two versions), an ONNX forest, a Python function")
    shell.run(
        *(["python", str(samples / folder / "train.py"), f"{MODELS}/{name}"] for name, folder in _FOLDERS.items())
    )
    shell.say("All data comes with scikit-learn; nothing is downloaded.")


def _package(shell: Shell, samples: Path) -> None:
    shell.step("Package them: model, signature, example with its expected answer, environment, seal")
    iris, cancer, diabetes = (f"{MODELS}/{name}" for name in (IRIS, CANCER, DIABETES))
    function = str(samples / _FOLDERS[DIABETES] / "model.py")
    facts = ["--entry", "ProgressionModel", "--artifact", f"facts={diabetes}/facts.json", "--batchable"]
    shell.run(
        _packaging("sklearn", f"{iris}/v1.joblib", f"{iris}/rows.csv", f"{PACKAGES}/{IRIS}-1"),
        _packaging("sklearn", f"{iris}/v2.joblib", f"{iris}/rows.csv", f"{PACKAGES}/{IRIS}-2"),
        _packaging("onnx", f"{cancer}/model.onnx", f"{cancer}/rows.csv", f"{PACKAGES}/{CANCER}-1"),
        _packaging("python", function, f"{diabetes}/request.json", f"{PACKAGES}/{DIABETES}-1", *facts),
    )


def _packaging(kind: str, model: str, example: str, package: str, *more: str) -> list[str]:
    return ["penstock", "package", kind, model, "--example", example, *more, "-o", package]


def _register(shell: Shell) -> None:
    shell.step("Register them, and promote the first version of each to production")
    for name in _FOLDERS:
        shell.run(["penstock", "registry", "add", name, f"{PACKAGES}/{name}-1", "--alias", "production"])
    shell.run(["penstock", "registry", "add", IRIS, f"{PACKAGES}/{IRIS}-2"])
