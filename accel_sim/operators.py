"""What every operator is and costs: the tables of docs/operators.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from quantizer.network import layers
from quantizer.network.operators import OPERATORS


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """How one class of layers is executed, checked and charged.

    Attributes
    ----------
    integers
        What is computed, with the rule of NUMBERS.md.
    kernel
        Where the integers are computed.
    oracles
        What the integers are compared with.
    cycles
        On the array or the lanes, before ports and DRAM stretch them.
    traffic
        DRAM bytes where one tile holds the layer, beside what it reads and writes once.
    energy
        Beside buffers, DRAM, clock and leakage, which follow accesses and time.
    """

    layer: type[layers.Layer]
    integers: str
    kernel: str
    oracles: str
    cycles: str
    traffic: str
    energy: str


_INTERPRETERS = "int64 interpreter; float64 interpreter; qonnx"
_INTERPRETER = "int64 interpreter"
_OF_THE_ARRAY = "folds of the array"
_PER_OUTPUT = "1 output per lane"
_NONE = "0"
_FREE = "none"
_REQUANTIZE = "3 additions per output"

LAYERS = (
    LayerFacts(
        layer=layers.Conv,
        integers="sum, wrapped or saturated; bias; one requantize (5, 7, 8)",
        kernel="kernels/micro_drivers; conv, ordered_sums, output_stage",
        oracles=f"{_INTERPRETERS}; onnxruntime ConvInteger; CMSIS-NN; additions one by one",
        cycles=_OF_THE_ARRAY,
        traffic="ifm rows and columns in use; weights and bias",
        energy=f"a MAC per product; {_REQUANTIZE}",
    ),
    LayerFacts(
        layer=layers.ConvTranspose,
        integers="as Conv",
        kernel="kernels/conv, ordered_sums, output_stage",
        oracles=_INTERPRETER,
        cycles="folds of its sub-pixel form: stride x stride as many filters of "
        "ceil(kernel / stride) taps, at stride 1",
        traffic="as Conv; the zero taps of kernels that stride does not divide are stored",
        energy="as Conv",
    ),
    LayerFacts(
        layer=layers.Dense,
        integers="as Conv",
        kernel="kernels/micro_drivers; dense, ordered_sums, output_stage",
        oracles=_INTERPRETERS,
        cycles=_OF_THE_ARRAY,
        traffic="weights and bias",
        energy="as Conv",
    ),
    LayerFacts(
        layer=layers.BatchNorm,
        integers="product and bias per channel, one requantize (9)",
        kernel="kernels/elementwise",
        oracles=_INTERPRETER,
        cycles=_PER_OUTPUT,
        traffic="scale and bias per channel",
        energy=f"a MAC per output; {_REQUANTIZE}",
    ),
    LayerFacts(
        layer=layers.Add,
        integers="both aligned, one exact sum, one requantize (9)",
        kernel="kernels/elementwise",
        oracles=_INTERPRETERS,
        cycles=_PER_OUTPUT,
        traffic="the second operand's own elements",
        energy="4 additions per output",
    ),
    LayerFacts(
        layer=layers.Mul,
        integers="exact product, one requantize (9)",
        kernel="kernels/elementwise",
        oracles=_INTERPRETERS,
        cycles=_PER_OUTPUT,
        traffic="the second operand's own elements",
        energy=f"a MAC per output; {_REQUANTIZE}",
    ),
    LayerFacts(
        layer=layers.PRelu,
        integers="a product where negative, one requantize (9)",
        kernel="kernels/elementwise",
        oracles=_INTERPRETER,
        cycles=_PER_OUTPUT,
        traffic="the slopes; a single one is an immediate",
        energy=f"a MAC per output; {_REQUANTIZE}",
    ),
    LayerFacts(
        layer=layers.Lookup,
        integers="a table over raw values; interpolated above 12 bits (11)",
        kernel="kernels/elementwise; tables by quantizer/lookup_table",
        oracles=f"{_INTERPRETER} with tables by mpmath",
        cycles=_PER_OUTPUT,
        traffic="the table: 2**bits entries, 4097 above 12 bits",
        energy=_REQUANTIZE,
    ),
    LayerFacts(
        layer=layers.AveragePool,
        integers="exact sum, one division with one rounding (10)",
        kernel="kernels/pool",
        oracles=_INTERPRETERS,
        cycles="1 element of a window per lane",
        traffic=_FREE,
        energy=f"1 addition per element of a window; {_REQUANTIZE}",
    ),
    LayerFacts(
        layer=layers.LocalResponseNorm,
        integers="none: float64 on the host, then encoded (12)",
        kernel="none",
        oracles="onnxruntime, within float tolerance",
        cycles="host",
        traffic="host",
        energy="host",
    ),
    LayerFacts(
        layer=layers.MaxPool,
        integers="maximum; the padding never wins (10)",
        kernel="kernels/pool",
        oracles=_INTERPRETERS,
        cycles="1 element of a window per lane",
        traffic=_FREE,
        energy="1 addition per element of a window",
    ),
    LayerFacts(
        layer=layers.Clip,
        integers="bounds in the map's format (8); rides on the layer before it where it can",
        kernel="kernels/elementwise",
        oracles=_INTERPRETERS,
        cycles=_PER_OUTPUT,
        traffic=_FREE,
        energy=_REQUANTIZE,
    ),
    LayerFacts(
        layer=layers.Concat,
        integers="none where all inputs share its format, else one requantize (3)",
        kernel="kernels/elementwise",
        oracles=_INTERPRETERS,
        cycles="0 where its inputs share its format: their producers write them in place; else "
        "1 requantized element per lane",
        traffic="the requantized inputs only",
        energy="3 additions per requantized element",
    ),
    LayerFacts(
        layer=layers.Reshape,
        integers="none: another shape",
        kernel="none",
        oracles=_INTERPRETERS,
        cycles=_NONE,
        traffic="none, not even its map",
        energy=_NONE,
    ),
    LayerFacts(
        layer=layers.Transpose,
        integers="none: another order",
        kernel="numpy",
        oracles=_INTERPRETERS,
        cycles=_PER_OUTPUT,
        traffic=_FREE,
        energy="none of its own",
    ),
    LayerFacts(
        layer=layers.Slice,
        integers="none: a part",
        kernel="numpy",
        oracles=_INTERPRETERS,
        cycles=_PER_OUTPUT,
        traffic="reads only its part",
        energy="none of its own",
    ),
    LayerFacts(
        layer=layers.Pad,
        integers="the encoded value around (10)",
        kernel="numpy",
        oracles=_INTERPRETERS,
        cycles=_PER_OUTPUT,
        traffic=_FREE,
        energy="none of its own",
    ),
    LayerFacts(
        layer=layers.Upsample,
        integers="none: repeated",
        kernel="numpy",
        oracles=_INTERPRETERS,
        cycles=_PER_OUTPUT,
        traffic="reads every element once",
        energy="none of its own",
    ),
)
"""One row per class of layers."""


def operator_page() -> str:
    """Write docs/operators.md, in Markdown."""
    operators = [
        (operator.operator, operator.limits, ", ".join(layer.__name__ for layer in operator.layers))
        for operator in OPERATORS
    ]
    facts = [
        (
            one.layer.__name__,
            one.integers,
            one.kernel,
            one.oracles,
            one.cycles,
            one.traffic,
            one.energy,
        )
        for one in LAYERS
    ]
    return "\n".join(
        (
            "# Operators",
            "",
            "Written by `tools/refresh_docs.py` from `quantizer/network/operators.py` and "
            "`accel_sim/operators.py`.",
            "",
            "What of ONNX is read, opsets 11 and up, and the kind of layer that it becomes:",
            "",
            _table(("operator", "supported", "layer"), operators),
            "What every kind of layer computes and costs. Numbers in brackets are rules of "
            "[NUMBERS.md](../quantizer/NUMBERS.md); the assumptions behind the costs are in "
            "[MODEL.md](../accel_sim/MODEL.md). Traffic is what comes on top of one read of the "
            "input and one write of the output; energy is what comes on top of buffers, DRAM, "
            "clock and leakage, which follow accesses and time. Ports and DRAM can stretch the "
            "cycles of any layer.",
            "",
            _table(
                ("layer", "integers", "kernel", "oracles", "cycles", "traffic", "energy"), facts
            ),
        )
    )


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
