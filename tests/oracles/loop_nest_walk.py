"""A tiled loop nest, walked tile by tile and position by position.

Nothing is derived: sets of positions are collected, folds are walked one by one, and an
operand is fetched when its tile is not the one that is there.
"""

from dataclasses import dataclass, field
from itertools import product


@dataclass
class Problem:
    """A layer, a tile and an order. Pads are (top, left).

    With several blocks, filters and channels of a group fall into as many equal parts, and
    a filter has weights for the channels of its own part only; blocks that are apart meet no
    channels of other blocks on the array. Off the array, a group has
    `group_weights` (and a bias), and may read one element of the second operand for all of
    its outputs; a copy reads no padding. DRAM moves nothing of the operands `on_chip`.

    A processing element has `multipliers` for products of one output (along the reduction) or
    for filters, of one block; it uses no more of them than a block could ever feed.

    A row-stationary array has `passes`: rows of a filter in a set, rows of a strip, filters and
    channels of a processing element, and the numbers of sets along each. Where the weights of
    the largest tile have more bits than `kept_weight_bits`, none stay for the next tile.
    """

    batch: int
    groups: int
    filters: int
    channels: int
    window: tuple
    outputs: tuple
    inputs: tuple
    stride: tuple
    dilation: tuple
    pads: tuple
    tile: dict
    order: tuple
    bits: dict
    ports: dict
    rows: int
    cols: int
    dataflow: str
    is_mac: bool = True
    is_copy: bool = False
    blocks: int = 1
    blocks_are_apart: bool = False
    group_weights: int = 0
    shares_residual: bool = False
    passes: dict | None = None
    kept_weight_bits: int | None = None
    multipliers: int = 1
    along: str = "reduction"
    on_chip: tuple = ()

    @property
    def products_at_once(self):
        if self.along != "reduction":
            return 1
        takes_one_tap = self.dataflow == "channel_parallel" and not self.blocks_are_apart
        taps = 1 if takes_one_tap else self.window[0] * self.window[1]
        return min(self.multipliers, self.channels // self.blocks * taps)

    @property
    def filters_at_once(self):
        return min(self.multipliers, self.filters // self.blocks) if self.along == "filters" else 1

    def over_dram(self, operand):
        """Bits of an element that DRAM moves."""
        return 0 if operand in self.on_chip else self.bits[operand]


@dataclass
class Step:
    """One tile: what DRAM brings before it and takes after it, its folds and their words.

    A fold is (rows used, columns used, steps in time). A pass is (cycles with products, cycles
    with other additions, weights).
    A fold is (rows used, columns used, steps in time); what a processing element works on at
    once is one row, column or step.
    """

    loads: dict
    stores: dict
    folds: list
    words: dict
    outputs: int
    is_last: bool
    extents: tuple = ()
    passes: list = field(default_factory=list)


@dataclass
class Walk:
    """Counts of a whole layer."""

    dram_bits: dict = field(
        default_factory=lambda: dict.fromkeys(
            ("ifm", "residual", "weights", "psum_read", "psum_write", "ofm"), 0
        )
    )
    words: dict = field(
        default_factory=lambda: dict.fromkeys(
            ("ifm_reads", "weight_reads", "psum_reads", "psum_writes", "ofm_writes"), 0
        )
    )
    lane_bits: dict = field(
        default_factory=lambda: dict.fromkeys(("ifm", "residual", "weights", "ofm"), 0)
    )
    folds: int = 0
    drained_psums: int = 0
    steps: list = field(default_factory=list)


def pieces(extent, size):
    return [range(start, min(start + size, extent)) for start in range(0, extent, size)]


def positions_read(problem, axis, outputs):
    """Input positions along an axis that a run of outputs reads."""
    return {
        p * problem.stride[axis] + r * problem.dilation[axis] - problem.pads[axis]
        for p in outputs
        for r in range(problem.window[axis])
        if 0
        <= p * problem.stride[axis] + r * problem.dilation[axis] - problem.pads[axis]
        < problem.inputs[axis]
    }


def words_of(elements, bits, port_bits):
    return -(-elements * bits // port_bits)


def chunks(items, size):
    return [items[start : start + size] for start in range(0, len(items), size)]


def walk(problem):
    """Run the whole layer."""
    tile = problem.tile
    loops = {
        "groups": pieces(problem.groups, tile["groups"]),
        "pixels": list(
            product(
                pieces(problem.batch, tile["batch"]),
                pieces(problem.outputs[0], tile["output_rows"]),
                pieces(problem.outputs[1], tile["output_cols"]),
            )
        ),
        "filters": pieces(problem.filters, tile["filters"]),
        "channels": pieces(problem.channels, tile["channels"]),
    }
    result = Walk()
    there = {"ifm": None, "weights": None, "psum": None, "residual": None}
    visits = list(product(*(range(len(loops[loop])) for loop in problem.order)))
    for number, visit in enumerate(visits):
        at = dict(zip(problem.order, visit, strict=True))
        groups, filters = loops["groups"][at["groups"]], loops["filters"][at["filters"]]
        channels = loops["channels"][at["channels"]]
        images, out_rows, out_cols = loops["pixels"][at["pixels"]]
        pixels = len(images) * len(out_rows) * len(out_cols)
        is_first = at["channels"] == 0
        is_last = at["channels"] == len(loops["channels"]) - 1
        step = Step(loads={}, stores={}, folds=[], words={}, outputs=0, is_last=is_last)
        step.extents = (len(images), len(out_rows), len(out_cols))

        wanted = {
            "ifm": (at["groups"], at["pixels"], at["channels"]),
            "weights": (at["groups"], at["filters"], at["channels"]),
            "psum": (at["groups"], at["pixels"], at["filters"]),
            "residual": (at["groups"], None if problem.shares_residual else at["pixels"]),
        }
        in_rows = positions_read(problem, 0, out_rows)
        in_cols = positions_read(problem, 1, out_cols)
        span = max(in_cols) - min(in_cols) + 1 if in_cols else 0
        if there["ifm"] != wanted["ifm"]:
            box = len(in_rows) * span * len(images) * len(channels) * len(groups)
            result.dram_bits["ifm"] += box * problem.over_dram("ifm")
            step.loads["ifm"] = box * problem.over_dram("ifm")
            if there["residual"] != wanted["residual"]:
                elements = (1 if problem.shares_residual else pixels) * len(groups)
                result.dram_bits["residual"] += elements * problem.over_dram("residual")
                step.loads["ifm"] += elements * problem.over_dram("residual")
        if loses_weights(problem):
            there = {**there, "weights": None}
        if (problem.is_mac or problem.group_weights) and there["weights"] != wanted["weights"]:
            moved = 0
            for _, k in product(groups, filters):
                taps = problem.window[0] * problem.window[1]
                own = [c for c in channels if block_of(problem, c=c) == block_of(problem, k=k)]
                weights = len(own) * taps if problem.is_mac else problem.group_weights
                moved += weights * problem.bits["weight"]
                moved += problem.bits["bias"] if is_last else 0
            result.dram_bits["weights"] += moved
            step.loads["weights"] = moved
        outputs = pixels * len(groups) * len(filters)
        if there["psum"] != wanted["psum"] and not is_first:
            result.dram_bits["psum_read"] += outputs * problem.bits["psum"]
            step.loads["psum"] = outputs * problem.bits["psum"]
        there = wanted

        following = None
        if number + 1 < len(visits):
            then = dict(zip(problem.order, visits[number + 1], strict=True))
            following = (then["groups"], then["pixels"], then["filters"])
        if following != wanted["psum"]:
            if is_last:
                result.dram_bits["ofm"] += outputs * problem.over_dram("ofm")
                step.stores["ofm"] = outputs * problem.over_dram("ofm")
            else:
                result.dram_bits["psum_write"] += outputs * problem.bits["psum"]
                step.stores["psum"] = outputs * problem.bits["psum"]

        before = dict(result.words)
        if problem.is_mac:
            work = {
                "output_stationary": work_output_stationary,
                "weight_stationary": work_weight_stationary,
                "input_stationary": work_input_stationary,
                "channel_parallel": work_channel_parallel,
                "row_stationary": work_row_stationary,
            }[problem.dataflow]
            work(problem, result, step, groups, pixels, filters, channels, is_first)
        else:
            inputs = len(in_rows) * span * len(images)
            work_on_lanes(problem, result, groups, pixels, inputs, filters)
        step.words = {name: words - before[name] for name, words in result.words.items()}
        step.outputs = outputs
        result.steps.append(step)
    return result


def block_of(problem, *, k=None, c=None):
    """Part of a group that a filter or a channel belongs to."""
    if k is not None:
        return k // (problem.filters // problem.blocks)
    return c // (problem.channels // problem.blocks)


def loses_weights(problem):
    """Whether the weights of the largest tile are too many to stay."""
    if problem.kept_weight_bits is None:
        return False
    tile = problem.tile
    taps = problem.window[0] * problem.window[1]
    weights = tile["groups"] * tile["filters"] * tile["channels"] * taps
    return weights * problem.bits["weight"] > problem.kept_weight_bits


def bunches(items, size, block):
    """Neighbours of one block, up to `size`, that a processing element works on at once."""
    found = []
    for item in items:
        if found and len(found[-1]) < size and block(found[-1][0]) == block(item):
            found[-1].append(item)
        else:
            found.append([item])
    return found


def bunched_filters(problem, filters):
    return bunches(filters, problem.filters_at_once, lambda k: block_of(problem, k=k))


def bunched_products(problem, products):
    """Products begin with their channel."""
    size = problem.products_at_once
    return bunches(products, size, lambda one: block_of(problem, c=one[0]))


def brought(bits, problem, *, products=False, filters=False):
    """Bits for each processing element: always as many operands as it can use."""
    many = problem.products_at_once if products else 1
    return bits * many * (problem.filters_at_once if filters else 1)


def work_on_lanes(problem, result, groups, pixels, inputs, filters):
    """Every tile reads each operand once and writes each output once."""
    taps = problem.window[0] * problem.window[1]
    bits = dict.fromkeys(result.lane_bits, 0)
    for _ in groups:
        bits["weights"] += problem.group_weights * problem.bits["weight"] + problem.bits["bias"]
        bits["residual"] += problem.bits["residual"] if problem.shares_residual else 0
        bits["ifm"] += inputs * problem.bits["ifm"] if problem.is_copy else 0
        for _ in range(pixels):
            bits["ifm"] += 0 if problem.is_copy else taps * problem.bits["ifm"]
            bits["residual"] += 0 if problem.shares_residual else problem.bits["residual"]
            bits["ofm"] += len(filters) * problem.bits["ofm"]
    for name, moved in bits.items():
        result.lane_bits[name] += moved
    result.words["ifm_reads"] += words_of(1, bits["ifm"], problem.ports["ifm"])
    result.words["ifm_reads"] += words_of(1, bits["residual"], problem.ports["ifm"])
    result.words["weight_reads"] += words_of(1, bits["weights"], problem.ports["weights"])
    result.words["ofm_writes"] += words_of(1, bits["ofm"], problem.ports["ofm"])


def work_output_stationary(problem, result, step, groups, pixels, filters, channels, is_first):
    """Walk the folds of one tile and count the words that each needs."""
    taps = problem.window[0] * problem.window[1]
    ifm_bits = brought(problem.bits["ifm"], problem, products=True)
    weight_bits = brought(problem.bits["weight"], problem, products=True, filters=True)
    steps = bunched_products(problem, list(product(channels, range(taps))))
    for _ in groups:
        for used_pixels in chunks(list(range(pixels)), problem.rows):
            for used_filters in chunks(bunched_filters(problem, filters), problem.cols):
                step.folds.append((len(used_pixels), len(used_filters), len(steps)))
                result.folds += 1
                for together in steps:
                    own = own_filters(problem, used_filters, together[0])
                    result.words["ifm_reads"] += words_of(
                        len(used_pixels), ifm_bits, problem.ports["ifm"]
                    )
                    result.words["weight_reads"] += words_of(
                        len(own), weight_bits, problem.ports["weights"]
                    )
                for _ in used_pixels:
                    leave_columns(
                        problem, result, len(used_filters), begins=is_first, ends=step.is_last
                    )
                    result.drained_psums += sum(len(bunch) for bunch in used_filters)


def work_weight_stationary(problem, result, step, groups, pixels, filters, channels, is_first):
    """Weights are loaded row by row, then the pixels stream through them."""
    ports = problem.ports
    ifm_bits = brought(problem.bits["ifm"], problem, products=True)
    weight_bits = brought(problem.bits["weight"], problem, products=True, filters=True)
    products = list(product(channels, range(problem.window[0]), range(problem.window[1])))
    for _ in groups:
        for used_filters in chunks(bunched_filters(problem, filters), problem.cols):
            parts = chunks(bunched_products(problem, products), problem.rows)
            for number, used_products in enumerate(parts):
                step.folds.append((len(used_products), len(used_filters), pixels))
                result.folds += 1
                for together in used_products:
                    own = own_filters(problem, used_filters, together[0])
                    result.words["weight_reads"] += words_of(
                        len(own), weight_bits, ports["weights"]
                    )
                for _ in range(pixels):
                    result.words["ifm_reads"] += words_of(
                        len(used_products), ifm_bits, ports["ifm"]
                    )
                    leave_columns(
                        problem, result, len(used_filters),
                        begins=is_first and number == 0,
                        ends=step.is_last and number == len(parts) - 1,
                    )  # fmt: skip
                    result.drained_psums += sum(len(bunch) for bunch in used_filters)


def own_filters(problem, used_filters, a_product):
    """Bunches of filters that have weights for a product."""
    block = block_of(problem, c=a_product[0])
    return [bunch for bunch in used_filters if block_of(problem, k=bunch[0]) == block]


def work_input_stationary(problem, result, step, groups, pixels, filters, channels, is_first):
    """The ifm is loaded row by row, then the filters stream through it."""
    ports = problem.ports
    ifm_bits = brought(problem.bits["ifm"], problem, products=True)
    weight_bits = brought(problem.bits["weight"], problem, products=True, filters=True)
    products = list(product(channels, range(problem.window[0]), range(problem.window[1])))
    steps = bunched_filters(problem, filters)
    for _ in groups:
        for used_pixels in chunks(list(range(pixels)), problem.cols):
            parts = chunks(bunched_products(problem, products), problem.rows)
            for number, used_products in enumerate(parts):
                step.folds.append((len(used_products), len(used_pixels), len(steps)))
                result.folds += 1
                for _ in used_products:
                    result.words["ifm_reads"] += words_of(len(used_pixels), ifm_bits, ports["ifm"])
                for bunch in steps:
                    own = [
                        together for together in used_products
                        if block_of(problem, c=together[0][0]) == block_of(problem, k=bunch[0])
                    ]  # fmt: skip
                    result.words["weight_reads"] += words_of(
                        len(own), weight_bits, ports["weights"]
                    )
                    leave_columns(
                        problem, result, len(used_pixels),
                        begins=is_first and number == 0,
                        ends=step.is_last and number == len(parts) - 1,
                    )  # fmt: skip
                    result.drained_psums += len(used_pixels) * len(bunch)


def work_channel_parallel(problem, result, step, groups, pixels, filters, channels, is_first):
    """Weights are loaded row by row, then every pixel is broadcast to all columns."""
    for _ in groups:
        for used_filters in chunks(bunched_filters(problem, filters), problem.cols):
            parts = tree_inputs(problem, channels)
            for number, used_products in enumerate(parts):
                step.folds.append((len(used_products), len(used_filters), pixels))
                result.folds += 1
                for together in used_products:
                    read_weights_of_row(problem, result, used_filters, together)
                for _ in range(pixels):
                    read_tree_operands(problem, result, used_filters, used_products)
                    leave_columns(
                        problem, result, len(used_filters),
                        begins=is_first and number == 0,
                        ends=step.is_last and number == len(parts) - 1,
                    )  # fmt: skip
                    result.drained_psums += sum(len(bunch) for bunch in used_filters)


def tree_inputs(problem, channels):
    """What the rows take, fold by fold: lists of bunches of (channel, tap).

    Channels at one tap; where blocks are apart, products of the first of them, as the others
    take theirs at the same places.
    """
    taps = list(product(range(problem.window[0]), range(problem.window[1])))
    if problem.blocks_are_apart:
        own = [c for c in channels if block_of(problem, c=c) == 0]
        return chunks(bunched_products(problem, list(product(own, taps))), problem.rows)
    rows = bunched_products(problem, [(c, None) for c in channels])
    return [
        [[(c, tap) for c, _ in bunch] for bunch in together]
        for together in chunks(rows, problem.rows)
        for tap in taps
    ]


def read_weights_of_row(problem, result, used_filters, used_products):
    own = used_filters
    if not problem.blocks_are_apart:
        own = own_filters(problem, used_filters, used_products[0])
    bits = brought(problem.bits["weight"], problem, products=True, filters=True)
    result.words["weight_reads"] += words_of(len(own), bits, problem.ports["weights"])


def read_tree_operands(problem, result, used_filters, used_products):
    """One pixel: a vector for all columns, or for each row as many operands as blocks."""
    bits, port = brought(problem.bits["ifm"], problem, products=True), problem.ports["ifm"]
    if not problem.blocks_are_apart:
        result.words["ifm_reads"] += words_of(len(used_products), bits, port)
        return
    used_blocks = {block_of(problem, k=bunch[0]) for bunch in used_filters}
    for _ in used_products:
        result.words["ifm_reads"] += words_of(len(used_blocks), bits, port)


def leave_columns(problem, result, columns, *, begins, ends):
    """What a processing element has of sums leaves each column: to go on later, or finished."""
    psum_bits = brought(problem.bits["psum"], problem, filters=True)
    ofm_bits = brought(problem.bits["ofm"], problem, filters=True)
    psum = words_of(columns, psum_bits, problem.ports["psum"])
    result.words["psum_reads"] += 0 if begins else psum
    result.words["psum_writes"] += 0 if ends else psum
    if ends:
        result.words["ofm_writes"] += words_of(columns, ofm_bits, problem.ports["ofm"])


def work_row_stationary(problem, result, step, groups, pixels, filters, channels, is_first):
    """Every set of processing elements keeps its weights while all outputs of the tile go by."""
    shape, bits, ports = problem.passes, problem.bits, problem.ports
    images, cols = step.extents[0], step.extents[2]
    strips = chunks(list(range(step.extents[1])), shape["strip_rows"])
    taps_in_turn = chunks(list(range(problem.window[0])), shape["filter_rows"])
    sums_before = 0 if is_first else 1
    for _ in groups:
        for dealt in deal(list(filters), shape["filters_per_pe"], shape["filter_sets"]):
            for number, (kept, taps) in enumerate(
                product(
                    deal(list(channels), shape["channels_per_pe"], shape["channel_sets"]),
                    taps_in_turn,
                )
            ):
                n_parts = len(taps_in_turn) * len(
                    deal(list(channels), shape["channels_per_pe"], shape["channel_sets"])
                )
                begins = sums_before == 0 and number == 0
                ends = step.is_last and number == n_parts - 1
                in_pass = [c for own in kept for c in own]
                weights = 0
                for own_filters in dealt:
                    for _ in own_filters:
                        in_filter = len(in_pass) * len(taps) * problem.window[1]
                        weights += in_filter
                        result.words["weight_reads"] += words_of(
                            in_filter, bits["weight"], ports["weights"]
                        )
                products = additions = 0
                for _ in range(images):
                    for together in chunks(strips, shape["row_sets"]):
                        rows = [row for strip in together for row in strip]
                        read_rows_of_ifm(problem, result, rows, taps, cols, in_pass)
                        for _ in range(cols):
                            # All elements wait for the one with the most to do.
                            most = max(len(own) for own in dealt)
                            products += most * max(len(own) for own in kept) * problem.window[1]
                            additions += most
                        for _ in product(rows, range(cols)):
                            for own_filters in dealt:
                                result.drained_psums += len(own_filters)
                                leave_columns(
                                    problem, result, len(own_filters), begins=begins, ends=ends
                                )
                step.passes.append((products, additions, weights))
                result.folds += 1


def deal(items, of_pe, sets):
    """Deal items out: lists of what each set takes, pass by pass."""
    return chunks(chunks(items, of_pe), sets)


def read_rows_of_ifm(problem, result, rows, taps, cols, channels):
    """The rows from first to last that some output row needs, or row by row where that is less.

    Columns likewise; what lies in the padding is read like everything else.
    """
    extents = []
    for axis, outputs, window in (
        (0, rows, taps),
        (1, range(cols), range(problem.window[1])),
    ):
        places = [
            out * problem.stride[axis] + tap * problem.dilation[axis]
            for out in outputs
            for tap in window
        ]
        extents.append(min(len(places), max(places) - min(places) + 1))
    for _ in product(channels, range(extents[0])):
        result.words["ifm_reads"] += words_of(extents[1], problem.bits["ifm"], problem.ports["ifm"])
