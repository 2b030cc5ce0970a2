"""From a map channel by channel to one pixel by pixel, and back."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from quantizer.fixedpoint.jit import jit

_SIDE = 16
"""Of the squares that are transposed at a time, in registers."""
_I64 = ir.IntType(64)


@intrinsic
def _transpose_square(
    typingctx, source, place, step, offset, target, target_place, target_step, rows
):
    """Transpose a square: ``target[r, c] = source[c, r] + offset``, as low bits.

    Reads the whole square and writes the first `rows` rows. Steps lead from row to row.
    """
    signature = types.void(
        source, types.int64, types.int64, types.int64, target, types.int64, types.int64,
        types.int64,
    )  # fmt: skip

    def codegen(context, b, signature, args):
        source_ptr, target_ptr = (
            context.make_array(signature.args[position])(context, b, args[position]).data
            for position in (0, 4)
        )
        read, written = (
            ir.VectorType(ir.IntType(array.dtype.bitwidth), _SIDE) for array in (source, target)
        )
        narrow = min(read, written, key=lambda vector: vector.element.width)

        def convert(vector, kind):
            if vector.type.element.width > kind.element.width:
                return b.trunc(vector, kind)
            if vector.type.element.width == kind.element.width:
                return vector
            return (b.sext if source.dtype.signed else b.zext)(vector, kind)

        def at(pointer, place, step, row, kind):
            index = b.add(place, b.mul(step, ir.Constant(_I64, row)))
            return b.bitcast(b.gep(pointer, [index]), kind.as_pointer())

        half = _SIDE // 2
        lanes = ir.VectorType(ir.IntType(32), _SIDE)
        low, high = (
            ir.Constant(lanes, [part * _SIDE + first + i for i in range(half) for part in range(2)])
            for first in (0, half)
        )
        shift = b.trunc(args[3], narrow.element)
        undefined = ir.Constant(narrow, ir.Undefined)
        first = b.insert_element(undefined, shift, ir.Constant(ir.IntType(32), 0))
        shifts = b.shuffle_vector(first, undefined, ir.Constant(lanes, [0] * _SIDE))
        square = []
        for row in range(_SIDE):
            loaded = b.load(at(source_ptr, args[1], args[2], row, read))
            loaded.align = source.dtype.bitwidth // 8
            square.append(b.add(convert(loaded, narrow), shifts))
        # Interleaving both halves of the rows, as often as they can be halved, transposes.
        for _ in range(_SIDE.bit_length() - 1):
            square = [
                b.shuffle_vector(square[row], square[row + half], mask)
                for row in range(half)
                for mask in (low, high)
            ]
        for row, vector in enumerate(square):
            with b.if_then(b.icmp_signed("<", ir.Constant(_I64, row), args[7])):
                stored = b.store(
                    convert(vector, written), at(target_ptr, args[5], args[6], row, written)
                )
                stored.align = target.dtype.bitwidth // 8
        return context.get_dummy_value()

    return signature, codegen


_transpose: Any = _transpose_square


@jit
def pack_map(ifm, offset, row_step, first, packed):
    """Store a map for the micro-kernels; its padding is there already.

    ``packed[first + h * row_step + w * C + c] = ifm[c, h, w] + offset``.

    Parameters
    ----------
    ifm : int32[C, H, W]
    offset : int
    row_step, first : int
        From row to row, and where the first value goes.
    packed : uint8, int16 or int32[values]
    """
    channels, height, width = ifm.shape
    flat = ifm.reshape(-1)
    plane = height * width
    for h in range(height):
        for w in range(0, width, _SIDE):
            n_pixels = min(_SIDE, width - w)
            for c in range(0, channels, _SIDE):
                source = c * plane + h * width + w
                target = first + h * row_step + w * channels + c
                # A square may reach behind its row, but not behind the map.
                if c + _SIDE <= channels and source + (_SIDE - 1) * plane + _SIDE <= flat.size:
                    _transpose(flat, source, plane, offset, packed, target, channels, n_pixels)
                else:
                    for i in range(n_pixels):
                        for k in range(min(_SIDE, channels - c)):
                            value = flat[source + k * plane + i]
                            packed[target + i * channels + k] = value + offset


@jit
def unpack_map(stored, ofm):
    """Widen a stored map: ``ofm[k, i] = stored[i, k]``.

    Parameters
    ----------
    stored : integers[P*Q, K]
    ofm : int32[K, P*Q]
        Every element is overwritten.
    """
    n_pixels, n_filters = stored.shape
    source, target = stored.reshape(-1), ofm.reshape(-1)
    for start in range(0, n_pixels, _SIDE):
        for k in range(0, n_filters, _SIDE):
            if start + _SIDE <= n_pixels and k + _SIDE <= n_filters:
                place, target_place = start * n_filters + k, k * n_pixels + start
                _transpose(source, place, n_filters, 0, target, target_place, n_pixels, _SIDE)
            else:
                for i in range(start, min(start + _SIDE, n_pixels)):
                    for filter_index in range(k, min(k + _SIDE, n_filters)):
                        ofm[filter_index, i] = stored[i, filter_index]
