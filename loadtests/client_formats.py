"""What penstock.Client writes as JSON and as Arrow: from how many cells which of the two costs less, both sides together.

    python loadtests/client_formats.py [--rounds 5] [--only answer]

Tables of numbers, tables with text and dates beside them, and arrays go to a model that does next to nothing; then
answers come back from one that answers with its input. Rounds interleave, and the medians of what one request takes are
printed: milliseconds of processor time, from the data to the answer in its container on this side, and the server's. The
rule in `client/arrow_bodies.py` is read off these.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any

import httpx
import numpy as np
import pandas as pd
from onnx import TensorProto, helper
from servers import BOTH_CORES, Server, penstock

import penstock as library
from penstock.client.answers import read_answer
from penstock.client.arrow_bodies import ArrowFrom
from penstock.client.request_bodies import request_body
from penstock.signature import Signature

CELLS = (256, 2048, 8192, 16384, 32768, 65536, 262144)
WIDTH = 8


def numbers(rows: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(rows, WIDTH)), columns=[f"n{i}" for i in range(WIDTH)])


def mixed(rows: int) -> pd.DataFrame:
    frame = numbers(rows).iloc[:, : WIDTH - 3]
    frame["word"] = np.resize(["red", "green", "blue"], rows)
    frame["text"] = [f"a text of some length, number {i}" for i in range(rows)]
    return frame.assign(day=pd.Timestamp("2024-01-31") + pd.to_timedelta(np.arange(rows), "s"))


def image(cells: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(max(1, cells // 3072), 3, 32, 32)).astype(np.float32)


def graph(kind: str) -> Any:
    """An ONNX graph of images: the mean of each, or the images themselves."""
    shape = ["n", 3, 32, 32]
    node = (
        helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2, 3], keepdims=0)
        if kind == "mean"
        else helper.make_node("Identity", ["x"], ["y"])
    )
    made = helper.make_graph(
        [node],
        kind,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape[:1] if kind == "mean" else shape)],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def packages(directory: Path) -> Iterator[str]:
    (directory / "zeros.py").write_text("def predict(inputs, params):\n    return [0] * len(inputs)\n")
    (directory / "echo.py").write_text("def predict(inputs, params):\n    return inputs\n")
    for name, made, example in (
        ("numbers", directory / "zeros.py", numbers(4)),
        ("mixed", directory / "zeros.py", mixed(4)),
        ("mean", graph("mean"), image(1)),
        ("echo", directory / "echo.py", mixed(4)),
        ("images", graph("images"), image(1)),
    ):
        library.save_model(made, directory / name, example=example)
        yield f"{name}={directory / name}"


def measure(
    server: Server, http: httpx.Client, model: str, data: Any, arrow: ArrowFrom | None, most: int
) -> tuple[float, float]:
    """Milliseconds of processor time that one request takes: this side's, and the server's."""
    written = http.get(f"/models/{model}/signature").json()["signature"]
    signature = Signature.from_mlflow(written)

    def once() -> None:
        request = request_body(data, None, signature, arrow)
        headers = {"Content-Type": request.media, "Accept": request.accept}
        answer = http.post(f"/models/{model}/invocations", content=request.content, headers=headers)
        assert answer.status_code == 200, answer.text
        read_answer(answer.content, answer.headers["content-type"], request, signature.outputs)

    once()
    before, begun = server.cpu_seconds(), process_time()
    for _ in range(most):
        once()
    return (process_time() - begun) / most * 1e3, (server.cpu_seconds() - before) / most * 1e3


def scenes() -> Iterator[tuple[str, str, Callable[[int], Any], tuple[ArrowFrom | None, ArrowFrom | None]]]:
    """What is printed, the model, the data by cells, and JSON and Arrow."""
    asked = (None, ArrowFrom(0, 0))
    yield "table of numbers", "numbers", lambda cells: numbers(cells // WIDTH), asked
    yield "table with text and dates", "mixed", lambda cells: mixed(cells // WIDTH), asked
    yield "arrays", "mean", image, asked
    yield "table and its answer", "echo", lambda cells: mixed(cells // WIDTH), asked
    yield "arrays and their answer", "images", image, asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of each kind, in turn")
    parser.add_argument("--only", default="", help="what begins with this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        models = list(packages(Path(made)))
        with (
            penstock(*models, arguments=("--trust-code",), cores=BOTH_CORES) as server,
            httpx.Client(base_url=server.url, timeout=60) as http,
        ):
            print(
                "| what | cells | JSON, here | Arrow, here | JSON, server | Arrow, server |\n|---|---|---|---|---|---|"
            )
            for what, model, data, ways in scenes():
                if not what.startswith(options.only):
                    continue
                for cells in CELLS:
                    most = max(1, min(20, 2**18 // cells))
                    given = data(cells)
                    taken = [
                        [measure(server, http, model, given, way, most) for way in ways] for _ in range(options.rounds)
                    ]
                    times = [statistics.median(r[i][j] for r in taken) for j in (0, 1) for i in (0, 1)]
                    print(f"| {what} | {cells:,} | " + " | ".join(f"{t:.2f}" for t in times) + " |", flush=True)


if __name__ == "__main__":
    main()
