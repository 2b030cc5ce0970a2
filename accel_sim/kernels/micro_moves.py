"""From a map pixel by pixel to one channel by channel."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from quantizer.fixedpoint.jit import jit

_SIDE = 16
"""Of the squares that are transposed at a time, in registers."""
_I64 = ir.IntType(64)


@intrinsic
def _transpose_square(typingctx, source, place, step, target, target_place, target_step):
    """Transpose a square and widen it: ``target[r, c] = source[c, r]``.

    Steps lead from row to row.
    """
    signature = types.void(source, types.int64, types.int64, target, types.int64, types.int64)

    def codegen(context, b, signature, args):
        source_ptr, target_ptr = (
            context.make_array(signature.args[position])(context, b, args[position]).data
            for position in (0, 3)
        )
        read, written = (
            ir.VectorType(ir.IntType(array.dtype.bitwidth), _SIDE) for array in (source, target)
        )

        def at(pointer, place, step, row, kind):
            index = b.add(place, b.mul(step, ir.Constant(_I64, row)))
            return b.bitcast(b.gep(pointer, [index]), kind.as_pointer())

        half = _SIDE // 2
        lanes = ir.VectorType(ir.IntType(32), _SIDE)
        low, high = (
            ir.Constant(lanes, [part * _SIDE + first + i for i in range(half) for part in range(2)])
            for first in (0, half)
        )
        square = []
        for row in range(_SIDE):
            loaded = b.load(at(source_ptr, args[1], args[2], row, read))
            loaded.align = source.dtype.bitwidth // 8
            square.append(loaded)
        # Interleaving both halves of the rows, as often as they can be halved, transposes.
        for _ in range(_SIDE.bit_length() - 1):
            square = [
                b.shuffle_vector(square[row], square[row + half], mask)
                for row in range(half)
                for mask in (low, high)
            ]
        for row, vector in enumerate(square):
            if read != written:
                vector = (b.sext if source.dtype.signed else b.zext)(vector, written)
            stored = b.store(vector, at(target_ptr, args[4], args[5], row, written))
            stored.align = target.dtype.bitwidth // 8
        return context.get_dummy_value()

    return signature, codegen


_transpose: Any = _transpose_square


@jit
def unpack_map(stored, ofm):
    """Widen a stored map: ``ofm[k, i] = stored[i, k]``.

    Parameters
    ----------
    stored : integers[P*Q, K]
        Of 32 bits at most.
    ofm : int32[K, P*Q]
        Every element is overwritten.
    """
    n_pixels, n_filters = stored.shape
    source, target = stored.reshape(-1), ofm.reshape(-1)
    for start in range(0, n_pixels, _SIDE):
        for k in range(0, n_filters, _SIDE):
            if start + _SIDE <= n_pixels and k + _SIDE <= n_filters:
                place, target_place = start * n_filters + k, k * n_pixels + start
                _transpose(source, place, n_filters, target, target_place, n_pixels)
            else:
                for i in range(start, min(start + _SIDE, n_pixels)):
                    for filter_index in range(k, min(k + _SIDE, n_filters)):
                        ofm[filter_index, i] = stored[i, filter_index]
