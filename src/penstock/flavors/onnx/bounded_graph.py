"""Whether an ONNX graph's tensors are as large as its input makes them: reviewed operators, and sizes that are stored.

An operator that takes the size of its answer from data (Range, Expand, Tile, NonZero …) makes as much as a cell says;
one that is not reviewed may do anything. Such graphs run in a process of their own. Source: the operators of ONNX 1.23.
"""

from __future__ import annotations

from math import prod

from penstock.flavors.onnx.graph import Graph, GraphNode, StoredTensor
from penstock.flavors.onnx.growth import growth_of, makes_axes

# Times that a graph may make its input larger by stored sizes and by joining tensors, and cells of one such size.
_GROWTH = 4096
_CELLS = 1 << 20

# The answer's shape follows from those of the inputs, and is no larger than both together, or than a stored tensor.
_REVIEWED = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "And",
        "ArgMax",
        "ArgMin",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "AveragePool",
        "BatchNormalization",
        "BitShift",
        "Cast",
        "CastLike",
        "Ceil",
        "Celu",
        "Clip",
        "Concat",
        "Constant",
        "Conv",
        "Cos",
        "Cosh",
        "CumSum",
        "DepthToSpace",
        "DequantizeLinear",
        "Div",
        "Dropout",
        "DynamicQuantizeLinear",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Flatten",
        "Floor",
        "GRU",
        "Gather",
        "GatherElements",
        "Gelu",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Greater",
        "GreaterOrEqual",
        "GroupNormalization",
        "HardSigmoid",
        "HardSwish",
        "Hardmax",
        "Identity",
        "InstanceNormalization",
        "IsInf",
        "IsNaN",
        "LRN",
        "LSTM",
        "LayerNormalization",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "LogSoftmax",
        "LpNormalization",
        "MatMul",
        "MatMulInteger",
        "Max",
        "MaxPool",
        "Mean",
        "MeanVarianceNormalization",
        "Min",
        "Mish",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "QLinearConv",
        "QLinearMatMul",
        "QuantizeLinear",
        "RNN",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Round",
        "Selu",
        "Shape",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Size",
        "Slice",
        "Softmax",
        "Softplus",
        "Softsign",
        "SpaceToDepth",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Swish",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "TopK",
        "Transpose",
        "Unsqueeze",
        "Where",
        "Xor",
    ]
)
_REVIEWED_ML = frozenset(
    [
        "ArrayFeatureExtractor",
        "Binarizer",
        "FeatureVectorizer",
        "Imputer",
        "LabelEncoder",
        "LinearClassifier",
        "LinearRegressor",
        "Normalizer",
        "OneHotEncoder",
        "SVMClassifier",
        "SVMRegressor",
        "Scaler",
        "TreeEnsemble",
        "TreeEnsembleClassifier",
        "TreeEnsembleRegressor",
        "ZipMap",
    ]
)

# Operator -> the input that says how large its answer is.
_SIZE_INPUT = {"Tile": 1, "Expand": 1, "ConstantOfShape": 0, "Pad": 1, "OneHot": 1}


def graph_reasons(graph: Graph) -> list[str]:
    """Why the graph should run in a process of its own; empty where its tensors are bounded by its input."""
    growth: dict[str, float] = dict.fromkeys(graph.stored, 0.0)
    stored = {name: tensor.numbers for name, tensor in graph.stored.items()}
    if any(tensor.cells > 1 << 31 for tensor in graph.stored.values()):
        return ["it stores a tensor of more than 2,147,483,648 numbers"]
    found: dict[str, None] = {}
    tensors, new_axes = dict(graph.stored), set[str]()  # the stored ones, and those with axes that the input has not
    for node in graph.nodes:
        if node.operator == "Constant" and not node.domain:
            for name in node.outputs:
                if node.stored:
                    tensors[name] = node.stored[0]
                stored[name] = node.stored[0].numbers if node.stored else node.numbers.get("value_ints")
                growth[name] = 0.0
            continue
        if reason := _why_apart(node, stored):
            found[reason] = None
            continue
        larger = _times(node, stored, growth, tensors, new_axes)
        if larger > _GROWTH:
            found[f"its tensors become more than {_GROWTH:,} times as large as its input"] = None
        growth.update(dict.fromkeys(node.outputs, min(larger, _GROWTH + 1)))
        if makes_axes(node) or new_axes.intersection(node.inputs):
            new_axes.update(node.outputs)
    return list(found)


def _why_apart(node: GraphNode, stored: dict[str, tuple[int, ...] | None]) -> str:
    if node.operator in _SIZE_INPUT and not node.domain:
        place = _SIZE_INPUT[node.operator]
        sizes = stored.get(node.inputs[place]) if place < len(node.inputs) else None
        if sizes is None:
            return f"the size of what {node.operator} makes comes from data"
        return f"{node.operator} makes more than {_CELLS:,} numbers" if _product(sizes) > _CELLS else ""
    reviewed = _REVIEWED_ML if node.domain == "ai.onnx.ml" else _REVIEWED if node.domain in ("", "ai.onnx") else ()
    if node.operator not in reviewed:
        return f"its operator {node.operator} was not reviewed for the gateway"
    return _why_rows_multiply(node, stored)


def _why_rows_multiply(node: GraphNode, stored: dict[str, tuple[int, ...] | None]) -> str:
    """Where the axis of rows moves, rows may be multiplied with rows: a batch then costs its square, or more."""
    turned = node.operator == "Transpose" and node.numbers.get("perm", (1,))[:1] != (0,)
    crossed = node.operator == "Gemm" and any(node.numbers.get(name, (0,))[0] for name in ("transA",))
    if node.operator == "Reshape":
        sizes = stored.get(node.inputs[1]) if len(node.inputs) > 1 else node.numbers.get("shape")
        turned = sizes is None or (sizes[:1] not in ((0,), (-1,)) and len(sizes) > 0)
    if node.operator == "Unsqueeze":
        axes = (stored.get(node.inputs[1]) if len(node.inputs) > 1 else node.numbers.get("axes")) or (0,)
        turned = any(axis <= 0 for axis in axes)
    if not (turned or crossed) or all(name in stored for name in node.inputs[:1]):
        return ""
    return f"{node.operator} moves the axis of rows"


def _times(
    node: GraphNode,
    stored: dict[str, tuple[int, ...] | None],
    growth: dict[str, float],
    tensors: dict[str, StoredTensor],
    new_axes: set[str],
) -> float:
    """How many times as large as the graph's input an answer may be."""
    if node.operator in _SIZE_INPUT:
        given = [growth.get(name, 1.0) for name in node.inputs if name]
        sizes = stored.get(node.inputs[_SIZE_INPUT[node.operator]]) or ()
        return max([1.0, *given]) * max(1, _product(sizes)) if any(given) else 1.0
    return growth_of(node, growth, tensors, new_axes)


def _product(sizes: tuple[int, ...]) -> int:
    return prod(max(abs(size), 1) for size in sizes)
