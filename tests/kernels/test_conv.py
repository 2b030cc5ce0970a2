"""Do the convolution kernels sum exactly, whatever the geometry?"""

import numpy as np
import onnxruntime
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.fixedpoint.versions import JITTED_AND_PLAIN, Version
from tests.kernels.convolution import AccType, Convolution, run_kernels
from tests.kernels.drawing import PER_KERNEL, formats, raw_maps
from tests.oracles import layers_bigint
from tests.oracles.fixed_point import Format

U8 = Format(bits=8, frac_bits=0, signed=False)
S8 = Format(bits=8, frac_bits=0, signed=True)
ANY_SCALE = st.just(0)
BOTH_ACCUMULATORS = pytest.mark.parametrize("acc_type", [np.int32, np.int64])


def exact_sums(case: Convolution) -> NDArray[np.int64]:
    """By the oracle; every sum that the tests draw fits in int64."""
    sums = layers_bigint.convolve(
        case.ifm[None],
        case.weights,
        strides=case.stride,
        pads=case.pads,
        dilations=case.dilation,
        groups=case.groups,
    )
    return np.asarray(sums.exact[0], np.int64)


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    """(rows, cols)."""
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw: st.DrawFn, ifm_form: Format, weight_form: Format) -> Convolution:
    groups = draw(st.integers(1, 3))
    channels = draw(st.integers(1, 3))
    filters = groups * draw(st.integers(1, 6))
    case = Convolution(
        ifm=draw(raw_maps((groups * channels, *draw(pairs(1, 8))), ifm_form)),
        weights=draw(raw_maps((filters, channels, *draw(pairs(1, 3))), weight_form)),
        stride=draw(pairs(1, 4)),
        pads=(*draw(pairs(0, 4)), *draw(pairs(0, 4))),
        dilation=draw(pairs(1, 3)),
        groups=groups,
    )
    assume(min(case.out_shape) >= 1)
    return case


def convolutions_up_to(bits: int) -> st.SearchStrategy[Convolution]:
    form = formats(frac_bits=ANY_SCALE, max_bits=bits)
    return st.tuples(form, form).flatmap(lambda forms: convolutions(*forms))


@JITTED_AND_PLAIN
@PER_KERNEL
@given(case=convolutions_up_to(16))
def test_int64_accumulators_equal_big_integers(version: Version, case: Convolution) -> None:
    found = run_kernels(case, version, np.int64)
    np.testing.assert_array_equal(found, exact_sums(case))


# 27 products of 24 bits stay within 29.
@JITTED_AND_PLAIN
@PER_KERNEL
@given(case=convolutions_up_to(12))
def test_int32_accumulators_equal_big_integers(version: Version, case: Convolution) -> None:
    found = run_kernels(case, version, np.int32)
    np.testing.assert_array_equal(found, exact_sums(case))


