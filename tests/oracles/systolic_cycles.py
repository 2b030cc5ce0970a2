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
