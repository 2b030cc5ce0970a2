"""Windows of convolutions and pools: the standard's attributes, in two dimensions.

A window over one dimension is one row high.
"""

from collections.abc import Sequence

from onnx import NodeProto

from quantizer.network.graph import as_image
from quantizer.network.layers import Pads, Pair
from quantizer.network.onnx_reader import NodeReader, attributes, choice


def image(reader: NodeReader, node: NodeProto, tensor: str) -> tuple[int, int, int]:
    """Shape of a map as ``(C, H, W)``; it must have one or two spatial dimensions."""
    shape = reader.shape(node, tensor)
    if len(shape) not in (3, 4):
        raise reader.refuse(
            node,
            f"has a {len(shape)}-dimensional input; expected 4 dimensions (batch, C, H, W), "
            "or 3 (batch, C, W)",
        )
    return as_image(shape[1:])


def pair(node: NodeProto, name: str) -> Pair:
    """(rows, cols) of an attribute that has one number per spatial dimension."""
    return as_pair(attributes(node).get(name, (1, 1)))


def as_pair(numbers: Sequence[int]) -> Pair:
    """(rows, cols) of one number per spatial dimension."""
    rows, cols = (1, *numbers)[-2:]
    return int(rows), int(cols)


def as_pads(numbers: Sequence[int]) -> Pads:
    """(top, left, bottom, right) of the standard's order, all begins before all ends."""
    spatial = len(numbers) // 2
    top, left = (0, *numbers[:spatial])[-2:]
    bottom, right = (0, *numbers[spatial:])[-2:]
    return int(top), int(left), int(bottom), int(right)


def reach(kernel: Pair, dilation: Pair) -> Pair:
    """Extent of a window, its gaps included."""
    rows, cols = ((taps - 1) * gap + 1 for taps, gap in zip(kernel, dilation, strict=True))
    return rows, cols


def pads(reader: NodeReader, node: NodeProto, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    """Resolve auto_pad; (top, left, bottom, right)."""
    auto_pad = choice(node, "auto_pad", "NOTSET")
    if auto_pad == "VALID":
        return (0, 0, 0, 0)
    if auto_pad == "NOTSET":
        found = as_pads(attributes(node).get("pads", (0, 0, 0, 0)))
        if min(found) < 0:
            raise reader.refuse(node, "has negative pads; expected zero or more")
        return found
    before, after = [], []
    sizes = image(reader, node, node.input[0])[1:]
    for size, extent, step in zip(sizes, reach(kernel, dilation), stride, strict=True):
        total = max(0, (-(-size // step) - 1) * step + extent - size)
        small, large = total // 2, total - total // 2
        before.append(small if auto_pad == "SAME_UPPER" else large)
        after.append(large if auto_pad == "SAME_UPPER" else small)
    return (before[0], before[1], after[0], after[1])


def bounded(reader: NodeReader, node: NodeProto, stride: Pair, padding: Pads) -> Pair:
    """Bound a stride by the padded input; beyond it, there is one output whatever it is."""
    _, height, width = image(reader, node, node.input[0])
    top, left, bottom, right = padding
    return min(stride[0], top + height + bottom), min(stride[1], left + width + right)
