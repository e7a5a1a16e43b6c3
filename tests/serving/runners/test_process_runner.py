"""Two runners of one version, as there are while a model is loaded anew by other settings, and their one set of
numbers."""

from __future__ import annotations

from pathlib import Path

from penstock.loading.proof import Proof
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.serving.runners.isolation import IsolatedModel
from penstock.serving.runners.process_runner import ProcessRunner
from penstock.serving.servable import Servable
from serving.fakes import loaded


def runner(package: Path, metrics: Metrics) -> ProcessRunner:
    model = IsolatedModel(PackagedModel.open(package), "d", Proof(False), False, 1, 1.0, [], lambda launched: None)  # type: ignore[arg-type, return-value]
    return ProcessRunner(model, "m", metrics.version("m", "1"), lambda why: None)


async def test_the_numbers_are_those_of_the_runner_that_came_last(identity_onnx_package: Path) -> None:
    metrics = Metrics(process=False)
    first, second = runner(identity_onnx_package, metrics), runner(identity_onnx_package, metrics)
    numbers = metrics.version("m", "1")
    numbers.processes["ready"].set(1)
    first.on_state_change()  # it ends, and has nothing to say any more
    assert numbers.processes["ready"].value == 1
    second.on_state_change()
    assert numbers.processes["ready"].value == 0
    servable = Servable("m", "1", loaded(identity_onnx_package), metrics)
    assert (numbers.processes, numbers.process_memory) == ({}, {})  # it is in the gateway now
    await servable.close()
