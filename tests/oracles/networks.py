"""Small random but legal CNNs over every supported operator, as ONNX models.

What a graph optimizer could rewrite into another arithmetic than the file's is left out, but
for what it folds into a Conv and for a MatMul with an added constant: an activation follows
another only as Relu before Clip, or before Max or Min, and transposes stand before what does not
let them through.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.oracles.network_blocks import (
    BLOCKS,
    Block,
    branches,
    convolution,
    head,
    is_small,
    max_pool,
)
from tests.oracles.network_builder import NEWEST_OPSET, Builder, Tensor

OLDEST_OPSET = 11
SWISH_OPSET = 24


def random_network(seed: int, blocks: Sequence[Block] = BLOCKS) -> onnx.ModelProto:
    """Make a network with batch dimension ``N``, one input and one or more outputs.

    A sixth of them have one dimension of space. The same seed gives the same bytes. ``blocks``
    may leave out what a test does not want.
    """
    rng = np.random.default_rng(seed)
    # The one opset in which onnxruntime runs Swish gets a share of its own.
    opset = (
        SWISH_OPSET if rng.uniform() < 0.15 else int(rng.integers(OLDEST_OPSET, NEWEST_OPSET + 1))
    )
    make = Builder(rng, opset)
    if make.chance(1 / 6):
        shape: tuple[int, ...] = (make.between(1, 3), make.between(12, 24))
    else:
        shape = (make.between(1, 3), make.between(7, 12), make.between(7, 12))
    current = Tensor(name="input", shape=shape)
    first = branches if make.chance(0.25) else convolution
    current = first(make, current)
    maps = [current]
    for _ in range(make.between(2, 6)):
        current = make.pick(blocks)(make, current)
        if not is_small(current):
            current = max_pool(make, current)
        maps.append(current)
    outputs = [current if make.chance(0.15) else head(make, current)]
    if make.chance(0.25):
        earlier = make.pick(maps)
        second = earlier if make.chance(0.5) else head(make, earlier)
        if second.name != outputs[0].name:
            outputs.append(second)
    if outputs[0].name == "input":
        outputs[0] = head(make, current)
    graph = helper.make_graph(
        make.nodes,
        "random_network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [
            helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["N", *output.shape])
            for output in outputs
        ],
        make.constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=max(
            8, min(helper.find_min_ir_version_for([helper.make_opsetid("", opset)]), 13)
        ),
    )
    onnx.checker.check_model(model, full_check=True)
    return model
