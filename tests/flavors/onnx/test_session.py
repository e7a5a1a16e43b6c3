"""What a manifest may ask of onnxruntime's sessions."""

from __future__ import annotations

import onnxruntime

from penstock.flavors.onnx import session


def test_a_manifest_starts_no_million_threads_and_onnxruntime_prints_nothing_of_its_own() -> None:
    options = session._options(onnxruntime, {"intra_op_num_threads": 1_000_000}, threads=0)
    assert options.intra_op_num_threads == session._MOST_THREADS
    assert options.log_severity_level == 4
