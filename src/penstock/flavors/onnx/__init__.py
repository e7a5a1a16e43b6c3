"""ONNX graphs: the flavor, the session that runs one, and its predictor."""
