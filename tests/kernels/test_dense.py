"""Do the kernels of dense layers sum exactly?"""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.kernels import dense
from tests.fixedpoint.versions import JITTED_AND_PLAIN, Version
from tests.kernels.drawing import PER_KERNEL, UNTOUCHED, formats, raw_maps
from tests.oracles import layers_bigint

Operands = tuple[NDArray[np.int32], NDArray[np.int32]]


@st.composite
def operands(draw: st.DrawFn) -> Operands:
    positions, channels, filters = (draw(st.integers(1, most)) for most in (5, 40, 9))
    form = formats(frac_bits=st.just(0))
    ifm = draw(raw_maps((positions, channels), draw(form)))
    return ifm, draw(raw_maps((filters, channels), draw(form)))


def run_kernel(ifm: NDArray[Any], weights: NDArray[Any], version: Version) -> NDArray[np.int64]:
    """Accumulators [K, M]."""
    acc = np.full((len(weights), len(ifm)), UNTOUCHED, np.int64)
    version(dense.accumulate)(ifm, weights, acc)
    return acc


@JITTED_AND_PLAIN
@PER_KERNEL
@given(operands=operands())
def test_accumulators_equal_big_integers(version: Version, operands: Operands) -> None:
    exact = layers_bigint.multiply_dense(*operands).exact.T
    assert run_kernel(*operands, version).tolist() == exact.tolist()


@JITTED_AND_PLAIN
def test_the_widest_operands_do_not_overflow(version: Version) -> None:
    ifm = np.array([[2**16 - 1] * 4096, [-(2**15)] * 4096], np.int32)
    weights = np.full((3, 4096), -(2**15), np.int32)
    sums = [-4096 * (2**16 - 1) * 2**15, 4096 * 2**30]
    assert run_kernel(ifm, weights, version).tolist() == [sums] * 3


@JITTED_AND_PLAIN
def test_a_matrix_and_two_vectors_by_hand(version: Version) -> None:
    ifm = np.array([[1, 2, 3], [-1, 0, 5]], np.int32)
    weights = np.array([[1, 1, 1], [0, -7, 2]], np.int32)
    assert run_kernel(ifm, weights, version).tolist() == [[6, 4], [-8, 10]]
