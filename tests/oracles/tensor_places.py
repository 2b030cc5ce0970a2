"""Which elements of which tensors a tile holds, one by one."""

from itertools import product

from tests.oracles.loop_nest_walk import block_of, pieces, positions_read


def tile_elements(problem, at):
    """Numbers of the elements of each tensor that lie in a tile.

    Parameters
    ----------
    at
        Number of the tile along each loop, by name.
    """
    tile = problem.tile
    n_filters, n_channels = problem.filters, problem.channels
    groups = pieces(problem.groups, tile["groups"])[at["groups"]]
    filters = pieces(n_filters, tile["filters"])[at["filters"]]
    channels = pieces(n_channels, tile["channels"])[at["channels"]]
    images, out_rows, out_cols = list(
        product(
            pieces(problem.batch, tile["batch"]),
            pieces(problem.outputs[0], tile["output_rows"]),
            pieces(problem.outputs[1], tile["output_cols"]),
        )
    )[at["pixels"]]
    in_rows = sorted(positions_read(problem, 0, out_rows))
    in_cols = sorted(positions_read(problem, 1, out_cols))
    whole_cols = range(in_cols[0], in_cols[-1] + 1) if in_cols else []
    (height, width), (out_height, out_width) = problem.inputs, problem.outputs
    taps = problem.window[0] * problem.window[1]

    def outputs(of_group, kept):
        return [
            (((n * problem.groups + g) * of_group + k) * out_height + p) * out_width + q
            for n, g, k, p, q in product(images, groups, kept, out_rows, out_cols)
        ]

    weights = []
    for g, k in product(groups, filters):
        if problem.is_mac:
            own = [c for c in range(n_channels) if block_of(problem, c=c) == block_of(problem, k=k)]
            held = [number for number, c in enumerate(own) if c in channels]
            size, kept = len(own) * taps, [c * taps + tap for c in held for tap in range(taps)]
        else:
            size, kept = problem.group_weights, list(range(problem.group_weights))
        weights += [(g * n_filters + k) * size + number for number in kept]
    return {
        "ifm": [
            (((n * problem.groups + g) * n_channels + c) * height + y) * width + x
            for n, g, c, y, x in product(images, groups, channels, in_rows, whole_cols)
        ],
        "residual": list(groups) if problem.shares_residual else outputs(1, [0]),
        "weight": weights,
        "bias": [g * n_filters + k for g, k in product(groups, filters)],
        "psum": outputs(n_filters, filters),
        "ofm": outputs(n_filters, filters),
    }
