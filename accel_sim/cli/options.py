"""Options that several verbs share, declared once.

Declarations only: nothing here reads a file, so that ``--help`` stays fast.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer


def is_number(text: str) -> bool:
    """Whether a text is a whole number without a sign, and not endless."""
    return re.fullmatch("[0-9]{1,9}", text) is not None


def parse_width(text: str) -> int:
    """Read the word length of an operand."""
    if not (is_number(text) and 2 <= int(text) <= 16):
        raise typer.BadParameter(f"expected a width from 2 to 16, got {text!r}")
    return int(text)


def parse_headroom(text: str) -> int:
    """Read by how many bits a range is widened."""
    if text not in ("0", "1"):
        raise typer.BadParameter(f"expected 0 or 1, got {text!r}")
    return int(text)


def parse_count(text: str) -> int:
    """Count something, at least one."""
    if not (is_number(text) and int(text) >= 1):
        raise typer.BadParameter(f"expected a number from 1, got {text!r}")
    return int(text)


def parse_name(text: str) -> str:
    """Read the name of a machine, a network or a method."""
    if not text:
        raise typer.BadParameter("expected a name, got ''")
    return text


def parse_path(text: str) -> Path:
    """Read the path of a file or folder; an empty one would be the current folder."""
    return Path(parse_name(text))


_NETWORK = "Network and images"
_NUMBERS = "Quantization"
_MACHINE = "Machine"
OUTPUT_PANEL = "Output"

Hardware = Annotated[
    str,
    typer.Argument(
        metavar="HW", parser=parse_name, help="YAML file, or the name of a shipped machine."
    ),
]
HardwareList = Annotated[
    list[str],
    typer.Argument(
        metavar="HW...", parser=parse_name, help="YAML files, or names of shipped machines."
    ),
]
NetworkName = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NET",
        parser=parse_name,
        help="An .onnx file, float or QONNX, a SCALE-Sim topology (.csv, for --no-values), or "
        "a built-in network (see: accel-sim list networks); default: the built-in digits CNN.",
        rich_help_panel=_NETWORK,
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        metavar="C,H,W",
        help="For an .onnx file that leaves it open; without the batch.",
        rich_help_panel=_NETWORK,
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="X",
        parser=parse_path,
        help="Images to run: .npz with 'images' and optional 'labels', or a picture folder; "
        "default: the calibration images.",
        rich_help_panel=_NETWORK,
    ),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="C",
        parser=parse_path,
        help="Images from which the formats of the feature maps are chosen.",
        rich_help_panel=_NETWORK,
    ),
]
LimitImages = Annotated[
    int | None,
    typer.Option(
        "--limit-images",
        metavar="N",
        parser=parse_count,
        help="Run only the first N images.",
        rich_help_panel=_NETWORK,
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        "--mean",
        metavar="M[,M,M]",
        help="Subtracted from every pixel, per channel; default 0.",
        rich_help_panel=_NETWORK,
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        metavar="S[,S,S]",
        help="Multiplied after that, such as 1/255; default 1.",
        rich_help_panel=_NETWORK,
    ),
]
LayoutName = Annotated[
    Literal["nhwc", "nchw"] | None,
    typer.Option(
        "--layout",
        help="Axes of the image file; default: nhwc for uint8, nchw for float32.",
        rich_help_panel=_NETWORK,
    ),
]
WeightBits = Annotated[
    int | None,
    typer.Option(
        "--weight-bits",
        metavar="BITS",
        parser=parse_width,
        help="Default: what the machine is built for.",
        rich_help_panel=_NUMBERS,
    ),
]
ActivationBits = Annotated[
    int | None,
    typer.Option(
        "--activation-bits",
        metavar="BITS",
        parser=parse_width,
        help="Default: what the machine is built for.",
        rich_help_panel=_NUMBERS,
    ),
]
InputBits = Annotated[
    int | None,
    typer.Option(
        "--input-bits",
        metavar="BITS",
        parser=parse_width,
        help="Of the network input; default: 8 or the activation bits, the larger, "
        "but not wider than the machine.",
        rich_help_panel=_NUMBERS,
    ),
]
BiasBits = Annotated[
    int | None,
    typer.Option(
        "--bias-bits",
        metavar="BITS",
        parser=parse_width,
        help="Default: 16.",
        rich_help_panel=_NUMBERS,
    ),
]
BitsFile = Annotated[
    Path | None,
    typer.Option(
        "--bits",
        metavar="F.json",
        parser=parse_path,
        help='Widths by layer name, and a "default": weight_bits (weights or slopes), '
        "activation_bits (the layer's output), bias_bits, and input_bits in the default, as in "
        '{"default": {"weight_bits": 6}, "conv1": {"activation_bits": 8}, "fc": 4}; a number '
        "is both weight_bits and activation_bits.",
        rich_help_panel=_NUMBERS,
    ),
]
PerChannel = Annotated[
    bool,
    typer.Option(
        "--per-channel",
        help="Weights and biases have a fraction length per output channel, not per tensor.",
        rich_help_panel=_NUMBERS,
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        parser=parse_name,
        help="How feature-map formats are chosen; default ggd (see: accel-sim list methods).",
        rich_help_panel=_NUMBERS,
    ),
]
EstimatorName = Annotated[
    Literal["moments", "maximum_likelihood", "log_cumulants"] | None,
    typer.Option(
        "--estimator",
        help="How the ggd methods fit their distribution; default: moments.",
        rich_help_panel=_NUMBERS,
    ),
]
HeadroomBits = Annotated[
    int | None,
    typer.Option(
        "--headroom-bits",
        metavar="BITS",
        parser=parse_headroom,
        help="Widen the range of feature maps of 12 bits and more: 0 or 1 bit; default 0.",
        rich_help_panel=_NUMBERS,
    ),
]
Formats = Annotated[
    Path | None,
    typer.Option(
        "--formats",
        metavar="F.json",
        parser=parse_path,
        help="Formats given by tensor name; what it leaves out is calibrated.",
        rich_help_panel=_NUMBERS,
    ),
]
Tune = Annotated[
    bool,
    typer.Option(
        "--tune",
        help="Move fraction lengths, from the last layer backwards, as long as the exact "
        "network gets better on the calibration images.",
        rich_help_panel=_NUMBERS,
    ),
]
TunePasses = Annotated[
    int | None,
    typer.Option(
        "--tune-passes",
        metavar="N",
        parser=parse_count,
        help="How often through all layers, unless nothing changes any more; default 1.",
        rich_help_panel=_NUMBERS,
    ),
]
TuneBudget = Annotated[
    int | None,
    typer.Option(
        "--tune-budget",
        metavar="N",
        parser=parse_count,
        help="How many candidates to try at most; default: all.",
        rich_help_panel=_NUMBERS,
    ),
]
TuneMeasureName = Annotated[
    Literal["sqnr", "top1"] | None,
    typer.Option(
        "--tune-measure",
        help="What is to get better: the SQNR of the output, or first the top-1 accuracy, for "
        "calibration images with labels; default: sqnr.",
        rich_help_panel=_NUMBERS,
    ),
]
ShowConstants = Annotated[
    bool,
    typer.Option(
        "--constants", help="Show every energy and power, its band, and where it comes from."
    ),
]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the machine, such as mac_array.rows=8; repeatable.",
        rich_help_panel=_MACHINE,
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        metavar="N",
        parser=parse_count,
        help="Images the machine processes together: short for --set mapping.batch=N.",
        rich_help_panel=_MACHINE,
    ),
]
NoValues = Annotated[
    bool,
    typer.Option(
        "--no-values", help="Run the performance model alone.", rich_help_panel=OUTPUT_PANEL
    ),
]
JsonOut = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="F",
        parser=parse_path,
        help="Write the whole report.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
CsvOut = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="F",
        parser=parse_path,
        help="Write one line per layer.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
SaveTensors = Annotated[
    Path | None,
    typer.Option(
        "--save-tensors",
        metavar="F.npz",
        parser=parse_path,
        help="Write the integers of every feature map, and all formats.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Trace = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        metavar="F",
        parser=parse_path,
        help="Write the timeline of the run, tile by tile, as Perfetto opens it (Chrome trace "
        "events, JSON).",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
DramTrace = Annotated[
    Path | None,
    typer.Option(
        "--dram-trace",
        metavar="F",
        parser=parse_path,
        help="Write every DRAM burst as DRAMsim3 reads it: address, READ or WRITE, cycle of "
        "the DRAM's clock.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
