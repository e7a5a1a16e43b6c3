"""What orjson, numpy and onnxruntime reach alone: bodies a second of one JSON file into one ONNX graph, in a loop.

python loadtests/bare_loop.py BODY.json MODEL.onnx
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime
import orjson


def main(body: bytes, model: str, times: int = 150) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
    seconds = []
    for _ in range(times):
        began = perf_counter()
        rows = np.array(orjson.loads(body)["inputs"], dtype=np.float32)
        answers = session.run(None, {given: rows})
        orjson.dumps({"predictions": dict(zip(names, answers, strict=True))}, option=orjson.OPT_SERIALIZE_NUMPY)
        seconds.append(perf_counter() - began)
    return 1 / statistics.median(seconds)


if __name__ == "__main__":
    print(main(Path(sys.argv[1]).read_bytes(), sys.argv[2]))