def seeded_convolution(
    ifm_shape: tuple[int, int, int],
    weights_shape: tuple[int, int, int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Convolution:
    """8-bit operands, always the same."""
    rng = np.random.default_rng(0)
    return Convolution(
        ifm=rng.integers(-128, 256, ifm_shape),
        weights=rng.integers(-128, 128, weights_shape),
        stride=stride,
        pads=pads,
        dilation=dilation,
        groups=groups,
    )


CORNERS = {
    "a map of one pixel": seeded_convolution((5, 1, 1), (7, 5, 1, 1)),
    "one pixel inside its padding": seeded_convolution((2, 1, 1), (3, 2, 3, 3), pads=(1, 1, 1, 1)),
    "nothing but padding": seeded_convolution(
        (1, 2, 2), (1, 1, 1, 1), stride=(5, 5), pads=(1, 1, 0, 0)
    ),
    "depthwise": seeded_convolution((6, 5, 7), (6, 1, 3, 3), pads=(1, 1, 1, 1), groups=6),
    "depthwise, three filters each": seeded_convolution((3, 5, 4), (9, 1, 2, 3), groups=3),
    "groups of five filters": seeded_convolution((4, 4, 4), (10, 2, 2, 2), groups=2),
    "a stride wider than the kernel": seeded_convolution((2, 9, 9), (4, 2, 2, 1), stride=(4, 3)),
    "a stride wider than the map": seeded_convolution((2, 3, 4), (5, 2, 2, 2), stride=(7, 9)),
    "rows and columns apart": seeded_convolution(
        (2, 9, 5), (3, 2, 3, 1), stride=(3, 1), pads=(2, 0, 1, 3)
    ),
    "a dilated kernel as wide as the map": seeded_convolution(
        (2, 7, 7), (3, 2, 3, 3), dilation=(3, 3)
    ),
    "stride and dilation with a common factor": seeded_convolution(
        (2, 9, 8), (5, 2, 3, 3), stride=(2, 2), pads=(2, 1, 3, 0), dilation=(2, 2)
    ),
    "stride and dilation without one": seeded_convolution(
        (2, 9, 11), (5, 2, 3, 3), stride=(3, 2), pads=(0, 3, 1, 2), dilation=(2, 3)
    ),
    "more padding than kernel": seeded_convolution((1, 3, 3), (2, 1, 2, 2), pads=(5, 0, 4, 6)),
    "rows left over below": seeded_convolution((1, 8, 8), (2, 1, 3, 3), stride=(3, 3)),
    "several blocks of pixels and of filters": seeded_convolution(
        (2, 30, 41), (6, 2, 3, 3), pads=(1, 1, 1, 1)
    ),
}
# The kernel works on blocks of 512 pixels.
CORNERS |= {
    f"{pixels} pixels": seeded_convolution((1, 1, pixels + 2), (5, 1, 1, 3))
    for pixels in (511, 512, 513, 1024, 1025)
}


@JITTED_AND_PLAIN
@BOTH_ACCUMULATORS
@pytest.mark.parametrize("case", CORNERS.values(), ids=CORNERS)
def test_a_corner_of_the_geometry_is_exact(
    version: Version, acc_type: AccType, case: Convolution
) -> None:
    found = run_kernels(case, version, acc_type)
    np.testing.assert_array_equal(found, exact_sums(case))


@JITTED_AND_PLAIN
@pytest.mark.parametrize(
    ("acc_type", "ifm", "weight", "channels"),
    [
        # Just under 2**31, and -2**31 itself.
        (np.int32, 2**16 - 1, 2**15 - 1, 1),
        (np.int32, -(2**15), 2**14, 4),
        # The widest operands there are: about 2**43.
        (np.int64, 2**16 - 1, -(2**15), 4096),
        (np.int64, -(2**15), -(2**15), 4096),
    ],
)
def test_sums_are_exact_up_to_the_ends(
    version: Version, acc_type: AccType, ifm: int, weight: int, channels: int
) -> None:
    case = Convolution(
        ifm=np.full((channels, 1, 1), ifm), weights=np.full((5, channels, 1, 1), weight)
    )
    assert run_kernels(case, version, acc_type).ravel().tolist() == [channels * ifm * weight] * 5


def run_onnxruntime(case: Convolution) -> NDArray[np.int32]:
    """Accumulators of ConvInteger.

    The signed weights go in as unsigned ones with zero point 128: on processors without
    VNNI, onnxruntime's kernels for signed weights saturate sums of two products at 16 bits.
    """
    offset = helper.make_tensor("offset", TensorProto.UINT8, [], [128])
    node = helper.make_node(
        "ConvInteger",
        ["ifm", "weights", "", "offset"],
        ["acc"],
        strides=case.stride,
        pads=case.pads,
        dilations=case.dilation,
        group=case.groups,
    )
    operands = {
        "ifm": case.ifm[None].astype(np.uint8),
        "weights": (case.weights + 128).astype(np.uint8),
    }
    graph = helper.make_graph(
        [node],
        "conv_integer",
        [
            helper.make_tensor_value_info(name, TensorProto.UINT8, array.shape)
            for name, array in operands.items()
        ],
        [helper.make_tensor_value_info("acc", TensorProto.INT32, None)],
        [offset],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (acc,) = session.run(None, operands)
    return np.asarray(acc[0], np.int32)


@PER_KERNEL
@given(case=convolutions(U8, S8))
def test_accumulators_of_8_bit_operands_equal_onnxruntime(case: Convolution) -> None:
    found = run_kernels(case, lambda kernel: kernel, np.int32)
    np.testing.assert_array_equal(found, run_onnxruntime(case))
