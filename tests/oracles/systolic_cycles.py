"""Closed forms for the compute cycles of a layer on a systolic array.

Source: Samajdar et al., "A Systematic Methodology for Characterizing Scalability of DNN
Accelerators using SCALE-Sim", ISPASS 2020: a fold takes ``2R + C + T - 2`` cycles, of
which ``R`` load the operand that stays. SCALE-Sim 3.0.0 runs an output-stationary fold
without them.
"""


def systolic_cycles(dataflow, rows, cols, pixels, reduction, filters):
    if dataflow == "output_stationary":
        return -(-pixels // rows) * -(-filters // cols) * (reduction + rows + cols - 2)
    if dataflow == "weight_stationary":
        return -(-reduction // rows) * -(-filters // cols) * (pixels + 2 * rows + cols - 2)
    return -(-reduction // rows) * -(-pixels // cols) * (filters + 2 * rows + cols - 2)


def grouped_cycles(dataflow, rows, cols, groups, together, pixels, reduction, filters):
    """Groups that run `together` at a time, as one dense layer with zeros in it."""
    dense = systolic_cycles(dataflow, rows, cols, pixels, together * reduction, together * filters)
    return groups // together * dense


def groups_together(dataflow, rows, cols, groups, reduction, filters):
    """How many groups one fold holds: the largest divisor of all, or one."""
    best = 1
    for together in range(1, groups + 1):
        in_rows = dataflow == "output_stationary" or together * reduction <= rows
        in_cols = dataflow == "input_stationary" or together * filters <= cols
        if groups % together == 0 and in_rows and in_cols:
            best = max(best, together)
    return best
