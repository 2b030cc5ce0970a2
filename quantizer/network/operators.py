"""The ONNX operators that are read, what they become, and how far they are supported."""

from dataclasses import dataclass

from quantizer.network import layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """An operator of the standard's.

    Attributes
    ----------
    operator
        As ONNX calls it.
    layers
        Classes of layers that it becomes; none for what is left out.
    limits
        What of it is supported, in a line.
    """

    operator: str
    layers: tuple[type[layers.Layer], ...]
    limits: str


_ANY = "of any map"

OPERATORS = tuple(
    Operator(operator=name, layers=classes, limits=limits)
    for name, classes, limits in (
        (
            "Conv",
            (layers.Conv,),
            "1-D, 2-D; groups, strides, dilations, asymmetric pads, auto_pad",
        ),
        (
            "ConvTranspose",
            (layers.ConvTranspose,),
            "1-D, 2-D; groups, strides, dilations, pads, auto_pad, output_padding, output_shape",
        ),
        ("Gemm", (layers.Dense,), "constant matrix; transB, alpha, beta"),
        (
            "MatMul",
            (layers.Dense,),
            "by a constant matrix on the right; a vector that is added alone to it is its bias",
        ),
        (
            "BatchNormalization",
            (layers.BatchNorm,),
            "folded into the Conv or ConvTranspose before it where it alone reads that",
        ),
        (
            "Relu",
            (layers.Clip,),
            "part of the layer before it where it is its only reader",
        ),
        (
            "Clip",
            (layers.Clip,),
            "constant bounds; part of the layer before it where it is its only reader",
        ),
        ("Max", (layers.Clip,), "of a map and a number: a Clip from below"),
        ("Min", (layers.Clip,), "of a map and a number: a Clip from above"),
        ("Add", (layers.Add,), "of two maps, or a map and a constant; broadcast, batch apart"),
        ("Sub", (layers.Add,), "as Add, with a sign"),
        ("Mul", (layers.Mul,), "of two maps, or a map and a constant; broadcast, batch apart"),
        ("Div", (layers.Mul,), "by a constant: Mul by its reciprocal in float32"),
        (
            "AveragePool",
            (layers.AveragePool,),
            "1-D, 2-D; pads, strides, dilations, auto_pad, ceil_mode, count_include_pad",
        ),
        ("GlobalAveragePool", (layers.AveragePool,), "1-D, 2-D"),
        ("ReduceMean", (layers.AveragePool, layers.Reshape), "over rows, cols or both"),
        (
            "MaxPool",
            (layers.MaxPool,),
            "1-D, 2-D; pads, strides, dilations, auto_pad, ceil_mode; without positions",
        ),
        ("GlobalMaxPool", (layers.MaxPool,), "1-D, 2-D"),
        ("ReduceMax", (layers.MaxPool, layers.Reshape), "over rows, cols or both"),
        ("PRelu", (layers.PRelu,), "constant slopes of any shape"),
        ("LeakyRelu", (layers.PRelu,), _ANY),
        *(
            (kind.value, (layers.Lookup,), _ANY)
            for kind in layers.FunctionKind
            if kind not in (layers.FunctionKind.GELU, layers.FunctionKind.GELU_TANH)
        ),
        ("Gelu", (layers.Lookup,), "approximate none, tanh"),
        ("LRN", (layers.LocalResponseNorm,), "by the host"),
        ("Concat", (layers.Concat,), "along any axis but the batch"),
        *(
            (name, (layers.Reshape,), "batch kept")
            for name in ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
        ),
        ("Identity", (layers.Reshape,), _ANY),
        ("Dropout", (layers.Reshape,), "as in inference"),
        (
            "Transpose",
            (layers.Reshape, layers.Transpose),
            "batch kept first; a Reshape where only axes of one move",
        ),
        ("DepthToSpace", (layers.Transpose,), "modes DCR, CRD"),
        ("SpaceToDepth", (layers.Transpose,), _ANY),
        ("Slice", (layers.Slice,), "constant bounds; steps, also negative; batch whole"),
        ("Split", (layers.Slice,), "along any axis but the batch"),
        ("Pad", (layers.Pad,), "with a constant; zeros join the Conv or AveragePool behind them"),
        ("Resize", (layers.Upsample,), "nearest, where every value is repeated as often"),
        ("Upsample", (layers.Upsample,), "nearest, by integers (opset 9 and below)"),
        ("Softmax", (), "last (left out: the outputs are logits)"),
        ("LogSoftmax", (), "last (left out: the outputs are logits)"),
    )
)
"""Every operator that is read: those of the array, arithmetic off it, moves."""
